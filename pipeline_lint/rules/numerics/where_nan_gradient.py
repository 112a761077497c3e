"""TRN210: a result that is thrown away where it goes wrong, which cures its value and not its gradient."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import safe_fix
from pipeline_lint.facts.gradient_reach import is_given, may_be_differentiated
from pipeline_lint.facts.guarding import shown
from pipeline_lint.facts.masking.double_where import guard_of, guarded_operand
from pipeline_lint.facts.masking.exclusions import Exclusion, exclusion_of
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.trained_code import is_differentiated, is_model_or_loss, is_optimizer_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_BY = {
    "where": "`where`",
    "index": "an index",
    "multiply": "a product",
    "masked_fill": "a fill",
    "nan_to_num": "a replacement of NaN",
}


class WhereNanGradient(Rule):
    """A mask after the fact, as in where(x > 0, log(x), 0), gives the right value and a NaN gradient.

    `torch.where` computes both branches for all elements and then picks. What it does not pick gets the gradient 0,
    and the backward pass goes through the branch all the same: the slope of log at 0 is infinite, and 0 times infinity
    is NaN. So where(x > 0, log(x), 0) of a zero is 0, as it should be, and its gradient is NaN, in float32, bfloat16
    and float16 alike. The loss looks right, the weights are NaN after the next step, and the line that did it is the
    one that seems to take care. It is the same for sqrt(x) and x ** 0.5 at 0, 1 / x and a / x at 0, exp(x) where it
    overflows, acos(x) at 1, and the same for every other way to throw results away after they were computed:
    log(x)[x > 0], log(x).masked_fill(x <= 0, 0), sqrt(x) * (x > 0), y[x <= 0] = 0, nan_to_num(log(x)).

    Keep the bad elements out before: give the operation something harmless where its result is thrown away, and pick
    afterwards as before. This is known as the double where. With an index, index the operand instead of the result.

    Bad:
        import torch

        def entropy_loss(p):
            return -torch.where(p > 0, p * torch.log(p), 0.0).sum()
    Good:
        import torch

        def entropy_loss(p):
            return -torch.where(p > 0, p * torch.log(torch.where(p > 0, p, 1)), 0.0).sum()
    Exempt: code through which no gradient flows: no_grad, detach, whole numbers, metrics, data preparation and
        optimizers; operations that are finite with a finite gradient in what is thrown away (log below 0 is NaN, but
        its slope is not); conditions that say nothing of the operand, such as a mask that comes from elsewhere; a
        product with a mask where the value itself is inf or NaN, which stays NaN (mask-by-multiplication). A condition
        whose threshold is far from where the operation goes wrong makes a possible defect, which
        `--min-confidence possible` shows.
    Fix: Safe: `torch.where(condition, x, safe)` takes the place of the operand, with 1 for logarithms, roots and
        divisors and 0 for exponentials and inverse functions, and log(x)[mask] becomes log(x[mask]). Values stay the
        same, and so do gradients wherever they were finite. There is none where the condition cannot be evaluated twice
        or is not known yet where the operation stands, where the result has other uses, where something that moves or
        sums elements lies between, for assignments to items and for `nan_to_num`.
    Source: the figures were measured with torch 2.13 on CPU; JAX, "Frequently asked questions", on gradients that
        contain NaN where `where` is used.
    """

    code = "TRN210"
    triggers = ("torch",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every operation that goes wrong in elements that are thrown away, where a gradient may flow."""
        found: dict[int, tuple[Site, Exclusion]] = {}
        for site in source.fact(Ranges).sites():
            if not site.hazards or (site.unguarded is None and not site.masks):
                continue
            exclusion = exclusion_of(source, site)
            if exclusion is None or not may_be_differentiated(source, site) or is_optimizer_code(source, site.node):
                continue
            found[id(site.node)] = site, exclusion
        for site, exclusion in found.values():
            made = site.values[exclusion.hazard.operand].made
            if made is None or id(made.node) not in found:
                # Of a / sqrt(x) the root is reported, whose guard keeps the divisor off 0 as well.
                yield _finding(source, site, exclusion)


def _finding(source: Source, site: Site, exclusion: Exclusion) -> Finding:
    hazard, evidence, kind, _ = exclusion
    confidence = evidence.confidence
    if not is_model_or_loss(source, site.node) or is_given(site.operands[hazard.operand]):
        confidence = min(confidence, Confidence.LIKELY)
    if not is_differentiated(source, site.node):
        confidence = Confidence.POSSIBLE
    place = f"`{shown(source, site.operands[hazard.operand])}` is {_place(hazard.low, hazard.high)}"
    guard = guard_of(source, site, exclusion)
    guarded = guarded_operand(source, site, exclusion, guard) if guard is not None else None
    remedy = f"write `{guarded.code}`" if guarded is not None else "keep these elements out before"
    return Finding(
        at=site.node,
        message=f"`{shown(source, site.node)}` has a NaN gradient where {place}, although {_BY[kind]} throws these "
        f"elements away ({evidence.witness}); {' '.join(remedy.split())}",
        confidence=confidence,
        witness=evidence.witness,
        fix=lambda: _fix(source, site, exclusion),
    )


def _place(low: float, high: float) -> str:
    """Where an operand goes wrong, in words."""
    if low == high:
        return f"{low:g}"
    return f"above {low:g}" if high == float("inf") else f"below {high:.1g}" if high < -1e-3 else "below 0"


def _fix(source: Source, site: Site, exclusion: Exclusion) -> Fix | None:
    guard = guard_of(source, site, exclusion)
    guarded = guarded_operand(source, site, exclusion, guard) if guard is not None else None
    return safe_fix("Keep the operand out of what is thrown away", *guarded.edits) if guarded is not None else None
