"""Where the logarithms of a file go wrong, and how surely: ranges, names and uses weighed together."""

from __future__ import annotations

import re
from typing import NamedTuple

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.algebra.logarithm_formulas import feeds_only_its_argument_times
from pipeline_lint.facts.code.result_uses import becomes_whole_number, is_bounded_below
from pipeline_lint.facts.epsilon.guarded_values import is_guarded, is_signed_sum, is_written_out
from pipeline_lint.facts.gradient_reach import may_be_differentiated
from pipeline_lint.facts.gradient_uses import GradientUses
from pipeline_lint.facts.losses.log_arguments import evidence_at_zero, evidence_below_zero
from pipeline_lint.facts.losses.log_doubts import (
    is_average_of_probabilities,
    is_drawn,
    is_of_parameters,
    is_selected_before,
)
from pipeline_lint.facts.operations.row import Hazard
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import NUMBER, OTHER, SEQUENCE, Evidence, Value
from pipeline_lint.facts.trained_code import is_generation_code, is_trained_code
from pipeline_lint.source import Source

_DENSITY = re.compile(r"^_?log_(prob|cdf|pdf|density)$")
LOGARITHMS = frozenset({"log", "log2", "log10", "log1p"})


class Hit(NamedTuple):
    """A hazard of a logarithm that its argument reaches."""

    hazard: Hazard
    evidence: Evidence

    @property
    def is_at_edge(self) -> bool:
        """Whether the argument is at 0 (at -1 for log1p), and not below."""
        return self.hazard.low == self.hazard.high


def argument_of(site: Site) -> cst.BaseExpression:
    """What the logarithm is of."""
    return site.operands[_argument_name(site)]


def argument_value(site: Site) -> Value:
    """The value of what the logarithm is of."""
    return site.values[_argument_name(site)]


def has_argument(site: Site) -> bool:
    """Whether the argument is written in the call."""
    return _argument_name(site) in site.operands


def _argument_name(site: Site) -> str:
    return "other" if site.name == "xlogy" else "input"


def hit_of(source: Source, site: Site) -> Hit | None:
    """The hazard that is reached most surely; of equals the one at the edge. None where there is none."""
    value = argument_value(site)
    if value.kind in (NUMBER, OTHER, SEQUENCE):
        return None
    is_bounded = is_bounded_below(source, site.node)
    best: Hit | None = None
    for hazard in site.hazards:
        evidence = site.reached(hazard)
        if evidence is None or site.is_masked(hazard):
            continue
        hit = Hit(hazard, evidence)
        if evidence.confidence is Confidence.POSSIBLE:
            hit = Hit(hazard, _usual(source, site, hit) or evidence)
        if is_bounded and hazard.value == "inf":
            hit = Hit(hazard._replace(value="finite", gradient="nan"), hit.evidence)
        if hit.hazard.value == "finite":
            if not may_be_differentiated(source, site):
                continue
            hit = Hit(hit.hazard, _at_most(hit.evidence, Confidence.LIKELY))
        if best is None or hit.evidence.confidence > best.evidence.confidence:
            best = hit
    return Hit(best.hazard, _weighed(source, site, best.evidence)) if best is not None else None


def is_entropy(source: Source, site: Site) -> bool:
    """Whether the logarithm is used for p log p alone."""
    return (
        site.name in LOGARITHMS
        and isinstance(site.node, cst.Call)
        and feeds_only_its_argument_times(source, site.node, argument_of(site))
    )


def _usual(source: Source, site: Site, hit: Hit) -> Evidence | None:
    """What names and uses say of an argument of which the ranges say nothing."""
    assert isinstance(site.node, cst.Call)
    if hit.is_at_edge:
        return evidence_at_zero(source, site.node, argument_of(site), argument_value(site))
    return evidence_below_zero(argument_value(site))


def _weighed(source: Source, site: Site, evidence: Evidence) -> Evidence:
    """The evidence, less what the code around the logarithm says against it."""
    value = argument_value(site)
    is_selected = any(mask.selects_by(value) for mask in site.masks)
    is_guarded_value = is_guarded(value) or is_signed_sum(value) or is_written_out(evidence)
    is_avoided = (
        is_of_parameters(value)
        or is_average_of_probabilities(value)
        or is_selected_before(value)
        or is_drawn(source, argument_of(site))
        or is_generation_code(source, site.node)
    )
    if is_selected or is_guarded_value or is_avoided or becomes_whole_number(source, site.node):
        return _at_most(evidence, Confidence.POSSIBLE)
    if source.fact(GradientUses).are_lost(site.node):
        # What is reported or compared alone, where -inf is as good as any small number.
        return _at_most(evidence, Confidence.POSSIBLE)
    # In metrics, schedules and the like, and in the density of what cannot be, a logarithm of 0 may well be meant.
    is_meant = not (is_trained_code(source, site.node) or _is_in_module(source, site.node))
    is_density = site.function is not None and _DENSITY.search(site.function.name.value) is not None
    return (
        evidence
        if is_entropy(source, site) or not (is_meant or is_density)
        else _at_most(evidence, Confidence.POSSIBLE)
    )


def _is_in_module(source: Source, node: cst.CSTNode) -> bool:
    """Whether a node stands in a class that has a `forward`, and not where it is built."""
    owner, function = source.enclosing(node, cst.ClassDef), source.enclosing(node, cst.FunctionDef)
    if owner is None or function is None or "init" in function.name.value:
        return False
    return any(isinstance(part, cst.FunctionDef) and part.name.value == "forward" for part in owner.body.body)


def _at_most(evidence: Evidence, limit: Confidence) -> Evidence:
    return Evidence(min(evidence.confidence, limit), evidence.witness)
