"""TRN405: gradients clipped to no effect."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Fix
from pipeline_lint.edits import safe_fix
from pipeline_lint.facts.loops.clipping import IdleClip, idle_clips
from pipeline_lint.facts.loops.moving import moved_before
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class ClipAfterStep(Rule):
    """Gradients are clipped after the step that uses them, before the backward that makes them, or of another model.

    `clip_grad_norm_` scales the gradients that are there at the moment. Between `backward()` and `step()` it bounds the
    step; behind `step()` the next `zero_grad()` throws its work away, and before `backward()` there is nothing to clip,
    or the gradients of the step before. Either way training runs unclipped, and nothing says so: for the loss
    1000 * w from w = 0 with SGD and a learning rate of 0.1, the weight is at -100 after one step instead of -0.1.

    Bad:
        import torch

        def train_step(model, optimizer, loss_function, x, target):
            optimizer.zero_grad()
            loss = loss_function(model(x), target)
            loss.backward()
            optimizer.step()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            return loss
    Good:
        import torch

        def train_step(model, optimizer, loss_function, x, target):
            optimizer.zero_grad()
            loss = loss_function(model(x), target)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            return loss
    Exempt: a clip between backward and step; several models that step in turn, where one of the later steps is of the
        model that is clipped; a loop with unknown code that may step or call backward; clipping of weights, which
        belongs behind the step.
    Fix: Safe: the call is moved to the place before the step, if both stand in the same block; none for a clip of
        another model. Steps become shorter: that is the repair.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html; the figures were
        measured with torch 2.13 on CPU.
    """

    code = "TRN405"
    triggers = ("clip_grad", "grad_clip", "clip_and_", "clip_by_norm")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every clip that no step uses."""
        for idle in idle_clips(source):
            yield _found(source, idle)


def _found(source: Source, idle: IdleClip) -> Finding:
    if idle.problem == "after step":
        problem = "gradients are clipped after the step has used them"
    elif idle.problem == "before backward":
        problem = "gradients are clipped before `backward` makes them"
    else:
        clipped, stepping = idle.models
        problem = f"the gradients of `{clipped}` are clipped, and `{stepping}` is what steps"
    advice = "clip between `backward` and `step`"
    return Finding(
        at=idle.clip.action.node,
        message=f"{problem}, so the step is not bounded; "
        + (advice if idle.problem != "other model" else "clip those of the model that steps"),
        confidence=idle.confidence,
        fix=lambda: _fix(source, idle),
        related=((source.place(idle.step.action.node), "the step"),),
    )


def _fix(source: Source, idle: IdleClip) -> Fix | None:
    if idle.problem == "other model":
        return None
    edits = moved_before(source, idle.clip.action.node, idle.step.action.node)
    return safe_fix("Clip before the step", *edits) if edits is not None else None
