"""Squares behind sums, means and roots, and how to write them so that they are computed in float32."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.diagnostic import Edit
from pipeline_lint.edits import replace
from pipeline_lint.facts.calls import Calls
from pipeline_lint.facts.guarding import has_comment, receiver_code
from pipeline_lint.facts.ranges.value import Made, Value, same
from pipeline_lint.source import Source

_BEHIND = frozenset("sum nansum mean nanmean add sub mul div sqrt rsqrt clamp clamp_min maximum".split())
_REDUCTIONS = frozenset({"sum", "nansum", "mean", "nanmean"})
_DEEPEST = 8


def square_of(value: Value) -> Made | None:
    """The squaring (or higher even power) that made a value."""
    made = value.made
    if made is None or not made.inputs:
        return None
    if made.operation == "square":
        return made
    if len(made.inputs) != 2:
        return None
    one, other = made.inputs
    is_power = made.operation == "pow" and other.is_constant and other.low >= 2
    return made if is_power or (made.operation == "mul" and same(one, other)) else None


def reduced_square(value: Value) -> Made | None:
    """The squaring whose mean or sum a value is, perhaps with an epsilon and under a root."""
    is_reduced = False
    for _ in range(_DEEPEST):
        square = square_of(value)
        if square is not None:
            return square if is_reduced else None
        made = value.made
        if made is None or made.operation not in _BEHIND or not made.inputs:
            return None
        is_reduced |= made.operation in _REDUCTIONS
        is_scaled = made.inputs[0].is_constant and len(made.inputs) > 1
        value = made.inputs[1 if is_scaled else 0]
    return None


def cast_before(source: Source, square: Made, cast: str = ".float()") -> list[Edit] | None:
    """The edits that cast what is squared before it is; None where it cannot be done where it stands."""
    node = square.node
    operands: list[cst.BaseExpression]
    match node:
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right):
            operands = [left, right]
        case cst.BinaryOperation(left=left):
            operands = [left]
        case cst.Call():
            operation = source.fact(Calls).operation(node)
            if operation is None or operation.is_inplace or "out" in operation.operands or operation.input is None:
                return None
            operands = [operation.input]
            if operation.name == "mul":
                operands.append(operation.operands["other"])
        case _:
            return None
    if any(has_comment(source, operand) for operand in operands):
        return None
    return [replace(source, operand, receiver_code(source, operand) + cast) for operand in operands]
