"""Whether code runs with or without the recording of gradients: `no_grad`, `inference_mode`, `set_grad_enabled`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.names import dotted_name
from pipeline_lint.source import Source

_NO_GRADIENT = re.compile(r"no_?grad|inference_mode|(^|_)eval_?mode|_stop_gradient|evaluating")
"""Names of what switches gradients off: torch's own, and wrappers such as `evaluating(model)` and `maybe_no_grad`."""


class GradientMode:
    """Where one file switches gradients off: `source.fact(GradientMode)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._switched_off = {
            id(source.function_of(call) or source.module)
            for call in source.nodes(cst.Call)
            if called_name(call) in ("set_grad_enabled", "_set_grad_enabled") and _is_off(call)
        }

    def is_off(self, node: cst.CSTNode) -> bool:
        """Whether a `with`, a decorator or a switch of the process around a node drops the graphs."""
        if id(self._source.module) in self._switched_off:
            return True
        for above in self._source.ancestors(node):
            match above:
                case cst.With(items=items) if any(is_no_gradient(item.item) for item in items):
                    return True
                case cst.FunctionDef(decorators=decorators):
                    if any(is_no_gradient(decorator.decorator) for decorator in decorators):
                        return True
                    if id(above) in self._switched_off:
                        return True
        return False


def is_no_gradient(node: cst.BaseExpression) -> bool:
    """Whether an expression is a context or decorator that switches gradients off."""
    match node:
        case cst.Call(func=function) as call:
            name = dotted_name(function).rpartition(".")[2]
            if name == "set_grad_enabled":
                return not _is_on(call)
            return _NO_GRADIENT.search(name) is not None or any(is_no_gradient(arg.value) for arg in call.args)
        case cst.IfExp(body=body, orelse=orelse):
            return is_no_gradient(body) or is_no_gradient(orelse)
        case cst.Name() | cst.Attribute():
            return _NO_GRADIENT.search(dotted_name(node).rpartition(".")[2]) is not None
    return False


def no_gradient_blocks(source: Source) -> Iterator[cst.With]:
    """The `with` statements that switch gradients off."""
    for block in source.nodes(cst.With):
        if any(is_no_gradient(item.item) for item in block.items):
            yield block


def _is_off(call: cst.Call) -> bool:
    return any(isinstance(arg.value, cst.Name) and arg.value.value == "False" for arg in call.args)


def _is_on(call: cst.Call) -> bool:
    return any(isinstance(arg.value, cst.Name) and arg.value.value == "True" for arg in call.args)
