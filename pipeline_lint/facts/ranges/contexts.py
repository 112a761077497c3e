"""`with` blocks: where gradients are off, and where autocast is on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.facts.ranges.assignments import bind
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.syntax import is_word
from pipeline_lint.facts.ranges.value import (
    OTHER,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run

_NO_GRADIENT = frozenset(
    {"torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad", "torch.autograd.inference_mode"}
)
_AUTOCASTS = frozenset({"torch.autocast", "torch.amp.autocast", "torch.cuda.amp.autocast", "torch.cpu.amp.autocast"})


def with_statement(run: Run, node: cst.With, state: State) -> None:
    """`with a as b:`; what it switches holds for its body."""
    had_gradient, outer_autocast = state.has_gradient, state.autocast
    for item in node.items:
        value = run.evaluate(item.item, state)
        if item.asname is not None:
            bind(run, item.asname.name, value, state)
        if ends_gradients(run, item.item):
            state.has_gradient = False
        elif _resolved_call(run, item.item) == "torch.enable_grad":
            state.has_gradient = True
        state.autocast = _autocast_dtype(run, item.item, state)
    run.suite(node.body, state)
    state.has_gradient, state.autocast = had_gradient, outer_autocast


def _resolved_call(run: Run, node: cst.BaseExpression) -> str | None:
    function = node.func if isinstance(node, cst.Call) else node
    return run.names.resolve(function)


def ends_gradients(run: Run, node: cst.BaseExpression) -> bool:
    """Whether a context manager or decorator switches gradients off."""
    path = _resolved_call(run, node)
    if path in _NO_GRADIENT:
        return not (isinstance(node, cst.Call) and any(is_word(argument.value, "False") for argument in node.args))
    if path in ("torch.set_grad_enabled", "torch.autograd.set_grad_enabled"):
        return isinstance(node, cst.Call) and any(is_word(argument.value, "False") for argument in node.args)
    return False


def _autocast_dtype(run: Run, node: cst.BaseExpression, state: State) -> str | None:
    """The dtype of the autocast region that a context manager opens; else that of the region around."""
    if not isinstance(node, cst.Call) or run.names.resolve(node.func) not in _AUTOCASTS:
        return state.autocast
    dtype, device = None, "cuda"
    for argument in node.args:
        name = argument.keyword.value if argument.keyword is not None else ""
        if name == "enabled" and is_word(argument.value, "False"):
            return None
        found = run.silently(argument.value, state)
        if found.kind == OTHER and found.dtype is not None:
            dtype = found.dtype
        elif isinstance(argument.value, cst.SimpleString):
            device = str(argument.value.evaluated_value)
        elif name == "dtype":
            return state.autocast
    return dtype or ("bfloat16" if device == "cpu" else "float16")
