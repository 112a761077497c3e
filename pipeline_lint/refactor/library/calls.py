"""What calls to code outside the project do with models, datasets and outputs: torch, its companions, the builtins."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from pipeline_lint.refactor import calling
from pipeline_lint.refactor.calling import Arguments
from pipeline_lint.refactor.library import Handler, iteration, launching, modules, reflection, saving, training
from pipeline_lint.refactor.tokens import (
    EMPTY,
    JUST_OPAQUE,
    NOTHING,
    OPAQUE,
    Function,
    Instance,
    Value,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation


_SAME = re.compile(
    r"(^|\.)(DataParallel|DistributedDataParallel|DDP|FSDP|FullyShardedDataParallel|AveragedModel|deepcopy|copy|compile|"
    r"convert_sync_batchnorm|weight_norm|spectral_norm|script|optimize|convert_model|Subset|setup|setup_module|"
    r"setup_dataloaders|prepare_model|prepare_data_loader|disable|allow_in_graph|unwrap_model|EMA|fully_shard|checkpoint_wrapper|"
    r"set_data|wrap|no_grad|inference_mode|enable_grad|autocast|jit_ignore|unused|ignore)$"
)
"""What gives its first argument back, wrapped or copied."""


_HARMLESS_ROOTS = frozenset(
    "torch numpy builtins logging os sys pytest math random time copy typing functools collections itertools pathlib "
    "argparse tqdm json contextlib dataclasses abc warnings inspect unittest operator re string torchvision".split()
)
"""Packages that do not call a model that they are given, some functions apart."""


_CALLING = re.compile(
    r"(^torch\.(jit\.trace|jit\.trace_module|onnx\.|export|fx\.|func\.|package|quantization|ao\.quantization|utils\.checkpoint|"
    r"utils\.tensorboard|autograd\.functional|autograd\.gradcheck|autograd\.profiler))|add_graph$|^torchsummary|^torchinfo"
)


_SCRIPTING = re.compile(r"^torch\.jit\.(script|script_method|export|script_if_tracing)$")


_LEAVING_ALONE = re.compile(
    r"^(builtins|logging|os|sys|math|time|argparse|json|warnings|inspect|tqdm|random\.shuffle|wandb)\b|\.__init__$|"
    r"^torch\.(optim|distributed|nn\.utils|nn\.init|cuda\.(synchronize|empty_cache|memory)|is_tensor|"
    r"utils\.data\.(\w*Sampler|distributed|sampler)|save|manual_seed)\b"
)
"""Functions of harmless packages that neither call or index an object that they are given, nor keep it."""


def call_external(evaluation: Evaluation, path: str, arguments: Arguments, node: ast.AST) -> Value:
    """What calling something outside the project gives; notes what it may do with ours."""
    handler = _handler(path)
    if handler is not None:
        return handler(evaluation, arguments, node)
    if _SCRIPTING.search(path):
        for value, argument in arguments.all:
            for token in value:
                if isinstance(token, Instance):
                    evaluation.machine.uses.escape(token.info, evaluation.code, argument, f"`{path}`")
    if _SAME.search(path) and arguments.all:
        training.note_wrapped(evaluation, path, arguments)
        kept = arguments.values[0] if arguments.values else next(iter(arguments.keywords.values()), EMPTY)
        ours = frozenset(token for token in kept if token not in (OPAQUE, NOTHING))
        if not arguments.is_decorated or ours:
            # Nothing yet is not the same as nothing of ours.
            return ours if ours or not kept else JUST_OPAQUE
    if arguments.is_decorated:
        if path.partition(".")[0] not in _HARMLESS_ROOTS:
            # A registry elsewhere, perhaps, that makes models by their names.
            calling.hand_over(evaluation, arguments, f"`{path.replace('()', '')}`")
        return JUST_OPAQUE
    if training.PREPARE.search(path):
        return training.prepare(evaluation, path, arguments, node)
    if training.TRAINER.search(path):
        return training.train(evaluation, path, arguments, node)
    root = path.partition(".")[0]
    is_harmless = (root in _HARMLESS_ROOTS and not _CALLING.search(path)) or path == "wandb.watch"
    receiver = f"`{path.removeprefix('builtins.').replace('()', '')}`"
    if saving.SAVING.search(path):
        for value, argument in arguments.all:
            saving.save(evaluation, value, argument, receiver)
        return JUST_OPAQUE
    calling.hand_over(evaluation, arguments, receiver, to_library=is_harmless)
    if is_harmless and not _LEAVING_ALONE.search(path):
        _note_objects(evaluation, arguments, receiver)
    for value, _ in arguments.all:
        for token in value:
            if isinstance(token, Function):
                calling.open_function(evaluation.machine, token)
    if path.count("()") >= 2:
        return JUST_OPAQUE
    return frozenset({evaluation.machine.external(f"{path}()")})


def _note_objects(evaluation: Evaluation, arguments: Arguments, receiver: str) -> None:
    """Notes models and datasets that a library may call, index or keep: `torch.vmap(model)`."""
    for value, argument in arguments.all:
        for token in value:
            if isinstance(token, Instance):
                evaluation.machine.uses.escape(token.info, evaluation.code, argument, receiver)


_HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(
        [f"builtins.{name}" for name in "print id hasattr repr str callable bool delattr dir".split()],
        iteration.harmless,
    ),
    **{
        path: handler
        for module in (iteration, modules, reflection, saving, training)
        for path, handler in module.HANDLERS.items()
    },
}
_BY_PATTERN = (*training.BY_PATTERN, *launching.BY_PATTERN)


def _handler(path: str) -> Handler | None:
    found = _HANDLERS.get(path)
    if found is not None or path.startswith("builtins."):
        return found
    for pattern, handler in _BY_PATTERN:
        if pattern.search(path):
            return handler
    return iteration.BY_LAST_NAME.get(path.rpartition(".")[2])
