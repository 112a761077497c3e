"""TRN209: an inverse function of a value that reaches the edge of its domain."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Edit, Fix
from pipeline_lint.edits import replace, unsafe_fix
from pipeline_lint.facts.algebra.directions import edge_of
from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.epsilon.clamp_bounds import bounds_past_domain
from pipeline_lint.facts.epsilon.dtype_operand import limit
from pipeline_lint.facts.epsilon.guarded_values import is_guarded, is_signed_sum, is_written_out
from pipeline_lint.facts.gradient_reach import may_be_differentiated
from pipeline_lint.facts.guarding import has_comment, receiver_code, shown, with_keyword
from pipeline_lint.facts.operations.row import Hazard
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import NUMBER, OTHER, SEQUENCE, Evidence, weakened
from pipeline_lint.facts.trained_code import is_model_or_loss
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_EDGES = {
    "acos": "-1 or 1",
    "asin": "-1 or 1",
    "atanh": "-1 or 1",
    "erfinv": "-1 or 1",
    "logit": "0 or 1",
    "acosh": "1",
}
_CLAMPS = frozenset({"clamp", "clamp_min", "clamp_max", "maximum", "minimum", "max", "min"})
_LARGEST_MARGIN = 0.01
"""How far inside the domain a clamp's bound is still one at the edge."""


