"""What becomes of a variance that rounding makes negative or far too small, and so whether anybody meets that."""

from __future__ import annotations

import enum
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.algebra.formulas import Formulas
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.source import Source

_GUARDS = frozenset({"abs", "clamp", "clamp_", "clamp_min", "clamp_min_", "clip", "max", "maximum", "relu", "relu_"})
_ROOTS = frozenset({"sqrt", "sqrt_", "rsqrt", "rsqrt_", "log", "log_", "log2", "log10"})
_KEEPING = frozenset(
    "mean sum add add_ sub mul mul_ div div_ view reshape unsqueeze squeeze expand to float where".split()
)
_MOST_NAMES, _MOST_USES = 4, 8


class VarianceUse(enum.IntEnum):
    """One thing that is done with a variance."""

    UNKNOWN = 0
    """It is returned, kept, or given to a function of which nothing is known."""
    ABSORBED = 1
    """A divisor is made of it and of a constant that is larger than the error, as in SSIM."""
    DIVISOR = 2
    """Something is divided by it, perhaps with an epsilon."""
    ROOT = 3
    """Its root or logarithm is taken, which is NaN below 0."""
    GUARDED = 4
    """It is kept from being negative first."""


def variance_uses(source: Source, node: cst.BaseExpression) -> set[VarianceUse]:
    """What is done with a difference, where it stands and by the names that it gets."""
    return set(_uses(source, node, _MOST_NAMES, is_absorbed=False))


def _uses(source: Source, node: cst.BaseExpression, names_left: int, *, is_absorbed: bool) -> Iterator[VarianceUse]:
    below: cst.CSTNode = node
    for above in source.ancestors(node):
        match above:
            case cst.Attribute(attr=cst.Name(value=name)) if name in _GUARDS | _ROOTS:
                yield VarianceUse.GUARDED if name in _GUARDS else VarianceUse.ROOT
                return
            case cst.Call(func=func) if func is not below:
                name = called_name(above)
                if name in _GUARDS | _ROOTS:
                    yield VarianceUse.GUARDED if name in _GUARDS else VarianceUse.ROOT
                    return
                if name not in _KEEPING:
                    yield VarianceUse.UNKNOWN
                    return
            case cst.BinaryOperation(operator=cst.Power(), right=power):
                is_root = isinstance(power, cst.UnaryOperation | cst.Float) and "." in source.code(power)
                yield VarianceUse.ROOT if is_root else VarianceUse.UNKNOWN
                return
            case cst.BinaryOperation(operator=cst.Divide(), right=divisor) if divisor is below:
                yield VarianceUse.ABSORBED if is_absorbed else VarianceUse.DIVISOR
                return
            case cst.BinaryOperation(left=left, operator=cst.Add(), right=right):
                is_absorbed |= _is_constant(source, right if left is below else left)
            case cst.Comparison() | cst.ComparisonTarget():
                yield VarianceUse.UNKNOWN
                return
            case cst.Subscript(value=value) if value is below and _is_mended(source, above):
                # `variance[variance < 0] = 0`
                yield VarianceUse.GUARDED
                return
            case (
                cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value)
                | cst.AnnAssign(target=cst.Name(value=name), value=value)
            ) if value is below:
                yield from _uses_of_name(source, above, name, names_left, is_absorbed=is_absorbed)
                return
            case cst.Call() | cst.Arg() | cst.Attribute() | cst.BinaryOperation() | cst.UnaryOperation():
                pass
            case cst.Subscript() | cst.AssignTarget():
                pass
            case _:
                yield VarianceUse.UNKNOWN
                return
        below = above


def _uses_of_name(
    source: Source, statement: cst.Assign | cst.AnnAssign, name: str, names_left: int, *, is_absorbed: bool
) -> Iterator[VarianceUse]:
    if not names_left:
        return
    flow = source.fact(Flow)
    for use in flow.uses(name, within=source.function_of(statement) or source.module)[:_MOST_USES]:
        definition = flow.definition_of(use)
        if definition is None or definition.statement is statement:
            yield from _uses(source, use, names_left - 1, is_absorbed=is_absorbed)


def _is_mended(source: Source, node: cst.Subscript) -> bool:
    """Whether elements that a comparison selects are assigned to."""
    is_target = isinstance(source.parent(node), cst.AssignTarget)
    return is_target and any(
        isinstance(element.slice, cst.Index) and isinstance(element.slice.value, cst.Comparison)
        for element in node.slice
    )


def _is_constant(source: Source, node: cst.BaseExpression) -> bool:
    """Whether a summand is a constant that is called `c2` or `self.C2`, or a number, and no epsilon."""
    formulas = source.fact(Formulas)
    if formulas.is_epsilon(node):
        return False
    name = node.attr if isinstance(node, cst.Attribute) else node
    if isinstance(name, cst.Name) and name.value.strip("_").rstrip("0123456789") in ("c", "C"):
        return True
    return (formulas.number(node) or 0.0) > 0
