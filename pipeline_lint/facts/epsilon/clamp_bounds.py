"""Bounds of a clamp that cannot be meant: crossed ones, and ones that lie beyond the domain of what follows."""

from __future__ import annotations

import re
from typing import NamedTuple

import libcst as cst

from pipeline_lint.facts.epsilon.epsilons import is_epsilon
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import Value
from pipeline_lint.source import Source

DOMAINS = {
    "acos": (-1.0, 1.0),
    "asin": (-1.0, 1.0),
    "atanh": (-1.0, 1.0),
    "erfinv": (-1.0, 1.0),
    "logit": (0.0, 1.0),
}
"""Operations, and the edges of their domains, which `bounds_past_domain` looks at besides logarithms."""
_FARTHEST = 0.01
"""A bound farther beyond the edge is no epsilon."""
_HUGE = re.compile(r"(\d(?:\.\d*)?)e\+?0*(\d+)", re.IGNORECASE)
_SMALLEST_EXPONENT = 4


class Crossed(NamedTuple):
    """A lower bound that no value, or hardly any, is above."""

    low: cst.BaseExpression
    high: cst.BaseExpression | None
    """The upper bound, which is below the lower one; None where there is none."""
    meant: str | None
    """What the lower bound is likely to be a misprint of: `1e-9` of `1e9`."""


def crossed_bounds(site: Site) -> Crossed | None:
    """The bounds of a `clamp` whose lower one is above the upper one, or so large that a minus is missing."""
    low, high = site.operands.get("min"), site.operands.get("max")
    if low is None:
        return None
    misprint = _HUGE.fullmatch(low.value) if isinstance(low, cst.Float) else None
    meant = None
    if misprint is not None and int(misprint.group(2)) >= _SMALLEST_EXPONENT:
        meant = f"{misprint.group(1)}e-{misprint.group(2)}"
    if high is None:
        return Crossed(low, None, meant) if meant is not None else None
    lowest, highest = site.values["min"], site.values["max"]
    if lowest.is_constant and highest.is_constant and lowest.low > highest.low:
        return Crossed(low, high, meant)
    return None


class PastDomain(NamedTuple):
    """A clamp that lets its argument go past the edge that it is to stop at."""

    clamp: Site
    bounds: tuple[cst.BaseExpression, ...]
    """The bounds beyond an edge."""
    edge: float
    """The edge that the first of them is beyond."""


def bounds_past_domain(source: Source, site: Site) -> PastDomain | None:
    """The clamp below an operation whose bounds lie just beyond the operation's domain: `atanh(x.clamp(max=1 + eps))`.

    Of logarithms, that is `log(1 - x.clamp(max=1 + eps))`.
    """
    value = site.values.get("input")
    if value is None:
        return None
    if site.name in DOMAINS:
        edges: tuple[float | None, float | None] = DOMAINS[site.name]
    else:
        inner = _subtracted_from_one(site.name, value)
        if inner is None:
            return None
        value, edges = inner, (None, 1.0)
    made = value.made
    clamp = source.fact(Ranges).site(made.node) if made is not None and made.operation.startswith("clamp") else None
    if clamp is None:
        return None
    found = [
        (bound, edge)
        for name, edge, sign in (("min", edges[0], -1), ("max", edges[1], 1))
        if edge is not None
        and (bound := clamp.operands.get(name)) is not None
        and _is_past(bound, clamp.values[name], edge, sign)
    ]
    return PastDomain(clamp, tuple(bound for bound, _ in found), found[-1][1]) if found else None


def _subtracted_from_one(name: str, value: Value) -> Value | None:
    """`x` of `log(1 - x)` and `log1p(-x)`."""
    made = value.made
    if made is None:
        return None
    if name == "log1p" and made.operation == "neg":
        return made.inputs[0]
    if name in ("log", "log2", "log10", "sqrt") and made.operation in ("sub", "rsub") and len(made.inputs) == 2:
        one, other = made.inputs
        return other if one.is_constant and one.low == 1 else None
    return None


def _is_past(bound: cst.BaseExpression, value: Value, edge: float, sign: int) -> bool:
    if value.is_constant and 0 < (value.low - edge) * sign <= _FARTHEST:
        return True
    return is_past(bound) and (not value.is_constant or value.low == edge)


def is_past(bound: cst.BaseExpression) -> bool:
    """Whether a bound is written as 1 and an epsilon more, on either side of 0: `1 + eps`, `-1.0 - eps`."""
    match bound:
        case cst.BinaryOperation(left=cst.Integer() | cst.Float() as one, operator=cst.Add(), right=epsilon):
            return float(one.evaluated_value) == 1 and is_epsilon(epsilon)
        case cst.BinaryOperation(
            left=cst.UnaryOperation(operator=cst.Minus(), expression=cst.Integer() | cst.Float() as one),
            operator=cst.Subtract(),
            right=epsilon,
        ):
            return float(one.evaluated_value) == 1 and is_epsilon(epsilon)
        case cst.UnaryOperation(operator=cst.Minus(), expression=inner):
            return is_past(inner)
    return False
