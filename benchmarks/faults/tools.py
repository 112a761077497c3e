"""The guard and its peers, each as a function from a case to what the tool names."""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._debug_mode import DebugMode

from runtime_guard import Incident
from runtime_guard.replay.places import is_user_file
from tests.runtime_guard.faults.injection import Case
from tests.runtime_guard.faults.scoring import run_guarded


@dataclass(frozen=True)
class Named:
    """What a tool says; None where it says nothing."""

    step: int
    modules: tuple[str, ...] | None = None
    operation: str | None = None
    line: tuple[str, int] | None = None


class _Found(Exception):
    def __init__(self, **named: Any) -> None:
        super().__init__()
        self.named = named


def runtime_guard(case: Case) -> Named | None:
    return named_in(run_guarded(case))


def named_in(incident: Incident | None) -> Named | None:
    """What the guard's incident names."""
    if incident is None:
        return None
    birth = incident.birth
    if birth is None:
        return Named(incident.step)
    line = (birth.place.path, birth.place.line) if birth.place is not None else None
    return Named(incident.step, birth.modules, birth.operation, line)


def anomaly_mode(case: Case) -> Named | None:
    """torch.autograd.set_detect_anomaly: the backward node that returned NaN, and where its forward was called."""
    with warnings.catch_warnings(record=True) as caught, torch.autograd.set_detect_anomaly(True):
        warnings.simplefilter("always")
        for number, batch in enumerate(case.batches):
            try:
                case.body(batch)
            except RuntimeError as error:
                match = re.search(r"Function '(\w+?)Backward\d*' returned nan", str(error))
                if match is None:
                    raise
                text = "\n".join(str(warning.message) for warning in caught)
                frames = re.findall(r'File "([^"]+)", line (\d+)', text)
                users = [(path, int(line)) for path, line in frames if is_user_file(path)]
                name = re.sub(r"(?<!^)(?=[A-Z])", "_", match[1]).lower()
                return Named(_step(case, number), None, name, users[-1] if users else None)
    return None


def forward_hooks(case: Case) -> Named | None:
    """A forward hook on every module that looks for numbers that are not finite."""

    def hook(name: str) -> Callable[..., None]:
        def look(_module: nn.Module, _args: Any, output: Any) -> None:
            if not all(bool(t.isfinite().all()) for t in _tensors(output)):
                raise _Found(modules=(name,))

        return look

    handles = [
        module.register_forward_hook(hook(".".join(filter(None, (prefix, name)))))
        for prefix, model in case.training.models.items()
        for name, module in model.named_modules()
    ]
    try:
        return _until_found(case)
    finally:
        for handle in handles:
            handle.remove()


def loss_check(case: Case) -> Named | None:
    """A look at the loss after each step."""
    for number, batch in enumerate(case.batches):
        if not bool(case.body(batch).isfinite().all()):
            return Named(_step(case, number))
    return None


def debug_mode(case: Case) -> Named | None:
    """torch's DebugMode with a hook on every operation, and its record of modules and stack traces."""

    def look(func: Any, _types: Any, _args: Any, _kwargs: Any, result: Any) -> dict[str, Any]:
        if not all(bool(t.isfinite().all()) for t in _tensors(result)):
            frames = traceback.extract_stack()
            users = [(f.filename, f.lineno or 0) for f in frames if is_user_file(f.filename) and f.filename != __file__]
            # It names modules from the model's class on, without the name that the model has here.
            path = mode.current_nn_module_stack[-1].partition(".")[2] if mode.current_nn_module_stack else ""
            names = tuple(".".join(filter(None, (prefix, path))) for prefix in case.training.models)
            raise _Found(operation=func.overloadpacket.__name__, line=users[-1], modules=names if path else None)
        return {}

    mode = DebugMode(record_nn_module=True, record_stack_trace=True)
    with mode, DebugMode.dispatch_hooks(record_hook=look):
        return _until_found(case)


def underflow_overflow(case: Case) -> Named | None:
    """DebugUnderflowOverflow of transformers: the first module whose weights, inputs or outputs are not finite."""
    from transformers.debug_utils import DebugUnderflowOverflow

    debuggers = [DebugUnderflowOverflow(model, max_frames_to_save=1) for model in case.training.models.values()]
    printed: list[str] = []
    for debugger in debuggers:
        debugger.dump_saved_frames = lambda d=debugger: printed.append("\n".join(d.frames))
    for number, batch in enumerate(case.batches):
        try:
            case.body(batch)
        except ValueError:
            names = re.findall(r"^\s+(\S+) \w+$", printed[-1], re.MULTILINE) if printed else []
            return Named(_step(case, number), (names[-1],) if names else None)
    return None


TOOLS: dict[str, Callable[[Case], Named | None]] = {
    "runtime_guard": runtime_guard,
    "torch DebugMode + a hook": debug_mode,
    "set_detect_anomaly": anomaly_mode,
    "transformers DebugUnderflowOverflow": underflow_overflow,
    "forward hooks + isfinite": forward_hooks,
    "loss check": loss_check,
}


def available() -> dict[str, Callable[[Case], Named | None]]:
    """Without those whose package is not installed."""
    try:
        import transformers  # noqa: F401
    except ModuleNotFoundError:
        print("transformers is not installed, so DebugUnderflowOverflow is left out", file=sys.stderr)
        return {name: tool for name, tool in TOOLS.items() if "transformers" not in name}
    return TOOLS


def _until_found(case: Case) -> Named | None:
    for number, batch in enumerate(case.batches):
        try:
            case.body(batch)
        except _Found as found:
            return Named(_step(case, number), **found.named)
    return None


def _step(case: Case, number: int) -> int:
    """The update that a batch belongs to."""
    accumulated = "is_last" in case.batches[0]
    return number // 2 if accumulated else number


def _tensors(value: Any) -> list[Tensor]:
    return [t for t in torch.utils._pytree.tree_leaves(value) if isinstance(t, Tensor) and t.is_floating_point()]
