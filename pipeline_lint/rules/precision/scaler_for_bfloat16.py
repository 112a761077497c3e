"""TRN310: a gradient scaler for bfloat16, which needs none."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import unsafe_fix
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.loops.autocasts import Autocasts
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_SCALERS = frozenset({"torch.amp.GradScaler", "torch.cuda.amp.GradScaler", "torch.cpu.amp.GradScaler"})


class ScalerForBfloat16(Rule):
    """A gradient scaler is on although autocast computes in bfloat16, whose range is that of float32.

    The scaler exists because gradients below 6e-8 are 0 in float16. bfloat16 goes down to 1e-38, so nothing underflows,
    and the scaler costs a pass over all gradients and a wait for the GPU in every step, for a test that it could only
    fail by its own doing: multiplied by a scale that keeps growing, gradients of 1e30 and more become infinite, and the
    step is skipped.

    Bad:
        import torch

        def step(model, optimizer, x, target):
            scaler = torch.amp.GradScaler("cpu")
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = ((model(x) - target) ** 2).mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            return loss
    Good:
        import torch

        def step(model, optimizer, x, target):
            scaler = torch.amp.GradScaler("cpu", enabled=False)
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = ((model(x) - target) ** 2).mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            return loss
    Exempt: a file whose autocasts are not all bfloat16 by a literal; a scaler whose `enabled` is given.
    Fix: Unsafe: `enabled=False`, with which all its methods pass through. Rounding changes in the last bit.
    Source: https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling
    """

    code = "TRN310"
    triggers = ("GradScaler",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every scaler of a file in which autocast computes in bfloat16 only."""
        autocasts = [each for each in source.fact(Autocasts).all if not each.is_off]
        if not autocasts or any(each.dtype != "bfloat16" for each in autocasts):
            return
        names = source.fact(Names)
        for call in source.nodes(cst.Call):
            if names.resolve(call.func) in _SCALERS and not any(_is_decided(argument) for argument in call.args):
                yield Finding(
                    at=call,
                    message="`GradScaler` is on and autocast computes in bfloat16, whose gradients do not underflow; "
                    "write `enabled=False`",
                    confidence=Confidence.LIKELY,
                    fix=lambda call=call: _fix(source, call),  # type: ignore[misc] # mypy cannot infer a lambda's default
                    related=((source.place(autocasts[0].call), "autocast to bfloat16"),),
                )


def _is_decided(argument: cst.Arg) -> bool:
    return bool(argument.star) or (argument.keyword is not None and argument.keyword.value == "enabled")


def _fix(source: Source, call: cst.Call) -> Fix:
    if call.args:
        _, end = source.span(call.args[-1].value)
        return unsafe_fix("Switch the scaler off", source.document.edit(end, end, ", enabled=False"))
    opening = source.text.index("(", source.span(call.func)[1]) + 1
    return unsafe_fix("Switch the scaler off", source.document.edit(opening, opening, "enabled=False"))
