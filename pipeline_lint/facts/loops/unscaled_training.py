"""Training in float16 autocast without a gradient scaler, and how to put one in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Edit
from pipeline_lint.edits import insert_after, insert_before, replace
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.names import Names, dotted_name
from pipeline_lint.facts.loops.actions import Kind
from pipeline_lint.facts.loops.autocasts import Autocast, Autocasts
from pipeline_lint.facts.loops.roles import path_of
from pipeline_lint.facts.loops.traces import Happening, Loop, Traces
from pipeline_lint.source import Source

_SCALES = re.compile(
    r"scaler|loss_scal|scale_loss|[Aa]ccelerat|[Dd]eep[Ss]peed|[Ll]ightning|[Ff]abric|\bapex\b|FP16_|Trainer\(|Learner\("
)
"""Words of files in which something scales the loss."""
_SCALER = "scaler"


@dataclass(frozen=True, slots=True, eq=False)
class UnscaledTraining:
    """A loop that trains under float16 autocast, and whose backward nothing scales."""

    backward: Happening
    autocast: Autocast
    rounds: Sequence[Happening]
    loop: Loop | None
    """None where a function does one step for others."""
    confidence: Confidence


def unscaled_trainings(source: Source) -> Iterator[UnscaledTraining]:
    """The loops of a file that need a scaler."""
    autocasts = [each for each in source.fact(Autocasts).all if each.dtype == "float16" and not each.is_off]
    if not autocasts or _SCALES.search(source.text):
        return
    seen: set[int] = set()
    for loop, trace in _roots(source):
        for backward in trace:
            if backward.kind is not Kind.BACKWARD or backward.action.is_framework or id(backward.action) in seen:
                continue
            rounds = [each for each in trace if not backward.loops or each.is_in(backward.loops[-1])]
            autocast = _autocast_for(source, autocasts, backward)
            if autocast is None or not any(each.kind is Kind.STEP for each in rounds):
                continue
            seen.update(id(each.action) for each in rounds if each.kind is Kind.BACKWARD)
            is_on = autocast.enabled is None and isinstance(autocast.block, cst.With)
            confidence = Confidence.CERTAIN if is_on else Confidence.LIKELY
            yield UnscaledTraining(backward, autocast, rounds, loop, confidence)


def _roots(source: Source) -> Iterator[tuple[Loop | None, Sequence[Happening]]]:
    """The loops of a file, and the functions that do a step outside of any, for callers elsewhere."""
    traces = source.fact(Traces)
    for loop in traces.outermost_loops():
        yield loop, traces.of(loop)
    for scope in traces.scopes():
        if isinstance(scope, cst.FunctionDef) and not traces.is_called(scope):
            yield None, [each for each in traces.of(scope) if not each.loops]


def scaler_edits(source: Source, training: UnscaledTraining) -> tuple[Edit, ...] | None:
    """The edits that create a scaler, send backward and step through it, and keep its state in checkpoints.

    None where the pieces stand in several functions, or the name `scaler` is taken.
    """
    if training.loop is None:
        return None
    rounds = [each for each in training.rounds if each.kind in (Kind.BACKWARD, Kind.STEP, Kind.CLIP)]
    scope = source.function_of(training.loop)
    if not source.fact(Names).is_free(_SCALER) or any(each.calls or each.action.is_framework for each in rounds):
        return None
    if source.function_of(training.autocast.call) is not scope or any(
        each.kind is Kind.FOREIGN for each in training.rounds
    ):
        return None
    created = _creation(source, training, training.loop)
    edits = [*created] if created is not None else []
    steps = [each for each in rounds if each.kind is Kind.STEP]
    clips = [each for each in rounds if each.kind is Kind.CLIP]
    if len(clips) > 1 and len(steps) > 1:
        # Which gradients are whose cannot be told, and a second `unscale_` before a step raises.
        return None
    for each in rounds:
        if each in clips[1:]:
            continue
        changed = _changed(source, each, steps)
        if changed is None:
            return None
        edits += changed
    last = source.statement_of(steps[-1].action.node)
    if created is None or not isinstance(last, cst.SimpleStatementLine):
        return None
    edits.append(insert_after(source, last, f"{_SCALER}.update()"))
    return (*edits, *_checkpoint_edits(source, scope, steps))


def _autocast_for(source: Source, autocasts: Sequence[Autocast], backward: Happening) -> Autocast | None:
    """The autocast under which a backward's loss is computed: around it, before it in its loop, or on `forward`."""
    loops = {id(loop) for loop in backward.loops}
    for autocast in autocasts:
        match autocast.block:
            case cst.With() as block:
                is_here = source.function_of(block) is source.function_of(backward.action.node)
                if is_here and (not loops or any(id(above) in loops for above in source.ancestors(block))):
                    return autocast
            case cst.FunctionDef(name=cst.Name(value="forward")):
                return autocast
    return None


