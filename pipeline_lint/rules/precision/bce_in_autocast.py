"""TRN308: a binary cross entropy that raises under autocast."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.loops.autocasts import Autocasts
from pipeline_lint.facts.losses.loss_calls import LossCall, loss_calls
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class BceInAutocast(Rule):
    """`BCELoss` and `binary_cross_entropy` raise under CUDA autocast.

    Under autocast the prediction comes in float16, where a sigmoid rounds to 0 or 1 from 8.5 on and its logarithm is
    infinite. torch refuses: "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast". The
    code runs on a CPU and raises in the first step on a GPU.

    `binary_cross_entropy_with_logits` and `BCEWithLogitsLoss` take the logits and are safe in any dtype.

    Bad:
        import torch
        import torch.nn.functional as F

        def loss(model, x, target):
            with torch.autocast("cuda"):
                return F.binary_cross_entropy(model(x), target)
    Good:
        import torch
        import torch.nn.functional as F

        def loss(model, x, target):
            with torch.autocast("cuda"):
                return F.binary_cross_entropy_with_logits(model(x), target)
    Exempt: an autocast for another device, or switched off with a literal; a loss in a function that is called from the
        block.
    Fix: None: whether the model can give its logits is for the model to say; where the sigmoid is in reach,
        `bce-on-probabilities` moves it.
    Source: https://docs.pytorch.org/docs/stable/amp.html#prefer-binary-cross-entropy-with-logits-over-binary-cross-entropy
    """

    code = "TRN308"
    triggers = ("autocast",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every such loss in a CUDA autocast block of the same function."""
        if "BCELoss" not in source.text and "binary_cross_entropy" not in source.text:
            return
        for loss in loss_calls(source, function="torch.nn.functional.binary_cross_entropy", module="torch.nn.BCELoss"):
            autocast = source.fact(Autocasts).around(loss.call)
            if autocast is not None and autocast.device == "cuda" and not autocast.is_off:
                yield _found(source, loss, autocast.call, is_certain=autocast.enabled is None)


def _found(source: Source, loss: LossCall, autocast: cst.Call, *, is_certain: bool) -> Finding:
    name, remedy = (
        ("BCELoss", "nn.BCEWithLogitsLoss")
        if loss.is_module
        else ("binary_cross_entropy", "F.binary_cross_entropy_with_logits")
    )
    return Finding(
        at=loss.call,
        message=f"`{name}` raises under CUDA autocast; give the logits to `{remedy}`",
        confidence=Confidence.CERTAIN if is_certain else Confidence.LIKELY,
        related=((source.place(autocast), "the autocast"),),
    )
