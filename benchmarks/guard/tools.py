"""The guard and its peers, each as what is put around a training's steps."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._debug_mode import DebugMode

from benchmarks.guard.workloads import Workload
from runtime_guard import Guard, Settings

Steps = Iterator[None]
"""Each `next` is one step."""


def bare(workload: Workload) -> Steps:
    while True:
        workload.step()
        yield


def guard(workload: Workload) -> Steps:
    """As it is by default, early warnings included."""
    return _guarded(workload, Settings())


def sentinel(workload: Workload) -> Steps:
    """Without early warnings."""
    return _guarded(workload, Settings(early_warnings=False))


def monitors(workload: Workload) -> Steps:
    """As it is by default with a folder: all monitors, at their own schedules, and both files that are written.

    Histograms come every 100 updates, so that most rounds of ten are without them.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield from _guarded(workload, Settings(), logdir=folder)


def _guarded(workload: Workload, settings: Settings, logdir: str | None = None) -> Steps:
    watched = Guard(workload.model, workload.optimizer, settings=settings, logdir=logdir)
    endless = iter(lambda: workload.batch, None)
    try:
        for _ in watched.watch(endless):
            workload.step()
            yield
    finally:
        watched.close()


def anomaly_mode(workload: Workload) -> Steps:
    while True:
        with torch.autograd.set_detect_anomaly(True):
            workload.step()
        yield


def forward_hooks(workload: Workload) -> Steps:
    """A hook on every module that looks for numbers that are not finite."""

    def look(_module: nn.Module, _args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and not bool(output.isfinite().all()):
            raise ValueError

    for module in workload.model.modules():
        module.register_forward_hook(look)
    return bare(workload)


def debug_mode(workload: Workload) -> Steps:
    """torch's DebugMode with a look at every result."""

    def look(_func: Any, _types: Any, _args: Any, _kwargs: Any, result: Any) -> dict[str, Any]:
        # No error: memory that `empty` gives may hold anything.
        is_bad = isinstance(result, Tensor) and result.is_floating_point() and not bool(result.isfinite().all())
        return {"is_bad": is_bad}

    while True:
        with DebugMode(record_nn_module=True), DebugMode.dispatch_hooks(record_hook=look):
            workload.step()
        yield


def underflow_overflow(workload: Workload) -> Steps:
    """transformers' DebugUnderflowOverflow."""
    from transformers.debug_utils import DebugUnderflowOverflow

    DebugUnderflowOverflow(workload.model)
    while True:
        with contextlib.redirect_stdout(io.StringIO()):
            workload.step()
        yield


TOOLS: dict[str, Callable[[Workload], Steps]] = {
    "nothing": bare,
    "nothing, once more": bare,
    "runtime_guard": guard,
    "runtime_guard without early warnings": sentinel,
    "runtime_guard with all monitors": monitors,
    "set_detect_anomaly": anomaly_mode,
    "forward hooks + isfinite": forward_hooks,
    "torch DebugMode + isfinite": debug_mode,
    "transformers DebugUnderflowOverflow": underflow_overflow,
}
