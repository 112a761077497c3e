"""TRN211: the mean of a selection that may be empty."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Applicability, Fix
from pipeline_lint.edits import replace, unsafe_fix
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.division.bounded_divisors import count_bounded
from pipeline_lint.facts.division.divisors import is_mean_over_mask, why_mean_of_none
from pipeline_lint.facts.division.selections import IGNORING_NAN, LOSSES, RAISING, raises, why_empty
from pipeline_lint.facts.guarding import has_comment, is_repeatable, receiver_code, shown
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import Evidence
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_SPREADS = ("std", "var", "std_mean", "var_mean")


class MeanOfEmpty(Rule):
    """The mean of a selection is NaN when nothing is selected.

    A mean is a sum divided by a count, and 0 / 0 is NaN: torch.ones(3)[torch.zeros(3, dtype=torch.bool)].mean() is nan
    in every dtype, and so are std, var and median of it. It happens for the one batch without a positive sample,
    without a valid pixel, without a pair of the same class, for the sentence that is all padding; often after hours,
    because nothing is selected only rarely. The same mean written out, (x * mask).sum() / mask.sum(), is NaN as well,
    and so is its gradient with respect to all of x: one empty mask in a batch spoils every parameter. Losses that
    average by default (`F.mse_loss`, `F.cross_entropy`) are NaN for empty inputs, `nanmean` and `nanmedian` of a row of
    which all is masked are NaN, `logsumexp` of nothing is -inf, and max and min raise an error.

    What is selected is followed from the index to the reduction: boolean masks, `masked_select`, `nonzero`,
    `torch.where(mask)`, positions of pairs that a function looks for, lists from which values are filtered out.

    Bad:
        import torch

        def masked_loss(error, mask):
            return error[mask].mean()
    Good:
        import torch

        def masked_loss(error, mask):
            return error[mask].sum() / mask.sum().clamp(min=1)
    Exempt: a selection that a test proves not to be empty: of the mask (`mask.any()`, `mask.sum() > 0`) or of the
        selection (`numel()`, `len`, `shape[0]`), around it, by an early return or an assert; reductions along another
        dimension than the selected one, which leave an empty selection empty; sums; quotients whose bad results are
        thrown away afterwards; a sum with an epsilon; masks of what occurs (`labels == label` for a label of
        `labels.unique()`, one-hot). Possible defects, which `--min-confidence possible` shows, are masks of padding,
        lengths and chance, which leave something of every sequence; masks of which neither the making nor the name
        says that they are of labels, pairs, valid or finite values, unless the function is written for masks
        (`masked_mean`); metrics, code under `no_grad`, results that are looked at or compared later; max, min and
        quantile, which raise an error.
    Fix: Unsafe: a mean over nothing becomes 0 instead of NaN. A quotient is divided by `mask.sum().clamp(min=1)`, or by
        `max(n, 1)` where that is a number. `x[mask].mean()` becomes `x[mask].sum() / max(x[mask].numel(), 1)`, which
        counts what is averaged also where the mask has fewer dimensions than x. Mind that in float16 a sum of many
        elements overflows where their mean, which torch accumulates in float32, does not. There is none for other
        reductions and losses, for a mean along a dimension, and for a selection that is not free to be evaluated twice.
    Source: "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), on mean reductions of empty
        tensors; the figures were measured with torch 2.13 on CPU.
    """

    code = "TRN211"
    triggers = ("torch", "keepdim")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every reduction of what may be empty, and every mean over a mask that is written as a quotient."""
        ranges = source.fact(Ranges)
        for site in ranges.sites(
            "mean", "median", *_SPREADS, *sorted(IGNORING_NAN), *sorted(RAISING), "logsumexp", *sorted(LOSSES)
        ):
            evidence = why_empty(source, site)
            if evidence is not None:
                yield _of_selection(source, site, evidence)
        for site in ranges.sites("div"):
            is_thrown_away = any(map(site.is_masked, site.hazards))
            if not site.hazards or is_thrown_away or "other" not in site.operands or not is_mean_over_mask(site):
                continue
            evidence = why_mean_of_none(source, site)
            if evidence is not None:
                yield _of_quotient(source, site, evidence)


def _of_selection(source: Source, site: Site, evidence: Evidence) -> Finding:
    selection = shown(source, site.operands["input"])
    goes_wrong, where = "is NaN", "is empty"
    if raises(site):
        goes_wrong = "raises an error"
    elif site.name == "logsumexp":
        goes_wrong = "is -inf"
    elif site.name in IGNORING_NAN:
        where = "has nothing but NaN"
    elif site.name in _SPREADS:
        where = "has less than two elements"
    remedy = "compute it only where there is something"
    if site.name == "mean":
        remedy = "divide the sum by at least 1, as in `x[mask].sum() / mask.sum().clamp(min=1)`"
    return Finding(
        at=site.node,
        message=f"`{shown(source, site.node)}` {goes_wrong} where `{selection}` {where} ({evidence.witness}); {remedy}",
        confidence=evidence.confidence,
        witness=evidence.witness,
        fix=lambda: _selection_fix(source, site),
    )


def _of_quotient(source: Source, site: Site, evidence: Evidence) -> Finding:
    divisor = site.operands["other"]
    return Finding(
        at=divisor,
        message=f"`{shown(source, site.node)}` is NaN where the mask selects nothing; divide by at least 1, as in "
        "`mask.sum().clamp(min=1)`",
        confidence=evidence.confidence,
        witness=evidence.witness,
        fix=lambda: _as_unsafe(count_bounded(source, divisor, site.values["other"])),
    )


def _as_unsafe(fix: Fix | None) -> Fix | None:
    """A mean over nothing becomes 0, which is what the sum is, and not what a mean is."""
    return Fix(Applicability.UNSAFE, fix.message, fix.edits) if fix is not None else None


def _selection_fix(source: Source, site: Site) -> Fix | None:
    """`x[mask].sum() / max(x[mask].numel(), 1)`, where the mean is one of all elements."""
    operation = source.fact(Calls).operation(site.node)
    if site.name != "mean" or operation is None or operation.operands.keys() != {"input"} or operation.is_inplace:
        return None
    selection = site.operands["input"]
    if not isinstance(site.node, cst.Call) or has_comment(source, site.node) or not is_repeatable(selection):
        return None
    code = f"{receiver_code(source, selection)}.sum() / max({source.code(selection)}.numel(), 1)"
    is_alone = isinstance(source.parent(site.node), cst.Arg | cst.Assign | cst.AnnAssign | cst.Return)
    fixed = code if is_alone and not site.node.lpar else f"({code})"
    return unsafe_fix("Divide the sum by at least 1", replace(source, site.node, fixed))
