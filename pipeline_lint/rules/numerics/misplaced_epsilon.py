"""TRN219: an epsilon that stands where it does not help."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.edits import replace, unsafe_fix
from pipeline_lint.facts.division.divisors import why_zero
from pipeline_lint.facts.epsilon.clamp_bounds import DOMAINS, Crossed, PastDomain, bounds_past_domain, crossed_bounds
from pipeline_lint.facts.epsilon.epsilon_moves import (
    INNER_BOUND,
    moved_into_divisor,
    moved_into_root,
    turned,
    uncrossed,
)
from pipeline_lint.facts.epsilon.epsilons import Outside, epsilon_outside, is_epsilon, is_needed, outside_of_quotient
from pipeline_lint.facts.epsilon.root_hazards import ROOTS, is_below_relu, is_root, why_reached
from pipeline_lint.facts.epsilon.roots import deviation_code, norm_code
from pipeline_lint.facts.epsilon.swallowed import FLOORED, WITNESSES, moved_out, swallowed_epsilon
from pipeline_lint.facts.gradient_reach import may_be_differentiated
from pipeline_lint.facts.guarding import has_comment, shown
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import NUMBER, Evidence
from pipeline_lint.facts.trained_code import is_model_or_loss, is_optimizer_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_LOGARITHMS = ("log", "log2", "log10", "log1p", "sqrt")
_CANDIDATES = re.compile(
    r"(^|_)(std|stddev|sigma|norm|norms|denom|denominator|total|sums?|max|range|union|areas?|dist|distance|length|mass"
    r"|var|variance|z|mag|magnitude)\d*(_|$)",
    re.IGNORECASE,
)
"""Names of divisors that their authors expect to be 0 when they add an epsilon to the quotient."""


class MisplacedEpsilon(Rule):
    """An epsilon helps inside the root or the denominator, and after a function that ends at 0; elsewhere it is lost.

    An author who writes `x / x.norm() + 1e-8` knows that the norm can be 0, and adds the epsilon to what is then NaN
    already: 0 / 0 + 1e-8 is NaN, and 1 / 0 + 1e-8 is inf. `x / (x.norm() + 1e-8)` is what was meant. With
    `a + eps / b + eps` the parentheses of both are missing: it is a + (eps / b) + eps.

    Of a square root, the value is fine without any epsilon, sqrt(0) is 0; what goes wrong at 0 is the gradient,
    1 / (2 * sqrt(0)), infinite, and NaN once it meets the zero of an inner derivative. What is added to the root has no
    part in its gradient: the gradient of sqrt(x) + 1e-8 at 0 is inf in float32, bfloat16 and float16, that of
    sqrt(((a - b) ** 2).sum()) + 1e-8 for equal vectors NaN, and one such sample makes every parameter NaN. The same
    holds for a bound, `sqrt(x).clamp(min=1e-8)`: the zero gradient of the clamp times inf is NaN. The epsilon may be
    right for a division by the root, and yet the root needs its own.

    The other way round, `relu(x + 1e-6)` and `softplus(x + 1e-6)` swallow the epsilon: relu(-1 + 1e-6) is 0, and so is
    softplus of everything below -104 in float32 and -18 in float16. What is to be positive, a scale or a divisor, needs
    the epsilon afterwards, `softplus(x) + 1e-6`.

    A bound on the wrong side is worse than none: x.clamp(max=1 + 1e-5) before atanh, acos or log(1 - x) lets 1.00001
    through, where all of them are NaN; that is `1 - 1e-5` with the wrong sign. x.clamp(min=1e9), a misprint of 1e-9,
    makes every value 1e9, and x.clamp(min=1, max=0) makes every value 0; neither has a gradient any more.

    Bad:
        import torch

        def distance_loss(a, b):
            distance = torch.sqrt(((a - b) ** 2).sum(dim=-1)) + 1e-6
            return distance.mean()
    Good:
        import torch

        def distance_loss(a, b):
            distance = torch.linalg.vector_norm(a - b, dim=-1) + 1e-6
            return distance.mean()
    Exempt: optimizers, whose `sqrt() + eps` is the algorithm; roots that nobody differentiates; what is proven to be
        positive; a quotient whose sum with the epsilon is the argument of a logarithm or a root or divides something,
        which the epsilon is for; `eps` as the name of noise. A quotient or root of which nothing is known is a possible
        defect, which `--min-confidence possible` shows.
    Fix: Safe for the root of a sum of squares, which becomes `torch.linalg.vector_norm`, and of a variance, which
        becomes `std`: the same values with finite gradients. Unsafe otherwise, for results change by as much as the
        epsilon, and at 0 by its root: the epsilon is moved inside, `sqrt(x + eps)`, `a / (b + eps)`, or out of what
        swallows it, `softplus(x) + eps`; the sign of a bound is turned, bounds are exchanged or the minus put in. An
        epsilon below 6e-8 is 0 in float16, inside as well. There is none where a comment would be lost, and for the
        method forms of division.
    Source: the figures were measured with torch 2.13 on CPU.
    """

    code = "TRN219"
    triggers = ("eps", "EPS", "tiny", "e-", "clamp", "clip", "0.0", "10**", "10 **")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every quotient and root with an epsilon outside, and every clamp whose bounds are misplaced."""
        if "torch" not in source.text:
            return
        ranges = source.fact(Ranges)
        for site in ranges.sites("div"):
            yield from _of_quotient(source, site)
        for site in ranges.sites(*ROOTS):
            yield from _of_root(source, site)
        for site in ranges.sites(*FLOORED):
            yield from _of_floored(source, site)
        if "clamp" not in source.text and "clip" not in source.text:
            return
        for site in ranges.sites("clamp", "clamp_min"):
            crossed = crossed_bounds(site)
            if crossed is not None:
                yield _of_crossed(source, site, crossed)
        for site in ranges.sites(*DOMAINS, *_LOGARITHMS):
            past = bounds_past_domain(source, site)
            if past is not None:
                yield _of_past(source, site, past)


