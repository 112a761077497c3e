"""Schedulers that step at the wrong time: before the optimizer does, or per batch where they count epochs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.loops.actions import Kind
from pipeline_lint.facts.loops.roles import Part, Roles, path_of
from pipeline_lint.facts.loops.traces import Happening, Loop, Traces
from pipeline_lint.source import Source

_TORCH = "torch.optim.lr_scheduler."
_PER_BATCH = frozenset({"OneCycleLR", "CyclicLR"})
_EPOCH = re.compile(r"epoch", re.IGNORECASE)
_BATCHES = re.compile(r"loader|batch|(^|[^a-z])(data|dl|iter\w*)([^a-z]|$)", re.IGNORECASE)
_MOST_EPOCHS = 200
"""A step size or milestone above is one of batches."""


@dataclass(frozen=True, slots=True, eq=False)
class EarlySchedule:
    """A scheduler that steps before the optimizer in every round of a loop."""

    schedule: Happening
    step: Happening
    loop: Loop
    confidence: Confidence


@dataclass(frozen=True, slots=True, eq=False)
class WrongPace:
    """A scheduler whose class or settings count something else than the loop in which it steps."""

    schedule: Happening
    class_name: str
    is_too_often: bool
    """Whether it counts epochs and steps per batch; else the other way round."""
    setting: str


@dataclass(frozen=True, slots=True, eq=False)
class MissingMetric:
    """`ReduceLROnPlateau.step()` without the metric that it needs."""

    schedule: Happening


def early_schedules(source: Source) -> Iterator[EarlySchedule]:
    """The schedulers that step at the beginning of a round, so that the first learning rate is never used."""
    traces, seen = source.fact(Traces), set[int]()
    for loop in traces.outermost_loops():
        trace = traces.of(loop)
        for happening in _schedules(trace, seen):
            part = source.fact(Roles).part(happening.path, loop)
            found = _early(source, trace, happening, part)
            if found is not None:
                seen.add(id(happening.action))
                yield found


def wrong_paces(source: Source) -> Iterator[WrongPace | MissingMetric]:
    """The schedulers of torch that step in a loop which is not the one that they count."""
    traces, seen = source.fact(Traces), set[int]()
    for loop in traces.outermost_loops():
        trace = traces.of(loop)
        for happening in _schedules(trace, seen):
            part = source.fact(Roles).part(happening.path, loop)
            if not part.class_path.startswith(_TORCH) or part.constructor is None:
                continue
            found = _pace(source, trace, happening, part)
            if found is not None:
                seen.add(id(happening.action))
                yield found


def _schedules(trace: Sequence[Happening], seen: set[int]) -> list[Happening]:
    return [
        each
        for each in trace
        if each.kind is Kind.SCHEDULE and each.loops and each.path and id(each.action) not in seen
    ]


def _early(source: Source, trace: Sequence[Happening], schedule: Happening, part: Part) -> EarlySchedule | None:
    if schedule.action.value is not None or _has_arguments(schedule) or not _may_be_torch(part):
        return None
    # Who sets the count by hand steps early on purpose.
    if re.search(r"\.last_epoch\s*=[^=]", source.text):
        return None
    loop = schedule.loops[-1]
    if _is_guarded(schedule, loop) or part.class_name == "ReduceLROnPlateau":
        return None
    index = trace.index(schedule)
    around = [each for each in trace if each.is_in(loop)]
    before = [each for each in around if trace.index(each) < index and _steps(each)]
    after = [each for each in around if trace.index(each) > index and _steps(each) and each.may_run_with(schedule)]
    own = _owner(source, part)
    if own and any(each.path == own for each in after):
        before = [each for each in before if each.path == own]
        after = [each for each in after if each.path == own]
    if before or not after or _steps_before(source, loop, trace, own):
        return None
    return EarlySchedule(
        schedule, after[0], loop, Confidence.CERTAIN if part.class_path.startswith(_TORCH) else Confidence.POSSIBLE
    )


def _steps(happening: Happening) -> bool:
    """Whether an optimizer steps, or unknown code that is called as training is gets one."""
    if happening.kind is Kind.STEP:
        return True
    return (
        happening.kind is Kind.FOREIGN and re.search(r"train|fit|step|epoch", happening.action.path, re.I) is not None
    )


def _steps_before(source: Source, loop: Loop, trace: Sequence[Happening], own: str) -> bool:
    """Whether the optimizer has stepped before the loop begins: a warm-up in front of it."""
    scope = source.function_of(loop) or source.module
    outer = source.fact(Traces).of(scope) if isinstance(scope, cst.FunctionDef | cst.Module) else trace
    first = next((each for each in outer if each.is_in(loop)), None)
    if first is None:
        return False
    return any(_steps(each) and (not own or each.path == own) for each in outer[: outer.index(first)])


def _owner(source: Source, part: Part) -> str:
    """The optimizer that a scheduler is built for."""
    if part.constructor is None or not part.constructor.args:
        return ""
    return path_of(source, part.constructor.args[0].value)


def _may_be_torch(part: Part) -> bool:
    """Whether a scheduler may be one of torch's, which must step after the optimizer; others step as they like."""
    if part.class_path:
        return part.class_path.startswith(_TORCH)
    return re.search(r"lr|sched", part.path, re.I) is not None and not re.search(r"noise|warmup", part.path, re.I)


