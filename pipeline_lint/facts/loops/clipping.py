"""Gradients that are clipped when it is too late, too early, or of a model that does not step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.loops.actions import Kind
from pipeline_lint.facts.loops.roles import Roles, paths_in
from pipeline_lint.facts.loops.traces import Happening, Loop, Scope, Traces
from pipeline_lint.source import Source


@dataclass(frozen=True, slots=True, eq=False)
class IdleClip:
    """A call that clips gradients which no step uses afterwards."""

    clip: Happening
    step: Happening
    problem: str
    """`after step`, `before backward` or `other model`."""
    confidence: Confidence
    models: tuple[str, str] = ("", "")
    """The model that is clipped and the one that steps."""


def idle_clips(source: Source) -> Iterator[IdleClip]:
    """The calls of a file that clip to no effect."""
    traces, judged = source.fact(Traces), dict[int, IdleClip | None]()
    roots: list[Loop | Scope] = [*traces.outermost_loops(), *traces.scopes()]
    for root in roots:
        trace = traces.of(root)
        for clip in trace:
            if clip.kind is not Kind.CLIP or id(clip.action) in judged:
                continue
            if not isinstance(source.parent(clip.action.node), cst.Expr | cst.Assign):
                continue
            around = _around(trace, clip)
            if any(each.kind is Kind.STEP for each in around) and any(each.kind is Kind.BACKWARD for each in around):
                judged[id(clip.action)] = _judged(source, root, around, clip)
    yield from (found for found in judged.values() if found is not None)


def _around(trace: Sequence[Happening], clip: Happening) -> list[Happening]:
    """What happens in the innermost loop around a clip, or in the whole function, in one round."""
    if not clip.loops:
        return list(trace)
    # A loop over models or groups of parameters is no round of training.
    for loop in reversed(clip.loops):
        around = [each for each in trace if each.is_in(loop)]
        if any(each.kind is Kind.BACKWARD for each in around):
            return around
    return list(trace)


def _judged(source: Source, root: Loop | Scope, around: list[Happening], clip: Happening) -> IdleClip | None:
    index = around.index(clip)
    before, after = around[:index], around[index + 1 :]
    if any(each.kind is Kind.FOREIGN for each in around):
        return None
    last = next((each for each in reversed(before) if each.kind in (Kind.BACKWARD, Kind.STEP)), None)
    following = next((each for each in after if each.kind in (Kind.BACKWARD, Kind.STEP)), None)
    is_plain = not clip.calls and _is_unconditional(clip, around)
    if last is not None and last.kind is Kind.STEP and last.may_run_with(clip) and _is_near(last, clip):
        comes_to_step = following is not None and following.kind is Kind.STEP
        if not comes_to_step and _models_agree(source, root, clip, last) and is_plain:
            return IdleClip(clip, last, "after step", Confidence.CERTAIN)
    if last is None and following is not None and following.kind is Kind.BACKWARD and is_plain:
        step = next((each for each in after if each.kind is Kind.STEP), None)
        is_clipped_again = any(each.kind is Kind.CLIP for each in after)
        if step is not None and not is_clipped_again and _is_near(step, clip) and _is_near(following, clip):
            return IdleClip(clip, step, "before backward", Confidence.CERTAIN)
    return _other_model(source, root, after, clip)


def _other_model(source: Source, root: Loop | Scope, after: list[Happening], clip: Happening) -> IdleClip | None:
    roles = source.fact(Roles)
    clipped = roles.models_in(clip.action.value) if clip.action.value is not None else None
    if not clipped or clip.calls:
        return None
    steps = []
    for each in after:
        if each.kind is Kind.BACKWARD:
            break
        if each.kind is Kind.STEP:
            steps.append(each)
    owned = [roles.owned(each.path, root) for each in steps]
    if not steps or any(each is None for each in owned):
        return None
    pairs = [(one, other) for each in owned for one in each or () for other in clipped]
    if any(_shares(one, other) or _is_built_of(source, root, one, other) for one, other in pairs):
        return None
    return IdleClip(clip, steps[0], "other model", Confidence.LIKELY, (min(clipped), min(owned[0] or {""})))


def _shares(one: str, other: str) -> bool:
    return one == other or one.startswith(other + ".") or other.startswith(one + ".") or "self" in (one, other)


def _is_built_of(source: Source, root: Loop | Scope, model: str, part: str) -> bool:
    """Whether a model is made of another: `policy = Wrapper(net)` has the parameters of `net`."""
    values = source.fact(Roles).values(model, root)
    return any(part in paths_in(source, value) for value in values if value is not None)


def _models_agree(source: Source, root: Loop | Scope, clip: Happening, step: Happening) -> bool:
    """Whether nothing says that the clip is of another model than the one that stepped."""
    roles = source.fact(Roles)
    clipped = roles.models_in(clip.action.value) if clip.action.value is not None else None
    owned = roles.owned(step.path, root) if step.path else None
    if clipped is None or owned is None:
        return True
    return any(_shares(one, other) for one in owned for other in clipped)


def _is_unconditional(clip: Happening, around: Sequence[Happening]) -> bool:
    """Whether it runs whenever some step does."""
    steps = [each for each in around if each.kind is Kind.STEP]
    return any(len(clip.conditions) <= len(each.conditions) + 1 for each in steps)


def _is_near(one: Happening, other: Happening) -> bool:
    """Whether both stand in the same function and innermost loop."""
    return one.calls == other.calls and one.loops == other.loops
