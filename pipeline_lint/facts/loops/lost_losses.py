"""Losses and gradients that come to nothing: never differentiated, dropped before the step, or used twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.loops.actions import Action, Actions, Kind, frames_of
from pipeline_lint.facts.loops.gradient_mode import GradientMode
from pipeline_lint.facts.loops.graphs import Graphs
from pipeline_lint.facts.loops.roles import Roles, is_lbfgs
from pipeline_lint.facts.loops.traces import Happening, Loop, Traces
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.source import Source

_LOSS = re.compile(r"loss", re.IGNORECASE)
_OTHER_LOSS = re.compile(
    r"val|test|eval|dev|old|prev|best|log|run|avg|mean|total|epoch|sum|hist|last|meter|dict|list|losses|_np|item|metric"
    r"|print|show|curr|min|base|ref|detach|unred|raw",
    re.IGNORECASE,
)
_LOSS_FUNCTION = re.compile(r"loss|criterion|cross_entropy|objective", re.IGNORECASE)
_ONLY_WATCHED = frozenset({"item", "data", "detach", "cpu", "tolist", "numpy"})
_WATCHING = frozenset(
    """print add_scalar log info debug write format float append set_postfix set_description log_scalar plot update
    add_scalars str round""".split()
)


@dataclass(frozen=True, slots=True, eq=False)
class LostLoss:
    """A place where the work for a loss is lost."""

    node: cst.CSTNode
    message: str
    confidence: Confidence
    related: cst.CSTNode | None = None
    related_text: str = ""
    inverted_test: cst.BaseExpression | None = None
    """The condition to which `== 0` belongs."""
    late_zero: tuple[cst.CSTNode, cst.CSTNode] | None = None
    """A `zero_grad` and the step behind which it belongs."""


def lost_losses(source: Source) -> Iterator[LostLoss]:
    """The losses of a file that reach no step."""
    if is_test_code(source):
        return
    yield from _watched_only(source)
    yield from _twice_differentiated(source)
    traces, seen = source.fact(Traces), set[int]()
    for loop in traces.outermost_loops():
        trace = traces.of(loop)
        for found in (
            *_inverted_accumulation(source, trace),
            *_dropped_early(source, trace),
            *_twice_stepped(source, loop, trace),
        ):
            if id(found.node) not in seen:
                seen.add(id(found.node))
                yield found


def _watched_only(source: Source) -> Iterator[LostLoss]:
    """Losses of a training loop that are printed or logged and never differentiated, beside others that are."""
    graphs, flow, mode = source.fact(Graphs), source.fact(Flow), source.fact(GradientMode)
    backwards = [
        action for action in source.fact(Actions).all if action.kind is Kind.BACKWARD and not action.is_framework
    ]
    for target in source.nodes(cst.AssignTarget):
        assign = source.parent(target)
        name = target.target
        if (
            not isinstance(assign, cst.Assign)
            or not isinstance(name, cst.Name)
            or not isinstance(assign.value, cst.Call)
        ):
            continue
        if not _LOSS.search(name.value) or _OTHER_LOSS.search(name.value) or mode.is_off(assign):
            continue
        if not _LOSS_FUNCTION.search(called_name(assign.value)) or graphs.is_differentiated(name):
            continue
        near = [each for each in backwards if _is_in_round(source, assign, each)]
        if not near:
            continue
        scope = source.function_of(assign) or source.module
        uses = flow.uses(name.value, within=scope)
        if uses and all(_is_watched(source, use) for use in uses):
            loss = near[0].value
            yield LostLoss(
                name,
                f"`{name.value}` is computed and logged, and no `backward` ever reaches it, so nothing learns from it; "
                "add it to the loss, or compute it under `no_grad`",
                Confidence.LIKELY,
                loss,
                "what backward is called on",
            )


def _is_in_round(source: Source, node: cst.CSTNode, backward: Action) -> bool:
    """Whether backward is called in the innermost loop around a node, in the same block or one inside or around it."""
    own, other = frames_of(source, node), frames_of(source, backward.node)
    loops = [frame.node for frame in own if isinstance(frame.node, cst.For | cst.While)]
    others = [frame.node for frame in other if isinstance(frame.node, cst.For | cst.While)]
    if source.function_of(node) is not source.function_of(backward.node) or not loops or not others:
        return False
    return loops[-1] is others[-1]


def _is_watched(source: Source, use: cst.Name) -> bool:
    """Whether a use only looks at a number."""
    node: cst.CSTNode = use
    above = source.parent(node)
    if isinstance(above, cst.Attribute) and above.attr.value in _ONLY_WATCHED:
        return True
    while above is not None:
        match above:
            case cst.FormattedStringExpression():
                return True
            case cst.Call() if called_name(above) in _WATCHING and above.func is not node:
                return called_name(above) != "append"
            case cst.Arg() | cst.Tuple() | cst.Element() | cst.BinaryOperation() | cst.Call() | cst.Subscript():
                node, above = above, source.parent(above)
            case cst.AugAssign(value=value):
                return value is node and False
            case _:
                return False
    return False


def _twice_differentiated(source: Source) -> Iterator[LostLoss]:
    """`loss.backward()` twice on one value, of which the first has freed the graph."""
    flow = source.fact(Flow)
    first: dict[int, Action] = {}
    for action in source.fact(Actions).all:
        if action.kind is not Kind.BACKWARD or not isinstance(action.value, cst.Name):
            continue
        definition = flow.definition_of(action.value)
        if definition is None or not isinstance(definition.value, cst.Call | cst.BinaryOperation):
            continue
        known = first.setdefault(id(definition), action)
        if known is action or "retain_graph" in source.code(known.node):
            continue
        one, other = frames_of(source, known.node), frames_of(source, action.node)
        is_both = all(a.is_same_block(b) for a, b in zip(one, other, strict=False)) and len(one) <= len(other)
        if is_both:
            yield LostLoss(
                action.node,
                f"`{action.value.value}` has been differentiated before, which freed its graph, so this `backward` "
                "raises; call it once, or the first with `retain_graph=True`",
                Confidence.CERTAIN,
                known.node,
                "the first backward",
            )


def _inverted_accumulation(source: Source, trace: Sequence[Happening]) -> Iterator[LostLoss]:
    """`if index % num_batches: optimizer.step()`, which steps in all rounds but the right one."""
    for step in trace:
        if step.kind is not Kind.STEP or not step.frames:
            continue
        condition = step.frames[-1]
        match condition.node:
            case cst.If(test=cst.BinaryOperation(operator=cst.Modulo()) as test, orelse=None):
                is_accumulated = condition.block == "body" and any(
                    each.kind is Kind.BACKWARD and not each.is_in(condition.node) and each.loops == step.loops
                    for each in trace
                )
                is_reset = any(each.kind is Kind.ZERO and each.is_in(condition.node) for each in trace)
                if is_accumulated and is_reset:
                    yield LostLoss(
                        step.action.node,
                        f"`if {source.code(test)}` holds in every round but the one in which the gradients are "
                        "complete, and never if the number is 1; compare it with `== 0`",
                        Confidence.CERTAIN,
                        test,
                        "the condition",
                        inverted_test=test,
                    )


def _dropped_early(source: Source, trace: Sequence[Happening]) -> Iterator[LostLoss]:
    """`zero_grad` before the last backward of an accumulation, under the very condition of the step."""
    for index, zero in enumerate(trace):
        if zero.kind is not Kind.ZERO or not zero.frames:
            continue
        condition = _accumulation(source, zero)
        if condition is None:
            continue
        rest = trace[index + 1 :]
        for position, step in enumerate(rest):
            if step.kind is not Kind.STEP or step.loops != zero.loops or _accumulation(source, step) != condition:
                continue
            between = [each for each in rest[:position] if each.kind is Kind.BACKWARD and each.loops == zero.loops]
            if between and not between[0].is_in(zero.frames[-1].node):
                yield LostLoss(
                    zero.action.node,
                    f"gradients are dropped under the condition of the step, `{condition}`, right before its last "
                    "`backward`, so all earlier batches are lost; drop them behind the step",
                    Confidence.CERTAIN,
                    step.action.node,
                    "the step",
                    late_zero=(zero.action.node, step.action.node),
                )
            break


def _accumulation(source: Source, happening: Happening) -> str | None:
    """The condition with a modulo that an action stands under, as it is written."""
    node = happening.frames[-1].node
    if isinstance(node, cst.If) and happening.frames[-1].block == "body":
        code = source.code(node.test)
        if "%" in code:
            return code
    return None


def _twice_stepped(source: Source, loop: Loop, trace: Sequence[Happening]) -> Iterator[LostLoss]:
    """A step, and another of the same optimizer behind it with the same gradients."""
    roles = source.fact(Roles)
    for index, step in enumerate(trace):
        if step.kind is not Kind.STEP or not step.path or (step.action.value is not None and not step.scaler):
            continue
        part = roles.part(step.path, loop)
        if is_lbfgs(part) or "[" in step.path or part.class_path.startswith(":"):
            continue
        for other in trace[index + 1 :]:
            if other.kind in (Kind.BACKWARD, Kind.ZERO, Kind.FOREIGN) or (
                other.kind is Kind.CALL and other.action.callee is None
            ):
                break
            is_same = other.kind is Kind.STEP and (other.path, other.loops, other.calls) == (
                step.path,
                step.loops,
                step.calls,
            )
            if is_same and other.may_run_with(step) and _is_before_all(step, other):
                yield LostLoss(
                    other.action.node,
                    f"`{step.path}` has stepped with these gradients before, so every update is made twice; "
                    "remove one of the two steps",
                    Confidence.CERTAIN if part.is_known else Confidence.LIKELY,
                    step.action.node,
                    "the first step",
                )


def _is_before_all(step: Happening, other: Happening) -> bool:
    """Whether the first step runs whenever the second does: it stands in a block around that of the second."""
    return len(step.frames) <= len(other.frames) and all(
        one.is_same_block(another) for one, another in zip(step.frames, other.frames, strict=False)
    )
