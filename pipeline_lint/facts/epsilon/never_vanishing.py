"""Values that could be 0 by their range and do not get there: learned ones, exponentials, distances along edges."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.gradient_uses import GradientUses
from pipeline_lint.facts.learned import is_learned
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import Made, Value
from pipeline_lint.source import Source

_PASSED = frozenset(
    """sum mean square abs pow mul div sqrt float to double neg view reshape squeeze unsqueeze flatten transpose permute
    expand clone contiguous""".split()
)
"""Operations that are 0 where what they are of is 0."""
_UNDERFLOWING = frozenset({"exp", "exp2", "softplus"})
_POSITIONS = re.compile(r"^(pos|positions?|coords?|coordinates?|xyz|R)$")
_NONZERO_NAMES = re.compile(
    r"(^|_)(embeds?|embeddings?|hidden_states?|features?|weight|scale|scale_tril|std|stddev|sigma)(_\d)?$"
)
"""Of vectors that a network gives, of which some element is not 0, and of scales, which are positive."""
_DEEPEST = 8


def may_vanish(source: Source, value: Value) -> bool:
    """Whether code that trains well may bring a value, which its range lets be 0, to exactly 0.

    An exponential is 0 only of an argument below -104, a parameter stays near where it began, and the atoms or points
    at the two ends of an edge do not lie on one another.
    """
    return not is_learned(value) and not any(_keeps_off(source, made) for made in _parts(value))


def _parts(value: Value) -> Iterator[Made]:
    """How a value was made, and what it is a product, a power or a sum of."""
    waiting = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        made = each.made
        if made is None or depth > _DEEPEST:
            continue
        yield made
        if made.operation in _PASSED and made.inputs:
            waiting.append((made.inputs[0], depth + 1))


def _keeps_off(source: Source, made: Made) -> bool:
    if made.operation in _UNDERFLOWING:
        return True
    if made.operation == "div" and len(made.inputs) == 2:
        top = made.inputs[0]
        return top.is_constant and top.low != 0
    if made.operation in ("square", "pow", "mul"):
        return _is_square_of_nonzero(source, made.node)
    return made.operation == "sub" and _is_along_edges(made.node)


def _is_square_of_nonzero(source: Source, node: cst.CSTNode) -> bool:
    """Whether what is squared has a name of what is not 0, or is a parameter for which all callers have one."""
    operand = _squared(source, node)
    if operand is None:
        return False
    name = last_name(operand)
    if _NONZERO_NAMES.search(name):
        return True
    function = source.function_of(node)
    if not isinstance(operand, cst.Name) or not isinstance(function, cst.FunctionDef):
        return False
    passed = source.fact(GradientUses).passed(function, name)
    return bool(passed) and all(_NONZERO_NAMES.search(last_name(each)) for each in passed)


def _squared(source: Source, node: cst.CSTNode) -> cst.BaseExpression | None:
    operand: cst.BaseExpression | None = None
    match node:
        case cst.BinaryOperation(left=left, operator=cst.Power()):
            operand = left
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right) if left.deep_equals(right):
            operand = left
        case cst.Call():
            operation = source.fact(Calls).operation(node)
            operand = operation.input if operation is not None and operation.name in ("square", "pow") else None
    return operand.value if isinstance(operand, cst.Subscript) else operand


def _is_along_edges(node: cst.CSTNode) -> bool:
    """`pos[i] - pos[j]`."""
    match node:
        case cst.BinaryOperation(left=cst.Subscript(value=one, slice=[first]), right=cst.Subscript(slice=[second])):
            ends = [part.slice.value for part in (first, second) if isinstance(part.slice, cst.Index)]
            names = [end.value for end in ends if isinstance(end, cst.Name)]
            return len({*names}) == 2 and _POSITIONS.search(last_name(one)) is not None
    return False
