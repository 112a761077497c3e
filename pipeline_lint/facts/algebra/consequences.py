"""What the code around a small difference does with it, and so how much a loss of its digits costs."""

from __future__ import annotations

import enum

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.events import called_name, paths_read
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.source import Source

_MAGNIFYING = frozenset({"rsqrt", "log", "log2", "log10", "reciprocal"})
"""A square root is none: it halves the relative error."""
_ROUNDING = frozenset(
    {"round", "ceil", "floor", "trunc", "long", "int", "int_", "argmax", "argsort", "gt", "lt", "ge", "le"}
)
_KEEPING_NAMES = """
abs neg mul multiply div divide sum mean unsqueeze squeeze view reshape expand clamp clamp_min clamp_max float double
to max min maximum minimum where masked_fill transpose clone contiguous sqrt
"""
_KEEPING = frozenset(_KEEPING_NAMES.split())
_MOST_NAMES, _MOST_USES = 3, 8


class Consequence(enum.IntEnum):
    """What becomes of a value whose last digits are wrong, the worst last."""

    ROUNDED = 0
    """It is rounded or compared, so that its last digits do not count."""
    ADDED = 1
    """It is added to something else, which may be larger."""
    USED = 2
    """It is a result or a factor."""
    MAGNIFIED = 3
    """It is divided by, its logarithm is taken, or its quotient by what is as small: its relative error counts."""


def consequence_of(source: Source, node: cst.BaseExpression, operand: cst.BaseExpression) -> Consequence:
    """What the code around `node`, which is small where `operand` is, does with its value at worst.

    A quotient magnifies the error if the divisor gets small as well, being made of the same variables. A name that the
    value gets is followed to its uses.
    """
    paths = {path for path, _ in paths_read(operand)} - {"self"}
    return _consequence(source, node, paths, _MOST_NAMES)


def _consequence(source: Source, node: cst.BaseExpression, paths: set[str], names_left: int) -> Consequence:
    below: cst.CSTNode = node
    for above in source.ancestors(node):
        match above:
            case cst.Arg() | cst.UnaryOperation() | cst.Subscript() | cst.IfExp():
                pass
            case cst.Attribute(attr=cst.Name(value=name)):
                found = _of_function(name)
                if found is not None:
                    return found
            case cst.Call(func=cst.Name()) if source.fact(Calls).operation(above) is None:
                # A function of the program's own, whatever it is called.
                return Consequence.USED
            case cst.Call(func=func) if func is not below:
                found = _of_function(called_name(above))
                if found is not None:
                    return found
            case cst.Call():
                pass
            case cst.BinaryOperation(operator=cst.Multiply()):
                pass
            case cst.BinaryOperation(operator=cst.Divide(), right=divisor):
                if divisor is below or (paths and paths <= {path for path, _ in paths_read(divisor)}):
                    return Consequence.MAGNIFIED
            case cst.BinaryOperation(operator=cst.Power(), left=left, right=power) if left is below:
                if isinstance(power, cst.UnaryOperation):
                    return Consequence.MAGNIFIED
                if not _is_root(power):
                    return Consequence.USED
            case cst.BinaryOperation(operator=cst.Add() | cst.Subtract()):
                return Consequence.ADDED
            case cst.Comparison():
                return Consequence.ROUNDED
            case (
                cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))])
                | cst.AnnAssign(target=cst.Name(value=name))
            ) if names_left:
                return _of_name(source, above, name, paths, names_left - 1)
            case _:
                return Consequence.USED
        below = above
    return Consequence.USED


def _of_name(
    source: Source, statement: cst.Assign | cst.AnnAssign, name: str, paths: set[str], names_left: int
) -> Consequence:
    """The worst that is done with a variable where it has the value of one statement."""
    flow = source.fact(Flow)
    found: list[Consequence] = []
    uses = flow.uses(name, within=source.function_of(statement) or source.module)
    for use in uses[:_MOST_USES]:
        definition = flow.definition_of(use)
        if definition is None:
            found.append(Consequence.USED)
        elif definition.statement is statement:
            found.append(_consequence(source, use, paths, names_left))
    return max(found, default=Consequence.USED)


def _of_function(name: str) -> Consequence | None:
    """None for a function whose result is as good or bad as what it is given."""
    name = name.removesuffix("_")
    if name in _MAGNIFYING:
        return Consequence.MAGNIFIED
    if name in _ROUNDING:
        return Consequence.ROUNDED
    return None if name in _KEEPING else Consequence.USED


def _is_root(power: cst.BaseExpression) -> bool:
    return isinstance(power, cst.Float) and float(power.value) < 1
