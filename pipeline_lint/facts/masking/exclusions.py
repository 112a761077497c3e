"""Elements of a result that are computed where they go wrong and thrown away afterwards: by `where`, an index, a fill.

The value is cured by that, the gradient is not: what is thrown away gets the gradient 0, and 0 times the infinite slope
of the operation is NaN.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts import floats
from pipeline_lint.facts.epsilon.vanishing import is_kept_off
from pipeline_lint.facts.operations.row import Hazard
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Mask, Site
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import INFINITY, NUMBER, Evidence, Value, narrowed
from pipeline_lint.facts.trained_code import is_loss, is_model_or_loss
from pipeline_lint.source import Source

_BOUNDS = frozenset({"min", "max", "minimum", "maximum", "clamp", "clamp_min", "clamp_max"})
_GROUPED = re.compile(r"(^|_)(scatter|segment|index_add|degree|global_(add|sum)_pool)(_|$)", re.IGNORECASE)
_MOVING = frozenset("exp sum view reshape squeeze unsqueeze to float".split())
_NEAR = 0.1
"""How far a threshold may be from where an operation goes wrong to be meant for it."""


class Exclusion(NamedTuple):
    """A hazard that an operation meets in elements that are thrown away."""

    hazard: Hazard
    evidence: Evidence
    kind: str
    """`where`, `index`, `multiply`, `masked_fill`, `nan_to_num`."""
    node: cst.CSTNode
    """What throws them away."""


def exclusion_of(source: Source, site: Site) -> Exclusion | None:
    """The exclusion that spoils the gradient of an operation most surely; None where all that it meets is kept."""
    found = [
        exclusion
        for hazard in site.hazards
        if hazard.gradient != "finite"
        for exclusion in (_inside_where(source, site, hazard), *(_masked(site, hazard, mask) for mask in site.masks))
        if exclusion is not None
    ]
    best = max(found, key=lambda each: each.evidence.confidence, default=None)
    if best is None:
        return None
    operand = best.hazard.operand
    if _is_doubtful(source, site.operands[operand], site.values[operand]):
        return best._replace(evidence=Evidence(Confidence.POSSIBLE, best.evidence.witness))
    if _is_of_groups(site.values[operand]) and not any(
        value.has_gradient for name, value in site.values.items() if name != operand
    ):
        # The gradient of a group without elements goes nowhere.
        return best._replace(evidence=Evidence(Confidence.POSSIBLE, best.evidence.witness))
    is_seen = best.kind == "nan_to_num" and best.evidence.confidence < Confidence.LIKELY
    if is_seen and _is_trained(source, site) and _is_alone(source, site, best):
        return best._replace(evidence=Evidence(Confidence.LIKELY, "somebody has seen NaN or inf here"))
    return best


def _is_doubtful(source: Source, node: cst.BaseExpression, value: Value) -> bool:
    """Whether an operand is kept off its hazards by an epsilon or a bound of which nothing is known."""
    made = value.made
    is_bounded = (
        made is not None and made.operation in _BOUNDS and not any(each.is_constant for each in made.inputs[1:])
    )
    return is_bounded or is_kept_off(source, node, value)


def _is_trained(source: Source, site: Site) -> bool:
    return is_loss(source, site.node) or is_model_or_loss(source, site.node)


def _is_of_groups(value: Value) -> bool:
    """Whether a value is sums over groups, such as degrees of nodes, which are 0 where a group has no elements."""
    made = value.made
    while made is not None and made.operation in _MOVING and made.inputs:
        made = made.inputs[0].made
    if made is None:
        return any(map(_is_of_groups, value.choices))
    name = last_name(made.node.func) if isinstance(made.node, cst.Call) else ""
    return bool(_GROUPED.search(name) or _GROUPED.search(made.operation))


def _is_alone(source: Source, site: Site, exclusion: Exclusion) -> bool:
    """Whether no other operation can have made the NaN or infinity that is replaced."""
    if exclusion.hazard.low != exclusion.hazard.high:
        # An overflow is less likely than what is not known.
        return False
    for other in source.fact(Ranges).sites():
        is_masked = other is not site and any(mask.node is exclusion.node for mask in other.masks)
        if is_masked and any(each.value != "finite" and other.reached(each) is not None for each in other.hazards):
            return False
    return True


def spoiled_products(site: Site) -> Iterator[Exclusion]:
    """The products with a mask that are to throw away what is infinite or NaN, and make NaN of it: 0 * inf."""
    for hazard in site.hazards:
        whole = site.values.get(hazard.operand)
        if hazard.value == "finite" or whole is None or whole.kind == NUMBER:
            continue
        for mask in site.masks:
            bounds = mask.kept.get(whole.number)
            if mask.kind == "multiply" and bounds is not None and mask.hides(whole, hazard):
                kept = narrowed(whole, bounds[0], bounds[1], is_nonzero=bounds[2])
                evidence = _evidence(hazard, whole, kept)
                if evidence is not None:
                    yield Exclusion(hazard, evidence, mask.kind, mask.node)


def _inside_where(source: Source, site: Site, hazard: Hazard) -> Exclusion | None:
    """A hazard that a branch of `where` meets only where the condition does not select it."""
    kept = site.values.get(hazard.operand)
    whole = site.unguarded.get(hazard.operand) if site.unguarded is not None else None
    if kept is None or whole is None or whole.kind == NUMBER or kept.reaches(hazard.low, hazard.high) is not None:
        return None
    evidence = _evidence(hazard, whole, kept)
    node = next((above for above in source.ancestors(site.node) if _is_where(above)), None)
    return Exclusion(hazard, evidence, "where", node) if evidence is not None and node is not None else None


def _masked(site: Site, hazard: Hazard, mask: Mask) -> Exclusion | None:
    """A hazard whose results a mask throws away."""
    whole = site.values.get(hazard.operand)
    if whole is None or whole.kind == NUMBER or not mask.hides(whole, hazard):
        return None
    if mask.kind == "multiply" and hazard.value != "finite":
        # inf * 0 is NaN: the value is not cured, either.
        return None
    bounds = mask.kept.get(whole.number)
    if bounds is None:
        evidence = whole.reaches(hazard.low, hazard.high)
    else:
        evidence = _evidence(hazard, whole, narrowed(whole, bounds[0], bounds[1], is_nonzero=bounds[2]))
    return Exclusion(hazard, evidence, mask.kind, mask.node) if evidence is not None else None


def _evidence(hazard: Hazard, whole: Value, kept: Value) -> Evidence | None:
    """Why an operand lies in a hazard: from itself, or because its author excludes just that."""
    itself = whole.reaches(hazard.low, hazard.high)
    if itself is None:
        return None
    confidence = _intent(hazard, whole, kept)
    if confidence <= itself.confidence:
        return itself
    return Evidence(confidence, "the condition says that it happens")


def _intent(hazard: Hazard, whole: Value, kept: Value) -> Confidence:
    """How surely a condition that leaves `kept` of `whole` is there because of the hazard."""
    is_taken_out = kept.is_nonzero and kept.low <= 0 <= kept.high and whole.may_be_zero
    if is_taken_out and hazard.low <= 0 <= hazard.high:
        return Confidence.CERTAIN
    below = kept.low - 1 if whole.is_count else floats.next_below(kept.low, whole.dtype)
    for distance, first in (
        (kept.low - hazard.high, below if kept.low > whole.low else INFINITY),
        (hazard.low - kept.high, floats.next_above(kept.high, whole.dtype) if kept.high < whole.high else INFINITY),
    ):
        if hazard.low <= first <= hazard.high and math.isfinite(first):
            return Confidence.CERTAIN
        is_meant = distance <= _NEAR if hazard.low == hazard.high else hazard.high == INFINITY
        if math.isfinite(first) and distance >= 0 and is_meant:
            return Confidence.LIKELY
    return Confidence.POSSIBLE


def _is_where(node: cst.CSTNode) -> bool:
    match node:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="where")) | cst.Name(value="where")):
            return True
    return False
