"""TRN303: gradients that are clipped while they are multiplied by the loss scale."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import insert_before, safe_fix
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.loops.scaling import ScalerDefect, Scaling
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_SCALE = re.compile(r"scale", re.IGNORECASE)


class ClipBeforeUnscale(Rule):
    """Gradients are clipped between the scaled backward and `unscale_`, or only some of them are unscaled.

    After `scaler.scale(loss).backward()` all gradients are multiplied by the scale, 65536 at first. A clip to the norm
    1.0 then cuts a gradient of norm 0.01 as well, which is 655 at that moment: every step is cut to 1.0 / 65536 once it
    is unscaled, so training hardly moves and the norms in the log are those of the scale. `scaler.unscale_(optimizer)`
    divides the gradients; `scaler.step` does not do it again.

    Bad:
        import torch

        def step(model, optimizer, scaler, x, target):
            optimizer.zero_grad()
            loss = ((model(x) - target) ** 2).mean()
            scaler.scale(loss).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            return loss
    Good:
        import torch

        def step(model, optimizer, scaler, x, target):
            optimizer.zero_grad()
            loss = ((model(x) - target) ** 2).mean()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            return loss
    Exempt: a clip that another branch than that of the scaler takes; Accelerate and Fabric, whose clipping unscales;
        unknown code between backward and clip that is handed the optimizer.
    Fix: Safe: `scaler.unscale_(optimizer)` is inserted before the clip, where the step follows under no condition of
        its own.
    Source: https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-clipping; the figures were measured
        with torch 2.13 on CPU.
    """

    code = "TRN303"
    triggers = ("scaler", "Scaler", "_scale")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every clip of scaled gradients, and gradients of which only the first is unscaled by hand."""
        for defect in source.fact(Scaling).of("clip before unscale"):
            yield _found(source, defect)
        yield from _first_only(source)


def _found(source: Source, defect: ScalerDefect) -> Finding:
    return Finding(
        at=defect.node,
        message=f"gradients are clipped while they are multiplied by the scale of `{defect.scaler}`, so every step is "
        f"cut; call `{defect.scaler}.unscale_({defect.optimizer or 'optimizer'})` before",
        confidence=defect.confidence,
        fix=lambda: _fix(source, defect),
        related=((source.place(defect.related), "the scaled backward"),) if defect.related is not None else (),
    )


def _fix(source: Source, defect: ScalerDefect) -> Fix | None:
    statement = source.statement_of(defect.node)
    if not defect.is_fixable or not isinstance(statement, cst.SimpleStatementLine):
        return None
    if not isinstance(source.parent(statement), cst.IndentedBlock):
        return None
    return safe_fix(
        "Unscale before the clip",
        insert_before(source, statement, f"{defect.scaler}.unscale_({defect.optimizer})"),
    )


def _first_only(source: Source) -> Iterator[Finding]:
    """`master_params[0].grad.mul_(1 / scale)`, with no loop over the others."""
    for call in source.nodes(cst.Call):
        match call:
            case cst.Call(
                func=cst.Attribute(
                    value=cst.Attribute(
                        value=cst.Subscript(value=parameters, slice=[index]), attr=cst.Name(value="grad")
                    )
                ),
                args=[cst.Arg(value=factor)],
            ) if called_name(call) in ("mul_", "div_") and source.code(index) == "0":
                if _SCALE.search(source.code(factor)) and source.enclosing(call, cst.For) is None:
                    yield Finding(
                        at=call,
                        message=f"only the first gradient of `{source.code(parameters)}` is divided by the loss scale, "
                        "and the step takes all of them; divide them in a loop",
                        confidence=Confidence.LIKELY,
                    )
