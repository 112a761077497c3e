"""TRN302: a backward that passes the gradient scaler by."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Fix
from pipeline_lint.edits import replace, safe_fix
from pipeline_lint.facts.loops.scaling import ScalerDefect, Scaling
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class UnscaledBackward(Rule):
    """A loss is differentiated without the gradient scaler through which the optimizer steps.

    `scaler.step(optimizer)` divides all gradients by the scale, 65536 at first, before it steps. Gradients of a loss
    that was not multiplied by it end up 65536 times too small: with SGD, a learning rate of 0.1 and a gradient of 1.0
    the weight moves by 1.5e-6 instead of 0.1, and Adam, which divides by the size of gradients, hides it until the
    scale changes. Where several losses are differentiated for one step and only the first is scaled, the others have
    no part in it.

    Bad:
        def step(model, optimizer, scaler, x, target):
            optimizer.zero_grad()
            loss = ((model(x) - target) ** 2).mean()
            loss.backward()
            scaler.step(optimizer)
            scaler.update()
            return loss
    Good:
        def step(model, optimizer, scaler, x, target):
            optimizer.zero_grad()
            loss = ((model(x) - target) ** 2).mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            return loss
    Exempt: another branch of an `if` than the step through the scaler; a value whose name or definition says that it
        is scaled; backward through Accelerate, Fabric, DeepSpeed and the like.
    Fix: Safe: the loss goes through `scaler.scale`.
    Source: https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling; the figures were measured with torch 2.13 on
        CPU.
    """

    code = "TRN302"
    triggers = ("scaler", "Scaler")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every backward whose step goes through a scaler and which does not."""
        for defect in source.fact(Scaling).of("unscaled backward"):
            yield _found(source, defect)


def _found(source: Source, defect: ScalerDefect) -> Finding:
    assert defect.loss is not None
    loss = source.code(defect.loss)
    return Finding(
        at=defect.node,
        message=f"`{defect.scaler}.step` divides these gradients by the scale, and `{loss}` was not multiplied by it, "
        f"so they are 65536 times too small; write `{defect.scaler}.scale({loss}).backward()`",
        confidence=defect.confidence,
        fix=lambda: _fix(source, defect),
        related=((source.place(defect.related), "the step"),) if defect.related is not None else (),
    )


def _fix(source: Source, defect: ScalerDefect) -> Fix | None:
    if not defect.is_fixable or defect.loss is None:
        return None
    code = source.code(defect.loss)
    inner = code[1:-1] if defect.loss.lpar and code.startswith("(") else code
    return safe_fix("Scale the loss", replace(source, defect.loss, f"{defect.scaler}.scale({inner})"))
