"""What the code around a small difference does with it, and so how much a loss of its digits costs."""

from __future__ import annotations

import enum

import libcst as cst

from pipeline_lint.facts.code.events import called_name, paths_read
from pipeline_lint.source import Source

_MAGNIFYING = frozenset({"sqrt", "rsqrt", "log", "log2", "log10", "reciprocal"})
_ROUNDING = frozenset(
    {"round", "ceil", "floor", "trunc", "long", "int", "int_", "argmax", "argsort", "gt", "lt", "ge", "le"}
)
_KEEPING_NAMES = """
abs neg mul multiply div divide sum mean unsqueeze squeeze view reshape expand clamp clamp_min clamp_max float double
to max min maximum minimum where masked_fill transpose clone contiguous
"""
_KEEPING = frozenset(_KEEPING_NAMES.split())


class Consequence(enum.Enum):
    """What becomes of a value whose last digits are wrong."""

    MAGNIFIED = "its root, logarithm or quotient is taken, so that its relative error counts"
    USED = "it is a result or a factor"
    ADDED = "it is added to something else, which may be larger"
    ROUNDED = "it is rounded or compared, so that its last digits do not count"


def consequence_of(source: Source, node: cst.BaseExpression, operand: cst.BaseExpression) -> Consequence:
    """What the expression around `node`, which is small where `operand` is, does with its value.

    A quotient magnifies the error if the divisor gets small as well. The statements after it are not looked at.
    """
    below: cst.CSTNode = node
    paths = {path for path, _ in paths_read(operand)} - {"self"}
    for above in source.ancestors(node):
        match above:
            case cst.Arg() | cst.UnaryOperation() | cst.Subscript() | cst.IfExp():
                pass
            case cst.Attribute(attr=cst.Name(value=name)):
                found = _of_function(name)
                if found is not None:
                    return found
            case cst.Call(func=func) if func is not below:
                found = _of_function(called_name(above))
                if found is not None:
                    return found
            case cst.Call():
                pass
            case cst.BinaryOperation(operator=cst.Multiply()):
                pass
            case cst.BinaryOperation(operator=cst.Divide(), right=divisor):
                if divisor is below or any(path in paths for path, _ in paths_read(divisor)):
                    return Consequence.MAGNIFIED
            case cst.BinaryOperation(operator=cst.Power(), left=left, right=power):
                return Consequence.MAGNIFIED if left is below and _is_root(power) else Consequence.USED
            case cst.BinaryOperation(operator=cst.Add() | cst.Subtract()):
                return Consequence.ADDED
            case cst.Comparison():
                return Consequence.ROUNDED
            case _:
                return Consequence.USED
        below = above
    return Consequence.USED


def _of_function(name: str) -> Consequence | None:
    """None for a function whose result is as good or bad as what it is given."""
    name = name.removesuffix("_")
    if name in _MAGNIFYING:
        return Consequence.MAGNIFIED
    if name in _ROUNDING:
        return Consequence.ROUNDED
    return None if name in _KEEPING else Consequence.USED


def _is_root(power: cst.BaseExpression) -> bool:
    if isinstance(power, cst.UnaryOperation):
        return True
    return isinstance(power, cst.Float) and float(power.value) < 1
