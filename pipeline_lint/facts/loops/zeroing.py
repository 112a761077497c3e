"""Optimizers that step again and again without their gradients being dropped in between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.loops.actions import Action, Actions, Kind
from pipeline_lint.facts.loops.roles import Part, Role, Roles, is_lbfgs
from pipeline_lint.facts.loops.traces import Happening, Loop, Traces
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.source import Source

_OWN_WAY = re.compile(r"zero_grad|\.grad\s*=|_grad\(|autograd\.grad")
"""A file that speaks of these drops gradients in a way of its own where no action is seen."""


@dataclass(frozen=True, slots=True, eq=False)
class MissingZero:
    """A step after which nothing drops the gradients before the next backward."""

    step: Happening
    first_backward: cst.CSTNode | None
    """The backward before which `zero_grad` belongs; None where it belongs behind the step."""
    confidence: Confidence
    elsewhere: Action | None = None
    """A `zero_grad` that does not do: of another optimizer, or outside the loop."""
    is_outside: bool = False
    """Whether the other `zero_grad` is the right one in an outer loop."""


@dataclass(frozen=True, slots=True, eq=False)
class MissingInClosure:
    """A closure that calls backward for an optimizer that evaluates it many times, and drops no gradients."""

    backward: Action
    closure: cst.FunctionDef
    step: Action


def missing_zeros(source: Source) -> Iterator[MissingZero]:
    """The steps of a file that add up the gradients of all steps before. Tests step once, or compare sums."""
    if is_test_code(source):
        return
    traces = source.fact(Traces)
    verdicts: dict[int, MissingZero | None] = {}
    for loop in traces.outermost_loops():
        trace = traces.of(loop)
        for step in trace:
            if step.kind is not Kind.STEP:
                continue
            found = _missing(source, loop, trace, step)
            key = id(step.action)
            # Seen from several callers: one that drops the gradients is enough.
            if key not in verdicts or found is None:
                verdicts[key] = found
    yield from (found for found in verdicts.values() if found is not None)


def missing_in_closures(source: Source) -> Iterator[MissingInClosure]:
    """The closures of L-BFGS, which runs them up to 20 times in a step, each time on top of the last gradients."""
    roles, actions, traces = source.fact(Roles), source.fact(Actions), source.fact(Traces)
    for action in actions.all:
        if action.kind is not Kind.STEP or not is_lbfgs(roles.part(action.path, action.node)):
            continue
        closure = traces.closure(action)
        if closure is None:
            continue
        inside = traces.of(closure)
        backward = next((each.action for each in inside if each.kind is Kind.BACKWARD), None)
        has_zero = any(each.kind in (Kind.ZERO, Kind.FOREIGN) for each in inside)
        if backward is not None and not has_zero and "autograd.grad" not in source.code(closure):
            yield MissingInClosure(backward, closure, action)


def _missing(source: Source, root: Loop, trace: Sequence[Happening], step: Happening) -> MissingZero | None:
    roles = source.fact(Roles)
    part = roles.part(step.path, root)
    if not step.path or not step.loops or not _may_be_torch(part):
        return None
    if is_lbfgs(part) and source.fact(Traces).closure(step.action) is not None:
        # Where the gradients belong to be dropped is the closure, see `missing_in_closures`.
        return None
    loop = step.loops[-1]
    around = [each for each in trace if each.is_in(loop)]
    backwards = [each for each in around if each.kind is Kind.BACKWARD]
    if not backwards or any(each.action.is_framework for each in backwards) or _leaves_at_once(loop):
        return None
    if any(each.kind is Kind.FOREIGN and _may_zero(each.action) for each in around):
        return None
    zeros = [each for each in trace if each.kind is Kind.ZERO]
    if any(each.is_in(loop) and _concerns(roles, each, part, root) for each in zeros):
        return None
    if _is_made_in(source, step.path, loop):
        return None
    outside = next((each for each in zeros if _concerns(roles, each, part, root)), None)
    inside = next((each for each in zeros if each.is_in(loop)), None)
    if outside is None and inside is None and _OWN_WAY.search(source.code(loop)):
        return None
    return MissingZero(
        step,
        _first_backward(source, around, step),
        Confidence.CERTAIN if part.is_known and _is_plain(step) else Confidence.LIKELY,
        (outside or inside).action if outside or inside else None,  # type: ignore[union-attr] # one of them is there
        is_outside=outside is not None,
    )


def _may_be_torch(part: Part) -> bool:
    """Whether the optimizer may be one of torch's, not a wrapper whose `step` drops the gradients."""
    return (
        part.role is Role.OPTIMIZER
        and not part.class_path.startswith(":")
        and (part.is_known or not re.search(r"FP16|Noam|Sched|Wrapper|DeepSpeed|Master", part.class_path))
    )


def _concerns(roles: Roles, zero: Happening, part: Part, at: cst.CSTNode) -> bool:
    """Whether a `zero_grad` may drop the gradients of an optimizer's parameters."""
    path = zero.path
    if path and path != part.path and _are_parameters(roles, path, part.path, zero.action.node):
        return False
    if not path or path == part.path or not all(_is_plain_variable(roles, each, at) for each in (path, part.path)):
        return True
    owned = roles.owned(part.path, at)
    if owned is None:
        return True
    other = roles.owned(path, at) if roles.part(path, at).role is Role.OPTIMIZER else frozenset({path})
    return other is None or any(_overlap(one, another) for one in owned for another in other)


def _are_parameters(roles: Roles, one: str, other: str, at: cst.CSTNode) -> bool:
    """Whether both are optimizers that the function around a `zero_grad` is given under names of their own."""
    return all(
        path.isidentifier() and roles.part(path, at).role is Role.OPTIMIZER and roles.is_given(path, at)
        for path in (one, other)
    )


def _is_plain_variable(roles: Roles, path: str, at: cst.CSTNode) -> bool:
    """Whether one expression gives a variable its value: no loop over optimizers does, and no caller."""
    values = roles.values(path, at)
    return len(values) == 1 and values[0] is not None


def _overlap(one: str, other: str) -> bool:
    """Whether one model is the other, or a part of it."""
    return one == other or one.startswith(other + ".") or other.startswith(one + ".") or "self" in (one, other)


def _may_zero(action: Action) -> bool:
    return re.search(r"clip|scale|log|save|print|sched|lr|state|load|broadcast|len", action.path, re.I) is None


def _is_made_in(source: Source, path: str, loop: Loop) -> bool:
    """Whether the loop builds the optimizer anew, so that nothing is left over."""
    values = source.fact(Roles).values(path, loop)
    return any(value is not None and loop in source.ancestors(value) for value in values)


def _leaves_at_once(loop: Loop) -> bool:
    """Whether the loop ends in its first round."""
    last = loop.body.body[-1] if loop.body.body else None
    return isinstance(last, cst.SimpleStatementLine) and isinstance(last.body[-1], cst.Break | cst.Return)


def _is_plain(step: Happening) -> bool:
    return not step.calls


def _first_backward(source: Source, around: Sequence[Happening], step: Happening) -> cst.CSTNode | None:
    """The first backward since the last step before this one, if it runs exactly when the step does."""
    before = around[: around.index(step)]
    for index in range(len(before) - 1, -1, -1):
        if before[index].kind is Kind.STEP:
            before = before[index + 1 :]
            break
    first = next((each for each in before if each.kind is Kind.BACKWARD), None)
    if first is None:
        return None
    seen, own = first.seen_from(step), step.seen_from(step)
    is_near = source.function_of(seen.node) is source.function_of(own.node)
    return seen.node if is_near and seen.runs_with(own) else None
