"""TRN301: training in float16 whose gradients underflow, because nothing scales the loss."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Fix
from pipeline_lint.edits import unsafe_fix
from pipeline_lint.facts.loops.unscaled_training import UnscaledTraining, scaler_edits, unscaled_trainings
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class MissingLossScaling(Rule):
    """The forward pass runs under float16 autocast, and its loss is differentiated without a gradient scaler.

    The smallest number of float16 is 6e-8; what is smaller is 0. Gradients of activations are that small in an ordinary
    network: a mean over a batch alone divides them by its size. So the deeper layers get gradients that are partly or
    wholly 0, and they stop learning while the loss of the layers above goes down: for two linear layers and a loss
    multiplied by 1e-8, as a mean over a large image is, all gradients are 0.0 under float16 autocast, and right in
    float32. A `GradScaler` multiplies the loss by 65536 before `backward()`, divides the gradients before the step, and
    adjusts the factor.

    bfloat16 (`torch.autocast("cuda", dtype=torch.bfloat16)`) has the range of float32 and needs no scaler; where the
    hardware has it, that is the simpler cure.

    Bad:
        import torch

        def train(model, optimizer, loader, loss_function):
            for x, target in loader:
                optimizer.zero_grad()
                with torch.autocast("cuda", dtype=torch.float16):
                    loss = loss_function(model(x), target)
                loss.backward()
                optimizer.step()
            return loss
    Good:
        import torch

        def train(model, optimizer, loader, loss_function):
            scaler = torch.amp.GradScaler("cuda")
            for x, target in loader:
                optimizer.zero_grad()
                with torch.autocast("cuda", dtype=torch.float16):
                    loss = loss_function(model(x), target)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
            return loss
    Exempt: bfloat16, a dtype that is computed, autocast that is switched off; a file in which anything speaks of a
        scaler, or of a framework that scales (Accelerate, DeepSpeed, Lightning, apex, HF Trainer); evaluation.
    Fix: Unsafe: a scaler is created before the loop, switched by what switches autocast; backward and step go through
        it, gradients are unscaled before they are clipped, `update()` follows the last step, and the scaler's state is
        saved and loaded beside the optimizer's where the same function does that. There is none where the pieces are in
        several functions.
    Source: P. Micikevicius et al., "Mixed Precision Training" (2018);
        https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling; the figures were measured with torch 2.13 on
        CPU.
    """

    code = "TRN301"
    triggers = ("autocast",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every loop that trains under float16 autocast without a scaler."""
        for training in unscaled_trainings(source):
            yield _found(source, training)


def _found(source: Source, training: UnscaledTraining) -> Finding:
    return Finding(
        at=training.backward.action.node,
        message="the loss is computed under float16 autocast and differentiated without a `GradScaler`, so gradients "
        "below 6e-8 are 0; scale it, or use `dtype=torch.bfloat16`",
        confidence=training.confidence,
        fix=lambda: _fix(source, training),
        related=((source.place(training.autocast.call), "the autocast"),),
    )


def _fix(source: Source, training: UnscaledTraining) -> Fix | None:
    edits = scaler_edits(source, training)
    return unsafe_fix("Scale the loss with a `GradScaler`", *edits) if edits is not None else None