def _has_arguments(schedule: Happening) -> bool:
    return isinstance(schedule.action.node, cst.Call) and bool(schedule.action.node.args)


def _is_guarded(schedule: Happening, loop: Loop) -> bool:
    """Whether a condition may keep it from stepping in the first round."""
    return any(isinstance(frame.node, cst.If | cst.Else | cst.Try) for frame in schedule.inside(loop))


def _pace(
    source: Source, trace: Sequence[Happening], schedule: Happening, part: Part
) -> WrongPace | MissingMetric | None:
    assert part.constructor is not None
    name = part.class_name
    if name == "ReduceLROnPlateau" and not _has_arguments(schedule):
        return MissingMetric(schedule)
    loop = schedule.loops[-1]
    steps = [each for each in trace if each.kind is Kind.STEP and each.is_in(loop)]
    if not steps:
        return None
    if name in _PER_BATCH and all(each.loops[-1] is not loop for each in steps):
        given = _argument(part.constructor, "steps_per_epoch") or _argument(part.constructor, "total_steps")
        code = source.code(given) if given is not None else ""
        is_counted = _argument(part.constructor, "steps_per_epoch") is not None or "len(" in code
        if is_counted and all(_BATCHES.search(_iterated(source, each.loops[-1])) for each in steps):
            return WrongPace(schedule, name, False, f"steps_per_epoch={code}" if "len(" in code else code)
        return None
    is_per_batch = all(each.loops[-1] is loop for each in steps) and len(schedule.loops) > 1
    if not is_per_batch or not _BATCHES.search(_iterated(source, loop)) or _EPOCH.search(_iterated(source, loop)):
        return None
    if not _EPOCH.search(_iterated(source, schedule.loops[-2])) or _is_guarded(schedule, loop):
        return None
    setting = _epoch_setting(source, part)
    return WrongPace(schedule, name, True, setting) if setting else None


def _epoch_setting(source: Source, part: Part) -> str:
    """The setting by which a scheduler counts epochs, as it is written; empty where it may count batches."""
    assert part.constructor is not None
    name, call = part.class_name, part.constructor
    match name:
        case "CosineAnnealingLR":
            value = _argument(call, "T_max", 1)
            is_counted = value is not None and _EPOCH.search(source.code(value)) and not _per_epoch(source.code(value))
            return f"T_max={source.code(value)}" if value is not None and is_counted else ""
        case "StepLR":
            value = _argument(call, "step_size", 1)
            code = source.code(value) if value is not None else ""
            is_small = isinstance(value, cst.Integer) and int(value.value) <= _MOST_EPOCHS
            is_counted = is_small or (_EPOCH.search(code) and not _per_epoch(code))
            return f"step_size={code}" if is_counted else ""
        case "MultiStepLR":
            value = _argument(call, "milestones", 1)
            if isinstance(value, cst.List | cst.Tuple) and value.elements:
                numbers = [each.value for each in value.elements]
                if all(isinstance(each, cst.Integer) and int(each.value) <= _MOST_EPOCHS for each in numbers):
                    return f"milestones={source.code(value)}"
    return ""


def _per_epoch(code: str) -> bool:
    """Whether a number of epochs is multiplied to a number of steps."""
    return re.search(r"\*|len\(|steps|iters|per_epoch", code) is not None


def _iterated(source: Source, loop: Loop) -> str:
    if isinstance(loop, cst.For):
        return f"{source.code(loop.target)} {source.code(loop.iter)}"
    return source.code(loop.test)


def _argument(call: cst.Call, keyword: str, position: int = -1) -> cst.BaseExpression | None:
    for index, argument in enumerate(call.args):
        if argument.keyword is not None and argument.keyword.value == keyword:
            return argument.value
        if index == position and argument.keyword is None and not argument.star:
            return argument.value
    return None
