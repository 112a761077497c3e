"""TRN217: an unbiased standard deviation or variance of what may be one element."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.division.spreads import biased, is_of_several, why_one
from pipeline_lint.facts.gradient_uses import GradientUses
from pipeline_lint.facts.guarding import shown
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.value import Evidence
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_OF_A_RARE_BATCH = frozenset({"a batch of one", "an episode of one step"})


class StdOfOne(Rule):
    """The standard deviation of one element is NaN, because torch divides by one less than the number of elements.

    `x.std()` and `x.var()` are unbiased by default: they divide by n - 1, which is 0 / 0 for n = 1. torch warns once
    ("degrees of freedom is <= 0") and goes on with NaN, in every dtype. An epsilon does not help, since NaN + 1e-8 is
    NaN: the advantages of reinforcement learning, (adv - adv.mean()) / (adv.std() + 1e-8), are NaN for an episode of
    one step or a last minibatch of one sample, and with them the loss and every parameter. The same happens to
    statistics pooled over a sequence of one frame, to losses that take the variance over a batch of one, and to a
    parameter of one element whose std is logged.

    With `correction=0` the sum is divided by n: the spread of one element is then 0.0, with the gradient 0.0. For n
    elements the result is smaller by the factor sqrt((n - 1) / n), for 64 elements by 0.8 %. numpy divides by n.

    Bad:
        import torch

        def explained_variance(returns, values):
            eps = torch.finfo(returns.dtype).eps
            return 1 - (returns - values).var() / (returns.var() + eps)
    Good:
        import torch

        def explained_variance(returns, values):
            eps = torch.finfo(returns.dtype).eps
            return 1 - (returns - values).var(correction=0) / (returns.var(correction=0) + eps)
    Exempt: `correction=0` and `unbiased=False`; code under a test that asks for the number of elements, or after an
        early return for it; a selection by a mask, which may be empty as well (mean-of-empty). Likely are rewards,
        returns and advantages, parameters and gradients in a loop over a model's parameters, slices up to a length, and
        the first dimension in a model or loss, if it is not that of stacked, drawn or flattened values; any other
        spread is a possible defect, which `--min-confidence possible` shows.
    Fix: Unsafe: `correction=0` takes the place of `unbiased`, other arguments stay. The result changes for every number
        of elements. There is none where a comment would be lost, or with `out=`.
    Source: the figures were measured with torch 2.13 on CPU.
    """

    code = "TRN217"
    triggers = ("std", "var")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every unbiased spread over what may be one element."""
        if "torch" not in source.text:
            return
        for site in source.fact(Ranges).sites("std", "var", "std_mean", "var_mean"):
            if site.input.empty is not None or is_of_several(source, site):
                continue
            evidence = why_one(source, site)
            if evidence.witness in _OF_A_RARE_BATCH and _is_only_read(source, site.node):
                evidence = Evidence(Confidence.POSSIBLE, evidence.witness)
            because = f" ({evidence.witness})" if evidence.confidence > Confidence.POSSIBLE else ""
            yield Finding(
                at=site.node,
                message=f"`{shown(source, site.node)}` is NaN where it is of one element{because}; "
                f"write `{site.name}(..., correction=0)`, which is 0 there",
                confidence=evidence.confidence,
                witness=evidence.witness,
                fix=lambda site=site: biased(source, site),  # type: ignore[misc]
            )


def _is_only_read(source: Source, node: cst.CSTNode) -> bool:
    """Whether a spread is logged or compared, where one NaN among the values of an epoch does no harm."""
    uses = source.fact(GradientUses)
    return uses.is_off(node) or uses.are_lost(node)
