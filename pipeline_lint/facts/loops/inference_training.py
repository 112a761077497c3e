"""`inference_mode` around what is trained on: its tensors cannot be saved for a backward pass."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.edits import replace, safe_fix
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.loops.actions import Actions, Kind
from pipeline_lint.facts.loops.gradient_mode import GradientMode
from pipeline_lint.facts.loops.mode_defect import ModeDefect
from pipeline_lint.source import Source

_TRAINED_METHODS = re.compile(
    r"^(forward|training_step|p_losses|compute_loss|loss|get_loss|calc_loss|train_step|step)$"
)


def inference_in_training(source: Source) -> Iterator[ModeDefect]:
    """Tensors made in `inference_mode` that a function which is trained uses afterwards."""
    if "inference_mode" not in source.text or "is_inference" in source.text:
        return
    yield from _blocks(source)
    yield from _decorated(source)


def _blocks(source: Source) -> Iterator[ModeDefect]:
    """`with torch.inference_mode():` around what is used behind it."""
    for block in source.nodes(cst.With):
        item = next((each for each in block.items if _is_inference_mode(source, each.item)), None)
        function = source.function_of(block)
        if item is None or not isinstance(function, cst.FunctionDef) or not isinstance(item.item, cst.Call):
            continue
        outer = source.parent(block)
        if not _is_trained(source, function, block) or outer is None or source.fact(GradientMode).is_off(outer):
            continue
        made = _names_bound(block)
        used = next((use for use in _uses_after(source, function, block) if use.value in made), None)
        if used is not None and "clone(" not in source.code(block):
            yield _made_in_inference(source, item.item, used)


def _decorated(source: Source) -> Iterator[ModeDefect]:
    """A function decorated with `inference_mode` whose result a training loop computes with."""
    for decorator in source.nodes(cst.Decorator):
        function, mode = source.parent(decorator), decorator.decorator
        if not isinstance(function, cst.FunctionDef) or not isinstance(mode, cst.Call):
            continue
        if not _is_inference_mode(source, mode) or "clone(" in source.code(function):
            continue
        for call in source.nodes(cst.Call):
            used = _used_result(source, call) if called_name(call) == function.name.value else None
            if used is not None:
                yield _made_in_inference(source, mode, used)
                break


def _used_result(source: Source, call: cst.Call) -> cst.Name | None:
    """Where the result of a call in a training loop is computed with, outside of what records no gradients."""
    assign, function = source.parent(call), source.function_of(call)
    if not isinstance(function, cst.FunctionDef) or source.fact(GradientMode).is_off(call):
        return None
    if not isinstance(assign, cst.Assign) or not isinstance(assign.targets[0].target, cst.Name):
        return None
    if not _has_backward_behind(source, function, assign):
        return None
    name = assign.targets[0].target.value
    return next((use for use in _uses_after(source, function, assign) if use.value == name), None)


def _is_trained(source: Source, function: cst.FunctionDef, block: cst.With) -> bool:
    """Whether a function computes what is trained: by its name, or because it calls backward behind the block."""
    return _TRAINED_METHODS.match(function.name.value) is not None or _has_backward_behind(source, function, block)


def _has_backward_behind(source: Source, function: cst.FunctionDef, node: cst.CSTNode) -> bool:
    """Whether the function calls backward behind a statement, in the same block or one inside it."""
    block = source.parent(node)
    if isinstance(node, cst.Assign) and block is not None:
        block = source.parent(block)
    end = source.span(node)[1]
    return any(
        action.kind is Kind.BACKWARD
        and source.function_of(action.node) is function
        and any(above is block for above in source.ancestors(action.node))
        and source.span(action.node)[0] > end
        for action in source.fact(Actions).all
    )


def _made_in_inference(source: Source, mode: cst.Call, used: cst.Name) -> ModeDefect:
    reference = source.fact(Names).reference("torch.no_grad", at=mode)
    return ModeDefect(
        source.place(mode),
        f"`{used.value}` is made in `inference_mode` and used in what is trained, where autograd raises as soon as "
        "it has to save it for the backward pass; write `torch.no_grad()`",
        Confidence.LIKELY,
        safe_fix("Use `no_grad`", *reference.edits, replace(source, mode.func, reference.code)),
        ((source.place(used), "used here"),),
    )


def _is_inference_mode(source: Source, node: cst.BaseExpression) -> bool:
    match node:
        case cst.Call(func=function, args=[]):
            return source.fact(Names).resolve(function) == "torch.inference_mode"
    return False


def _names_bound(block: cst.With) -> set[str]:
    found: set[str] = set()
    waiting: list[cst.CSTNode] = [block.body]
    while waiting:
        node = waiting.pop()
        match node:
            case cst.AssignTarget(target=cst.Name(value=name)):
                found.add(name)
            case cst.AssignTarget(target=cst.Tuple(elements=elements)):
                found.update(each.value.value for each in elements if isinstance(each.value, cst.Name))
        waiting.extend(node.children)
    return found


def _uses_after(source: Source, function: cst.FunctionDef, block: cst.CSTNode) -> Iterator[cst.Name]:
    _, end = source.span(block)
    for node in source.nodes(cst.Name):
        if source.function_of(node) is not function or isinstance(source.parent(node), cst.AssignTarget):
            continue
        if source.span(node)[0] > end and isinstance(source.parent(node), cst.Arg | cst.BinaryOperation):
            yield node
