"""TRN309: a scheduler that counts steps which the gradient scaler has skipped."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Fix
from pipeline_lint.edits import insert_before, replace, unsafe_fix
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.loops.scaling import ScalerDefect, Scaling
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class SchedulerAfterSkippedStep(Rule):
    """A learning rate scheduler steps with every batch, also when the gradient scaler has skipped the optimizer's step.

    `scaler.step(optimizer)` skips the step when a gradient is infinite, which is what happens in the first batches
    while the scale comes down from 65536, and again whenever it has grown too large. The scheduler counts these
    batches all the same: a warm-up is shorter than it should be by the number of skipped steps, and if the very first
    step is skipped torch warns that the scheduler was called before the optimizer. After an `update()` that lowered
    the scale, the step was skipped.

    Bad:
        def train(model, optimizer, scaler, scheduler, loader):
            for x, target in loader:
                optimizer.zero_grad()
                loss = ((model(x) - target) ** 2).mean()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                scheduler.step()
            return scheduler.last_epoch
    Good:
        def train(model, optimizer, scaler, scheduler, loader):
            for x, target in loader:
                optimizer.zero_grad()
                loss = ((model(x) - target) ** 2).mean()
                scaler.scale(loss).backward()
                scale = scaler.get_scale()
                scaler.step(optimizer)
                scaler.update()
                if scaler.get_scale() >= scale:
                    scheduler.step()
            return scheduler.last_epoch
    Exempt: a scheduler that steps in an outer loop, once per epoch; a file that asks for the scale (`get_scale`).
    Fix: Unsafe: the scale is kept before the step and the scheduler steps if it has not come down since. Where steps
        are skipped, the learning rates change.
    Source: https://docs.pytorch.org/docs/stable/amp.html#torch.amp.GradScaler.step
    """

    code = "TRN309"
    triggers = ("scaler", "Scaler")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every scheduler that steps in each round with a scaler."""
        for defect in source.fact(Scaling).of("schedule after skip"):
            yield _found(source, defect)


def _found(source: Source, defect: ScalerDefect) -> Finding:
    return Finding(
        at=defect.node,
        message=f"the scheduler steps also when `{defect.scaler}` has skipped the optimizer's step, as it does in the "
        f"first batches; step it only if `{defect.scaler}.get_scale()` has not come down",
        confidence=defect.confidence,
        fix=lambda: _fix(source, defect),
        related=((source.place(defect.related), "the step that may be skipped"),) if defect.related else (),
    )


def _fix(source: Source, defect: ScalerDefect) -> Fix | None:
    step = source.statement_of(defect.related) if defect.related is not None else None
    schedule = source.statement_of(defect.node)
    names = source.fact(Names)
    if not defect.is_fixable or not isinstance(step, cst.SimpleStatementLine) or not names.is_free("scale_before"):
        return None
    if not isinstance(schedule, cst.SimpleStatementLine) or len(schedule.body) > 1:
        return None
    if source.parent(step) is not source.parent(schedule) or not isinstance(source.parent(step), cst.IndentedBlock):
        return None
    start, _ = source.span(schedule)
    indent = source.text[source.document.line_starts[source.document.row_of(start) - 1] : start]
    condition = f"if {defect.scaler}.get_scale() >= scale_before:"
    inner = source.module.default_newline + indent + source.module.default_indent
    return unsafe_fix(
        "Step the scheduler only after steps that were made",
        insert_before(source, step, f"scale_before = {defect.scaler}.get_scale()"),
        replace(source, schedule, f"{condition}{inner}{source.code(schedule.body[0])}"),
    )
