"""TRN404: learning rate schedulers that step too early, too often or too rarely."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import safe_fix
from pipeline_lint.facts.loops.moving import moved_to_end
from pipeline_lint.facts.loops.schedules import EarlySchedule, MissingMetric, WrongPace, early_schedules, wrong_paces
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class SchedulerBeforeOptimizer(Rule):
    """A learning rate scheduler steps before the optimizer, per batch where it counts epochs, or the other way round.

    Since torch 1.1 `scheduler.step()` belongs behind the optimizer's steps. In front of them it skips the first
    learning rate: with `MultiStepLR(optimizer, milestones=[1, 3], gamma=0.1)` and 0.1 the epochs run at 0.01, 0.01,
    0.001 instead of 0.1, 0.01, 0.01, and a warm-up or a cosine is off by one all the way. torch warns about it once.

    A scheduler counts its own steps and knows nothing of epochs. `StepLR(optimizer, step_size=30)` that steps with
    every batch divides the rate by ten every 30 batches, so it is 1e-6 of itself before the first epoch is over;
    `OneCycleLR(steps_per_epoch=len(loader), ...)` that steps with every epoch never gets beyond its warm-up.
    `ReduceLROnPlateau.step()` without a metric raises a TypeError.

    Bad:
        import torch

        def train(model, optimizer, loader, num_epochs):
            scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3])
            rates = []
            for epoch in range(num_epochs):
                scheduler.step()
                for x in loader:
                    optimizer.zero_grad()
                    model(x).mean().backward()
                    optimizer.step()
                rates.append(optimizer.param_groups[0]["lr"])
            return rates
    Good:
        import torch

        def train(model, optimizer, loader, num_epochs):
            scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3])
            rates = []
            for epoch in range(num_epochs):
                for x in loader:
                    optimizer.zero_grad()
                    model(x).mean().backward()
                    optimizer.step()
                rates.append(optimizer.param_groups[0]["lr"])
                scheduler.step()
            return rates
    Exempt: a step that is told its epoch (`scheduler.step(epoch)`); a step under a condition, which may spare the first
        round; schedulers that a class of the file or another library defines, and `last_epoch` set by hand; a step
        size, `T_max` or milestones that may count batches; an optimizer that has stepped before the loop. A scheduler
        of which the file does not show the class is a possible finding.
    Fix: Safe, none for the pace: a step too early is moved to the end of the loop's round, if nothing in the round ends
        it before. Whether a scheduler should step elsewhere or count something else is for you to say.
    Source: https://docs.pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate; the figures were measured with
        torch 2.13 on CPU.
    """

    code = "TRN404"
    triggers = (".step(",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Schedulers that step before the optimizer, and those whose class or settings count another loop."""
        if "sched" not in source.text and "lr_" not in source.text:
            return
        for early in early_schedules(source):
            yield _found_early(source, early)
        for wrong in wrong_paces(source):
            yield _found_metric(wrong) if isinstance(wrong, MissingMetric) else _found_pace(wrong)


def _found_early(source: Source, early: EarlySchedule) -> Finding:
    scheduler = early.schedule.action.path
    return Finding(
        at=early.schedule.action.node,
        message=f"`{scheduler}.step()` comes before the optimizer's step, so the first learning rate is never used; "
        "call it at the end of the round",
        confidence=early.confidence,
        fix=lambda: _fix(source, early),
        related=((source.place(early.step.action.node), "the optimizer's step"),),
    )


def _fix(source: Source, early: EarlySchedule) -> Fix | None:
    if early.schedule.calls:
        return None
    edits = moved_to_end(source, early.schedule.action.node, early.loop)
    return safe_fix("Step the scheduler at the end of the round", *edits) if edits is not None else None


def _found_pace(wrong: WrongPace) -> Finding:
    scheduler = wrong.schedule.action.path
    if wrong.is_too_often:
        problem = f"`{wrong.class_name}({wrong.setting})` counts epochs, and steps with every batch"
        advice = f"call `{scheduler}.step()` once per epoch, or count batches"
    else:
        problem = f"`{wrong.class_name}` counts batches, and steps once per epoch"
        advice = f"call `{scheduler}.step()` behind every step of the optimizer"
    return Finding(at=wrong.schedule.action.node, message=f"{problem}; {advice}", confidence=Confidence.LIKELY)


def _found_metric(wrong: MissingMetric) -> Finding:
    scheduler = wrong.schedule.action.path
    return Finding(
        at=wrong.schedule.action.node,
        message=f"`ReduceLROnPlateau.step()` raises a TypeError without a metric; give it the one to watch: "
        f"`{scheduler}.step(validation_loss)`",
    )