class InverseAtBoundary(Rule):
    """The inverse of a cosine, tanh or sigmoid has an infinite gradient at the edge of its domain, and is NaN beyond.

    acos(1.0) is 0, as it should be, but its gradient is -inf, because the curve is vertical there; asin has inf at the
    same place, acosh at 1. atanh and erfinv at -1 and 1, and logit at 0 and 1, are infinite themselves. Times the zero
    gradient that the cosine has at the same place (it is at its maximum) the result is NaN, for one pair of parallel
    vectors in a batch. Beyond the edge all of them are NaN, and rounding does go beyond: the cosine of a vector with
    itself was above 1 for one in five random vectors, by up to 2e-7 in float32, 0.001 in float16 and 0.008 in bfloat16.
    The usual arguments reach the edge: the cosine of an anchor and its positive, the correlation of a series with
    itself, the trace of a rotation by 0, the entry of a rotation matrix at gimbal lock, a sigmoid, a probability, and
    tanh, which is exactly 1.0 from 9.1 on in float32 (from 3.5 on in bfloat16, from 4.6 on in float16).

    `clamp(-1, 1)` takes the NaN away and leaves the gradient: clamp passes it on at its bounds, so that it is infinite
    at 1.0 as before. The bound has to lie inside, by as much as the dtype can tell from 1: `1 - 1e-7` is below 1 in
    float32, but it is exactly 1.0 in bfloat16 and float16 (as `1 - 1e-8` is in float32), and such a clamp does nothing
    there. `torch.finfo(x.dtype).eps` is the right distance in every dtype. Where the angle between vectors of space is
    wanted, `torch.atan2(torch.linalg.cross(a, b).norm(dim=-1), (a * b).sum(-1))` has no edge at all, and keeps small
    angles, which a cosine cannot hold: it does not tell an angle of 0 from one of 0.0003 in float32, of 0.03 in float16
    or of 0.09 in bfloat16.

    Bad:
        import torch
        import torch.nn.functional as F

        def angular_loss(anchor, positive):
            return torch.acos(F.cosine_similarity(anchor, positive, dim=-1)).mean()
    Good:
        import torch
        import torch.nn.functional as F

        def angular_loss(anchor, positive):
            cosine = F.cosine_similarity(anchor, positive, dim=-1)
            eps = torch.finfo(cosine.dtype).eps
            return torch.acos(cosine.clamp(-1 + eps, 1 - eps)).mean()
    Exempt: an argument that the code keeps inside by a distance that its dtype holds (of unknown dtype, that float32
        holds), also by a factor below 1 or a condition; `torch.logit` with such an `eps`; a gradient that is infinite
        where the value is finite (acos, asin, acosh at the edge) in code that nobody differentiates: `no_grad`,
        metrics, data preparation; results that are thrown away afterwards, which is where-nan-gradient. Of a value
        of which nothing is known only a possible defect is reported, which `--min-confidence possible` shows; that of
        acosh, which is 1 for equal points, is a likely one.
    Fix: Unsafe: the argument is clamped inside the domain by `torch.finfo(x.dtype).eps`, or `eps=` given to
        `torch.logit`; bounds of a clamp that is there already are moved. An angle of 0 becomes 0.0005 in float32, 0.04
        in float16 and 0.125 in bfloat16, with a gradient of 0, so you may want atan2 instead, or the computation in
        float32. There is none where no operand with the dtype is at hand, for work in place or with `out=`, and where a
        comment would be lost.
    Source: the figures were measured with torch 2.13 on CPU; W. Kahan, "How Futile are Mindless Assessments of Roundoff
        in Floating-Point Computation?" (2006), section 12, on angles from cosines.
    """

    code = "TRN209"
    triggers = ("acos", "asin", "arccos", "arcsin", "atanh", "arctanh", "erfinv", "logit(", "logit as")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every inverse function whose argument reaches the edge of the domain, or lies beyond."""
        if "torch" not in source.text:
            return
        for site in source.fact(Ranges).sites(*_EDGES):
            if isinstance(site.node, cst.Call) and "input" in site.operands:
                hit = _hit(source, site)
                if hit is not None and bounds_past_domain(source, site) is None:
                    yield _finding(source, site, *hit)


def _hit(source: Source, site: Site) -> tuple[Hazard, Evidence] | None:
    """The hazard that is reached most surely; of equals the one that spoils the value."""
    value = site.input
    if value.kind in (NUMBER, OTHER, SEQUENCE):
        return None
    is_differentiated = may_be_differentiated(source, site)
    hits = [
        (hazard, evidence)
        for hazard in site.hazards
        if (evidence := site.reached(hazard)) is not None
        and not site.is_masked(hazard)
        and (hazard.value != "finite" or is_differentiated)
    ]
    if not hits:
        return None
    hazard, evidence = max(hits, key=lambda hit: (hit[1].confidence, hit[0].value != "finite"))
    if evidence.confidence > Confidence.POSSIBLE:
        is_sum = site.name == "logit" and is_signed_sum(value)
        if is_sum or is_guarded(value) or is_written_out(evidence):
            return hazard, Evidence(Confidence.POSSIBLE, evidence.witness)
        is_clamped = value.made is not None and value.made.operation in _CLAMPS
        is_in_model = is_model_or_loss(source, site.node)
        if is_clamped and hazard.value == "finite" and site.name != "acosh" and not is_in_model:
            # Who clamps to the edge wants the value, and of a function that anybody may call no gradient may be asked.
            return hazard, Evidence(Confidence.POSSIBLE, evidence.witness)
        # That something lies beyond the bound of a clamp is what its author expects, and no more.
        return hazard, (weakened(evidence) if is_clamped else evidence) or evidence
    is_selected = any(mask.selects_by(value) for mask in site.masks)
    edge = edge_of(source, site.name, site.operands["input"], value)
    if edge is None or is_selected:
        return hazard, evidence
    at_edge = [each for each, _ in hits if each.value != "nan"]
    beyond = [each for each, _ in hits if each.value == "nan" and edge.is_crossed]
    return (next(iter([*beyond, *at_edge])), edge.evidence) if beyond or at_edge else None


def _finding(source: Source, site: Site, hazard: Hazard, evidence: Evidence) -> Finding:
    edge = _EDGES[site.name]
    argument, subject = shown(source, site.operands["input"]), f"`{shown(source, site.node)}`"
    match hazard.value:
        case "finite":
            problem = f"the gradient of {subject} is infinite where `{argument}` is {edge}"
        case "nan":
            problem = f"{subject} is NaN where rounding takes `{argument}` beyond {edge}"
        case _:
            problem = f"{subject} is infinite where `{argument}` is {edge}"
    because = f" ({evidence.witness})" if evidence.confidence > Confidence.POSSIBLE else ""
    eps = "torch.finfo(x.dtype).eps"
    remedy = f"give it `eps={eps}`" if site.name == "logit" else f"clamp it inside by `{eps}`"
    return Finding(
        at=site.node,
        message=f"{problem}{because}; {remedy}",
        confidence=evidence.confidence,
        witness=evidence.witness,
        fix=lambda: _fix(source, site),
    )


def _fix(source: Source, site: Site) -> Fix | None:
    operation = source.fact(Calls).operation(site.node)
    if operation is None or operation.is_inplace or "out" in operation.operands or has_comment(source, site.node):
        return None
    argument, value = site.operands["input"], site.input
    clamp = source.fact(Ranges).site(argument)
    if clamp is not None and _is_clamp_to_domain(clamp, site.name):
        # The bounds inside the domain take the place of those at its edge.
        argument, value = clamp.operands["input"], clamp.input
    eps = limit(source, argument, value, "eps", at=site.node)
    if eps is None:
        return None
    if site.name == "logit":
        edit = _with_eps(source, operation, eps.code)
    else:
        bounds = f"clamp_min(1 + {eps.code})" if site.name == "acosh" else f"clamp(-1 + {eps.code}, 1 - {eps.code})"
        edit = replace(source, site.operands["input"], f"{receiver_code(source, argument)}.{bounds}")
    return unsafe_fix("Clamp the argument inside the domain", *eps.edits, edit)


def _is_clamp_to_domain(clamp: Site, function: str) -> bool:
    """Whether a call clamps to the domain of a function or to a little less."""
    edges = {"min": 1.0} if function == "acosh" else {"min": -1.0, "max": 1.0}
    bounds = {name: value for name, value in clamp.values.items() if name != "input"}
    return clamp.name == "clamp" and all(
        name in edges and bound.is_constant and abs(bound.low - edges[name]) <= _LARGEST_MARGIN
        for name, bound in bounds.items()
    )


def _with_eps(source: Source, logit: Operation, eps: str) -> Edit:
    """The edit that gives `torch.logit` its `eps`."""
    given = logit.operands.get("eps")
    return replace(source, given, eps) if given is not None else with_keyword(source, logit.call, f"eps={eps}")