def _creation(source: Source, training: UnscaledTraining, loop: Loop) -> tuple[Edit, ...] | None:
    """The scaler, before the loop and before what loads a checkpoint."""
    arguments = {argument.keyword.value: argument.value for argument in training.autocast.call.args if argument.keyword}
    device = f'"{training.autocast.device}"'
    if not training.autocast.device:
        first = arguments.get("device_type") or training.autocast.call.args[0].value
        device = source.code(first)
    enabled = training.autocast.enabled
    if enabled is not None:
        if not isinstance(enabled, cst.Name | cst.Attribute) or _is_set_in(source, loop, enabled):
            return None
        device += f", enabled={source.code(enabled)}"
    reference = source.fact(Names).reference("torch.amp.GradScaler", at=loop)
    block = source.parent(loop)
    body = block.body if isinstance(block, cst.IndentedBlock | cst.Module) else []
    index = next((i for i, each in enumerate(body) if each is loop), None)
    if index is None:
        return None
    loads = [i for i, each in enumerate(body[:index]) if "load_state_dict(" in source.code(each) and _is_resuming(each)]
    place = body[min([*loads, index])]
    return (*reference.edits, insert_before(source, place, f"{_SCALER} = {reference.code}({device})"))


def _is_resuming(statement: cst.CSTNode) -> bool:
    return not isinstance(statement, cst.FunctionDef | cst.ClassDef)


def _is_set_in(source: Source, loop: Loop, node: cst.BaseExpression) -> bool:
    root = dotted_name(node).partition(".")[0]
    return any(
        isinstance(target.target, cst.Name) and target.target.value == root and loop in source.ancestors(target)
        for target in source.nodes(cst.AssignTarget)
    )


def _changed(source: Source, each: Happening, steps: Sequence[Happening]) -> list[Edit] | None:
    action = each.action
    match each.kind:
        case Kind.BACKWARD if action.value is not None and isinstance(action.node, cst.Call):
            code = source.code(action.value)
            inner = code[1:-1] if action.value.lpar and code.startswith("(") else code
            return [replace(source, action.value, f"{_SCALER}.scale({inner})")]
        case Kind.STEP if isinstance(action.node, cst.Call) and not action.node.args and action.path:
            return [replace(source, action.node, f"{_SCALER}.step({action.path})")]
        case Kind.CLIP:
            statement = source.statement_of(action.node)
            following = next((step for step in steps if source.span(step.action.node) > source.span(action.node)), None)
            if isinstance(statement, cst.SimpleStatementLine) and following is not None:
                return [insert_before(source, statement, f"{_SCALER}.unscale_({following.action.path})")]
    return None


def _checkpoint_edits(source: Source, scope: cst.CSTNode | None, steps: Sequence[Happening]) -> Iterator[Edit]:
    """The scaler's state beside the optimizer's, where the same function saves and loads it."""
    optimizers = {step.action.path for step in steps}
    done = set[int]()
    for call in source.nodes(cst.Call):
        if source.function_of(call) is not scope or not isinstance(call.func, cst.Attribute):
            continue
        if path_of(source, call.func.value) not in optimizers:
            continue
        above = source.parent(call)
        if called_name(call) == "state_dict" and isinstance(above, cst.DictElement):
            dictionary = source.parent(above)
            if id(dictionary) not in done:
                done.add(id(dictionary))
                _, end = source.span(call)
                quote = source.code(above.key)[:1]
                yield source.document.edit(end, end, f", {quote}{_SCALER}{quote}: {_SCALER}.state_dict()")
        elif called_name(call) == "load_state_dict" and isinstance(above, cst.Expr):
            yield from _load(source, call, done)


def _load(source: Source, call: cst.Call, done: set[int]) -> Iterator[Edit]:
    match call.args:
        case [cst.Arg(value=cst.Subscript(value=cst.Name(value=checkpoint)))]:
            statement = source.statement_of(call)
            if isinstance(statement, cst.SimpleStatementLine) and id(statement) not in done:
                done.add(id(statement))
                inner = source.module.default_indent
                code = f'if "{_SCALER}" in {checkpoint}:\n{inner}{_SCALER}.load_state_dict({checkpoint}["{_SCALER}"])'
                yield insert_after(source, statement, code)
