"""TRN409: a training loop that goes on with whatever number its loss has become."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import unsafe_fix
from pipeline_lint.facts.loops.hand_written import HandWritten, guard_edits, hand_written
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_CHECKS = re.compile(
    r"is_?nan|is_?inf|is_?finite|nan_to_num|detect_anomaly|error_if_nonfinite|GradScaler|scaler|NaN|TerminateOnNan",
    re.IGNORECASE,
)


class UnguardedTraining(Rule):
    """A training loop has no check for losses or gradients that are not finite, so it trains on after the first NaN.

    One NaN in a gradient makes every parameter NaN at the next step, and all that comes after it: `log(0)` in one
    batch of ten thousand ends the run, and what is seen of it is a loss that is NaN hours later, far from the batch and
    the line that made it. The update has to be kept from happening at the first number that is not finite.

    `runtime_guard` does that without a synchronisation, runs the step once more, and says which operation made the
    number. A test of the loss (`torch.isfinite`) before the backward pass sees less, and waits for the device.

    Bad:
        import torch

        def train(model, optimizer, loader, loss_function):
            for x, target in loader:
                optimizer.zero_grad()
                loss = loss_function(model(x), target)
                loss.backward()
                optimizer.step()
    Good:
        import torch
        from runtime_guard import Guard

        def train(model, optimizer, loader, loss_function):
            guard = Guard(model, optimizer)
            for x, target in guard.watch(loader):
                optimizer.zero_grad()
                loss = loss_function(model(x), target)
                loss.backward()
                optimizer.step()
            guard.close()
    Exempt: files that speak of NaN, Inf or finite numbers anywhere, or of a GradScaler, which skips bad steps; loops of
        frameworks; steps that are split over functions; tests. The rule is off by default.
    Fix: Unsafe, because a run that went on after a NaN now stops there: the loop is wrapped with `runtime_guard`. There
        is none where the model that the optimizer steps cannot be told, or the loop is a `while`.
    Source: "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), on anomaly detection.
    """

    code = "TRN409"
    is_default = False
    triggers = ("backward(",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every training loop of a file that checks for nothing."""
        if not _CHECKS.search(source.text):
            yield from (_found(source, loop) for loop in hand_written(source))


def _found(source: Source, loop: HandWritten) -> Finding:
    return Finding(
        at=loop.batches.iter,
        message=f"nothing keeps `{loop.optimizers[0]}` from stepping with gradients that are NaN or Inf, which makes "
        "all parameters NaN; watch the loop with `runtime_guard.Guard`",
        confidence=Confidence.LIKELY,
        fix=lambda: _fix(source, loop),
    )


def _fix(source: Source, loop: HandWritten) -> Fix | None:
    edits = guard_edits(source, loop)
    return unsafe_fix("Watch the loop with a `Guard`", *edits) if edits is not None else None
