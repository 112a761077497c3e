"""TRN304: a gradient scaler that is passed by, never updated, or asked to unscale twice."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Fix
from pipeline_lint.edits import insert_after, replace, safe_fix
from pipeline_lint.facts.loops.scaling import ScalerDefect, Scaling
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class ScalerWithoutUpdate(Rule):
    """A gradient scaler is left half used: no `update`, a step that passes it by, `unscale_` twice before an update.

    - Without `scaler.update()` the second `unscale_` or clipped step raises, and without either the scale stays where
      it began: once gradients overflow at 65536, every step is skipped from then on, and nothing says so.
    - `optimizer.step()` after `scaler.scale(loss).backward()` takes gradients that are 65536 times too large, and skips
      the test for infinities: with SGD, a learning rate of 0.1 and a gradient of 1.0 the weight moves by 6553.6.
    - `unscale_` in every round and `update` only in some (gradient accumulation) raises "unscale_() has already been
      called on this optimizer since the last update()".

    Bad:
        def step(model, optimizer, scaler, x, target):
            optimizer.zero_grad()
            loss = ((model(x) - target) ** 2).mean()
            scaler.scale(loss).backward()
            optimizer.step()
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
    Exempt: another branch of an `if`; a step after `unscale_`, which has divided the gradients; a scaler that the file
        does not build, for its update.
    Fix: Safe: the step goes through the scaler, and `update()` follows the step; none for `unscale_`, which belongs
        under the condition of the step together with the clip.
    Source: https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling; the figures were measured with torch 2.13 on
        CPU.
    """

    code = "TRN304"
    triggers = ("scaler", "Scaler")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every step that passes a scaler by, scaler that is not updated, and repeated `unscale_`."""
        for defect in source.fact(Scaling).of("direct step", "no update", "unscale twice"):
            yield _found(source, defect)


def _found(source: Source, defect: ScalerDefect) -> Finding:
    scaler = defect.scaler
    match defect.kind:
        case "direct step":
            message = (
                f"`{defect.optimizer}.step()` takes gradients that are multiplied by the scale of `{scaler}`, 65536 at "
                f"first; write `{scaler}.step({defect.optimizer})`"
            )
        case "no update":
            message = (
                f"`{scaler}` is never updated, so once gradients overflow every step is skipped; call "
                f"`{scaler}.update()` behind the step"
            )
        case _:
            message = (
                f"`{scaler}.unscale_` is called in every round and `{scaler}.update` only in some, so the second call "
                "raises; unscale and clip under the condition of the step"
            )
    return Finding(
        at=defect.node,
        message=message,
        confidence=defect.confidence,
        fix=lambda: _fix(source, defect),
        related=((source.place(defect.related), _RELATED[defect.kind]),) if defect.related is not None else (),
    )


_RELATED = {"direct step": "the scaled backward", "unscale twice": "the update"}


def _fix(source: Source, defect: ScalerDefect) -> Fix | None:
    if not defect.is_fixable or not isinstance(defect.node, cst.Call):
        return None
    if defect.kind == "direct step" and not defect.node.args and defect.optimizer:
        code = f"{defect.scaler}.step({defect.optimizer})"
        return safe_fix("Step through the scaler", replace(source, defect.node, code))
    statement = source.statement_of(defect.node)
    is_line = isinstance(statement, cst.SimpleStatementLine) and isinstance(source.parent(statement), cst.IndentedBlock)
    if statement is not None and is_line and defect.kind == "no update":
        return safe_fix("Update the scale", insert_after(source, statement, f"{defect.scaler}.update()"))
    return None