def _of_quotient(source: Source, site: Site) -> Iterator[Finding]:
    quotient = site.node
    unclosed = _without_parentheses(source, quotient)
    if unclosed is not None:
        yield unclosed
        return
    outside = outside_of_quotient(source, quotient)
    if outside is None or "other" not in site.operands or is_optimizer_code(source, quotient):
        return
    hazard = next((each for each in site.hazards if each.operand == "other" and each.low <= 0 <= each.high), None)
    evidence = why_zero(source, site, "other")
    if hazard is None or evidence is None or site.is_masked(hazard):
        return
    divisor = site.operands["other"]
    if evidence.confidence is Confidence.POSSIBLE and site.values["other"].kind != NUMBER:
        made = site.values["other"].made
        if _CANDIDATES.search(last_name(divisor) or (made.operation if made is not None else "")):
            evidence = Evidence(Confidence.LIKELY, f"the epsilon tells that `{shown(source, divisor)}` may be 0")
    epsilon = shown(source, outside.epsilon)
    gives = "raises ZeroDivisionError" if site.values["other"].kind == NUMBER else "is inf or NaN"
    yield Finding(
        at=outside.node,
        message=f"`{epsilon}` is added to the quotient, so `{shown(source, quotient)}` {gives} where "
        f"`{shown(source, divisor)}` is 0; write `a / (b + {epsilon})`",
        confidence=min(evidence.confidence, Confidence.LIKELY),
        witness=evidence.witness,
        fix=lambda: moved_into_divisor(source, quotient, outside),
    )


def _without_parentheses(source: Source, quotient: cst.CSTNode) -> Finding | None:
    """`a + eps / b + eps`, of which only `eps / b` is a quotient."""
    if not isinstance(quotient, cst.BinaryOperation) or not is_epsilon(quotient.left) or quotient.lpar:
        return None
    inner = source.parent(quotient)
    if not isinstance(inner, cst.BinaryOperation) or not isinstance(inner.operator, cst.Add) or inner.lpar:
        return None
    outer = source.parent(inner)
    if inner.right is not quotient or not isinstance(outer, cst.BinaryOperation) or outer.left is not inner:
        return None
    if not isinstance(outer.operator, cst.Add) or not is_epsilon(outer.right):
        return None
    code = (
        f"({source.code(inner.left)} + {source.code(quotient.left)}) / "
        f"({source.code(quotient.right)} + {source.code(outer.right)})"
    )
    new = f"({code})" if outer.lpar else code
    edit = replace(source, outer, new) if not has_comment(source, outer) else None
    written = shown(source, outer)
    return Finding(
        at=outer,
        message=f"`{written[1:-1] if outer.lpar else written}` divides only `{shown(source, quotient.left)}`, for lack "
        f"of parentheses; "
        f"write `(a + {shown(source, quotient.left)}) / (b + {shown(source, outer.right)})`",
        confidence=Confidence.LIKELY,
        witness="2 + 1e-8 / 4 + 1e-8 is 2.0, not 0.5",
        fix=unsafe_fix("Put the parentheses in", edit) if edit is not None else None,
    )


