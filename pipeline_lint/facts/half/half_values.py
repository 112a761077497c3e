"""Which values are float16: what the code says, what names say, and what a cast that comes too late gives away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.epsilon.epsilons import is_epsilon
from pipeline_lint.facts.half.half_support import casts_up
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import NUMBER, OTHER, SEQUENCE, Value, same
from pipeline_lint.source import Source

_HALF_NAME = re.compile(
    r"(^|_)(fp16|float16)(_|$)|^half_(grads?|gradients?|params?|parameters|weights?|tensors?|inputs?)$"
    r"|(^|_)(grads?|gradients?|params?|parameters|weights?|activations?|logits|loss|losses)_half$"
    r"|^(g|grads?|gradients?|p|params?|parameters|weights?)_?16$",
    re.IGNORECASE,
)
_CASTS = frozenset({"to", "type", "type_as", "float", "double", "bfloat16", "long", "int", "bool"})
_ASKS_HALF = re.compile(r"dtype\s*(==|in|is)\s*[\[({]?\s*torch\.(float16|half)\b")
_LARGEST_ROOT = 256.0
"""Its square is the first that float16 does not hold."""


class Square(NamedTuple):
    """A square that is taken before a sum or mean."""

    site: Site
    operands: tuple[cst.BaseExpression, ...]
    """What is squared: both factors of `x * x`."""
    value: Value
    """That of the operand."""


def is_half(source: Source, node: cst.BaseExpression, value: Value) -> bool:
    """Whether the dtype of a tensor is float16, as the code or its name says."""
    if value.dtype is not None or value.kind in (NUMBER, OTHER, SEQUENCE):
        return value.dtype == "float16"
    return any(_HALF_NAME.search(name) for name in _names(source, node))


def square_below(source: Source, value: Value) -> Square | None:
    """The square that a value is, perhaps in another dtype, if the square can be more than float16 holds."""
    made = value.made
    site = source.fact(Ranges).site(made.node) if made is not None else None
    if made is None or site is None or site.name != made.operation:
        return None
    base = site.values.get("input")
    if base is None or base.kind == NUMBER or max(-base.low, base.high) < _LARGEST_ROOT:
        return None
    operands = [site.operands["input"]] if "input" in site.operands else []
    match site.name:
        case "square":
            pass
        case "pow":
            exponent = site.values["exponent"]
            if not exponent.is_constant or exponent.low < 2:
                return None
        case "mul":
            other = site.values.get("other")
            if other is None or "other" not in site.operands or not same(base, other) or base.dtype != other.dtype:
                return None
            operands.append(site.operands["other"])
        case _:
            return None
    return Square(site, tuple(operands), base) if operands else None


def is_cast_back(source: Source, node: cst.CSTNode, operand: cst.BaseExpression) -> bool:
    """Whether what is computed from a node is cast to the dtype of `operand` in the end.

    That is worth doing only where it was meant to be computed in another dtype.
    """
    tensor = _unwrapped(operand)
    if not isinstance(tensor, cst.Name):
        return False
    while True:
        above = source.parent(node)
        while isinstance(above, cst.BinaryOperation) and _is_number(above.left if above.right is node else above.right):
            node, above = above, source.parent(above)
        call = source.parent(above) if above is not None else None
        if not isinstance(above, cst.Attribute | cst.Arg) or not isinstance(call, cst.Call):
            return False
        if isinstance(above, cst.Attribute) and above.attr.value in ("to", "type_as"):
            return any(_is_dtype_of(source, argument.value, tensor.value) for argument in call.args)
        if source.fact(Calls).operation(call) is None:
            return False
        node = call


def knows_half(source: Source, node: cst.CSTNode) -> bool:
    """Whether the function around a node asks for float16, and casts nothing to a wider dtype."""
    function = source.function_of(node)
    if function is None:
        return False
    code = source.code(function)
    return _ASKS_HALF.search(code) is not None and not casts_up(code)


def _is_number(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.BaseNumber) or is_epsilon(node)


def wider_after(source: Source, node: cst.CSTNode) -> str | None:
    """The dtype, float32 or float64, that what is computed from a node is cast to by a method behind it."""
    ranges = source.fact(Ranges)
    while True:
        above = source.parent(node)
        while isinstance(above, cst.BinaryOperation) and _is_number(above.left if above.right is node else above.right):
            node, above = above, source.parent(above)
        call = source.parent(above) if above is not None else None
        site = ranges.site(call) if isinstance(above, cst.Attribute | cst.Arg) and call is not None else None
        if site is None or "input" not in site.operands:
            return None
        if site.name in _CASTS:
            is_wider = site.input.dtype is None and site.result.dtype in ("float32", "float64")
            return site.result.dtype if is_wider else None
        node = site.node


def _is_dtype_of(source: Source, node: cst.BaseExpression, name: str) -> bool:
    match node:
        case cst.Attribute(value=cst.Name(value=owner), attr=cst.Name(value="dtype")):
            return owner == name
        case cst.Name(value=owner) if owner == name:
            return True
        case cst.Name():
            value = source.fact(Flow).value_of(node)
            return isinstance(value, cst.Attribute) and _is_dtype_of(source, value, name)
    return False


def _names(source: Source, node: cst.BaseExpression) -> Iterator[str]:
    """The name of a value, and of what it is an element of."""
    inner = _unwrapped(node)
    yield last_name(inner)
    if not isinstance(inner, cst.Name):
        return
    for above in source.ancestors(node):
        if isinstance(above, cst.For):
            yield from _iterated(above.target, above.iter, inner.value)
        elif isinstance(above, cst.BaseSimpleComp):
            yield from _iterated(above.for_in.target, above.for_in.iter, inner.value)
        elif isinstance(above, cst.FunctionDef):
            return


def _iterated(target: cst.BaseExpression, iterable: cst.BaseExpression, name: str) -> Iterator[str]:
    match target, iterable:
        case cst.Name(value=bound), _ if bound == name:
            yield last_name(_unwrapped(iterable))
        case cst.Tuple(elements=targets), cst.Call(func=cst.Name(value="zip"), args=arguments):
            for each, argument in zip(targets, arguments, strict=False):
                yield from _iterated(each.value, argument.value, name)
        case cst.Tuple(elements=[_, cst.Element(value=last)]), cst.Call(func=cst.Name(value="enumerate"), args=[first]):
            yield from _iterated(last, first.value, name)


def _unwrapped(node: cst.BaseExpression) -> cst.BaseExpression:
    """`p` of `p.grad.data.abs()[0]`; nothing that is cast."""
    while True:
        match node:
            case cst.Attribute(value=value, attr=cst.Name(value="grad" | "data")):
                node = value
            case cst.Subscript(value=value):
                node = value
            case cst.Call(func=cst.Attribute(value=value, attr=cst.Name(value=name))) if name not in _CASTS:
                node = value
            case _:
                return node
