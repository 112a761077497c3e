"""Losses that come to nothing: never differentiated, or differentiated twice; with the gradients that are lost."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.loops.actions import Action, Actions, Kind, frames_of
from pipeline_lint.facts.loops.gradient_mode import GradientMode
from pipeline_lint.facts.loops.graphs import Graphs
from pipeline_lint.facts.loops.lost_gradients import LostLoss, lost_gradients
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


def lost_losses(source: Source) -> Iterator[LostLoss]:
    """The losses of a file that reach no step."""
    if is_test_code(source):
        return
    yield from _watched_only(source)
    yield from _twice_differentiated(source)
    yield from lost_gradients(source)


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