def _of_root(source: Source, site: Site) -> Iterator[Finding]:
    root = site.node
    outside = epsilon_outside(source, root)
    value = site.values.get("input")
    if outside is None or value is None or value.kind == NUMBER or value.is_integer or not is_root(site):
        return
    if is_optimizer_code(source, root) or is_below_relu(value) or not may_be_differentiated(source, site):
        return
    for hazard in site.hazards:
        evidence = why_reached(source, site, hazard) if hazard.value == "finite" else None
        if evidence is None or site.is_masked(hazard):
            continue
        yield Finding(
            at=outside.node,
            message=f"`{shown(source, outside.epsilon)}` outside the root does not help its gradient: "
            f"`{shown(source, root)}` has none that is finite where its argument is 0 ({evidence.witness}); "
            f"{_remedy(source, root, outside)}",
            confidence=min(evidence.confidence, Confidence.LIKELY)
            if not is_model_or_loss(source, root)
            else evidence.confidence,
            witness=evidence.witness,
            fix=lambda: moved_into_root(source, site, outside),
        )
        return


def _of_floored(source: Source, site: Site) -> Iterator[Finding]:
    swallowed = swallowed_epsilon(site)
    if swallowed is None or not isinstance(site.node, cst.Call):
        return
    epsilon = shown(source, swallowed.epsilon)
    yield Finding(
        at=site.node,
        message=f"`{epsilon}` inside `{site.name}` is lost where `{shown(source, swallowed.value)}` is negative, "
        f"and `{shown(source, site.node)}` is 0 there; write `{site.name}(x) + {epsilon}`",
        confidence=Confidence.LIKELY if is_needed(source, site.node) else Confidence.POSSIBLE,
        witness=WITNESSES[site.name],
        fix=lambda: moved_out(source, site, swallowed),
    )


def _remedy(source: Source, root: cst.CSTNode, outside: Outside) -> str:
    norm = norm_code(source, root)
    if norm is not None:
        return f"write `{norm.code}`"
    deviation = deviation_code(source, root)
    if deviation is not None:
        return f"write `{deviation}`"
    if outside.is_bound:
        return f"bound what it is of, `x.clamp_min({INNER_BOUND}).sqrt()`"
    return f"write `torch.sqrt(x + {shown(source, outside.epsilon)})`"


def _of_crossed(source: Source, site: Site, crossed: Crossed) -> Finding:
    low = shown(source, crossed.low)
    if crossed.high is None:
        return Finding(
            at=crossed.low,
            message=f"`{shown(source, site.node)}` makes everything below {low} {low}, without a gradient; "
            f"write `{crossed.meant}`",
            confidence=Confidence.LIKELY,
            witness=f"1.0 becomes {low}",
            fix=unsafe_fix("Put the minus in", replace(source, crossed.low, crossed.meant or low)),
        )
    high = shown(source, crossed.high)
    are_written = isinstance(crossed.low, cst.BaseNumber) and isinstance(crossed.high, cst.BaseNumber)
    return Finding(
        at=site.node,
        message=f"`{shown(source, site.node)}` makes everything {high}, for {low}, its lower bound, is above; "
        + (f"write `{crossed.meant}`" if crossed.meant is not None else "exchange the bounds"),
        confidence=Confidence.CERTAIN if are_written else Confidence.LIKELY,
        witness=f"0.5 becomes {high}, without a gradient",
        fix=lambda: uncrossed(source, crossed),
    )


def _of_past(source: Source, site: Site, past: PastDomain) -> Finding:
    bounds = " and ".join(f"`{shown(source, bound)}`" for bound in past.bounds)
    lie = "lies" if len(past.bounds) == 1 else "lie"
    return Finding(
        at=past.bounds[-1],
        message=f"{bounds} {lie} beyond the domain, so that `{shown(source, site.node)}` is NaN there; "
        "turn the sign of the epsilon, as in `1 - eps`",
        confidence=Confidence.CERTAIN if site.name in DOMAINS else Confidence.LIKELY,
        witness=f"a value beyond {past.edge:g} stays beyond it, or becomes {past.edge:g}, which is no better",
        fix=lambda: turned(source, past),
    )
