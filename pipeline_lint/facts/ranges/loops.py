"""Loops, to a fixed point."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.facts.ranges.assignments import bind
from pipeline_lint.facts.ranges.conditions import effects
from pipeline_lint.facts.ranges.containers import element_of
from pipeline_lint.facts.ranges.priors import value_named
from pipeline_lint.facts.ranges.state import State, joined, widened
from pipeline_lint.facts.ranges.syntax import target_names
from pipeline_lint.facts.ranges.value import (
    Value,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run

_DEEPEST_LOOP = 3
Enter = Callable[[State], None]
"""What happens at the head of a loop, before each round."""


def for_loop(run: Run, node: cst.For, state: State) -> None:
    """`for target in iterated:`"""
    element = element_of(run.evaluate(node.iter, state))

    def enter(inside: State) -> None:
        bind(run, node.target, element, inside)

    _repeat(run, node.body, state, enter)
    if node.orelse is not None:
        run.suite(node.orelse.body, state)


def while_loop(run: Run, node: cst.While, state: State) -> None:
    """`while test:`; where nothing breaks out of it, the test fails afterwards."""

    def enter(inside: State) -> None:
        inside.learn(effects(run.evaluate(node.test, inside), is_met=True))

    _repeat(run, node.body, state, enter)
    if not _breaks(node.body):
        state.learn(effects(run.silently(node.test, state), is_met=False))
    if node.orelse is not None:
        run.suite(node.orelse.body, state)


def _repeat(run: Run, body: cst.BaseSuite, state: State, enter: Enter) -> None:
    """The state after any number of rounds, none included."""
    before = state.copy()
    if run.loop_depth >= _DEEPEST_LOOP:
        _forget(body, state)
    else:
        run.loop_depth += 1
        trial = state.copy()
        with run.recorder.paused():
            _round(run, body, trial, enter)
        run.loop_depth -= 1
        state.become(widened(before, trial))
    run.loop_depth += 1
    inside = state.copy()
    _round(run, body, inside, enter)
    run.loop_depth -= 1
    if not inside.is_dead:
        state.become(joined(state, inside))
    state.is_dead = False


def _round(run: Run, body: cst.BaseSuite, state: State, enter: Enter) -> None:
    """One time through the body of a loop; the state afterwards is that of all ways out of it."""
    enter(state)
    run.leaving.append([])
    run.suite(body, state)
    for left in run.leaving.pop():
        state.become(joined(state, left))


def _breaks(body: cst.BaseSuite) -> bool:
    waiting: list[cst.CSTNode] = list(body.body)
    while waiting:
        current = waiting.pop()
        if isinstance(current, cst.Break):
            return True
        if not isinstance(current, cst.BaseExpression):
            waiting.extend(current.children)
    return False


def _forget(body: cst.BaseSuite, state: State) -> None:
    """In loops within loops within loops nothing is known of what the body assigns."""
    waiting: list[cst.CSTNode] = [body]
    while waiting:
        current = waiting.pop()
        match current:
            case cst.AssignTarget(target=target) | cst.AugAssign(target=target) | cst.For(target=target):
                for name in target_names(target):
                    state.names[name] = value_named(name) or Value()
        if not isinstance(current, cst.BaseExpression):
            waiting.extend(current.children)
