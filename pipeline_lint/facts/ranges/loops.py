"""Loops, to a fixed point."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.facts.ranges.assignments import bind
from pipeline_lint.facts.ranges.conditions import effects
from pipeline_lint.facts.ranges.containers import element_of
from pipeline_lint.facts.ranges.priors import value_named
from pipeline_lint.facts.ranges.run import Ends
from pipeline_lint.facts.ranges.state import State, covers, joined, widened
from pipeline_lint.facts.ranges.syntax import target_names
from pipeline_lint.facts.ranges.value import (
    Value,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run

_DEEPEST_LOOP = 3
_MOST_ROUNDS = 4
"""Rounds until a loop must have come to a fixed point; before the last one everything that it assigns is forgotten."""
Enter = Callable[[State], None]
"""What happens at the head of a loop, before each round."""


def for_loop(run: Run, node: cst.For, state: State) -> None:
    """`for target in iterated:`"""
    element = element_of(run.evaluate(node.iter, state))

    def enter(inside: State) -> None:
        bind(run, node.target, element, inside)

    broken = _repeat(run, node.body, state, enter)
    _leave(run, node.orelse, state, broken)


def while_loop(run: Run, node: cst.While, state: State) -> None:
    """`while test:`; where nothing breaks out of it, the test fails afterwards."""

    def enter(inside: State) -> None:
        inside.learn(effects(run.evaluate(node.test, inside), is_met=True))

    broken = _repeat(run, node.body, state, enter)
    test = run.silently(node.test, state)
    state.learn(effects(test, is_met=False))
    if broken and test.is_constant and test.low:
        # `while True:` ends by `break` alone.
        state.is_dead = True
    _leave(run, node.orelse, state, broken)


def _repeat(run: Run, body: cst.BaseSuite, state: State, enter: Enter) -> list[State]:
    """Makes `state` that after any number of rounds, none included; the states in which the loop was broken off."""
    is_deep = run.loop_depth >= _DEEPEST_LOOP
    run.loop_depth += 1
    if is_deep:
        _forget(body, state)
    else:
        trial = state.copy()
        with run.recorder.paused():
            _round(run, body, trial, enter)
        # What is only set in the body is known after one round; what grows takes another one to see.
        state.become((joined if run.loop_depth == 1 else widened)(state, trial))
    broken: list[State] = []
    for attempt in range(_MOST_ROUNDS):
        inside = state.copy()
        broken = _round(run, body, inside, enter)
        if is_deep or covers(state, inside):
            break
        if attempt == _MOST_ROUNDS - 2:
            _forget(body, state)
        else:
            state.become(widened(state, inside))
    run.loop_depth -= 1
    if not inside.is_dead:
        state.become(joined(state, inside))
    state.is_dead = False
    return broken


def _round(run: Run, body: cst.BaseSuite, state: State, enter: Enter) -> list[State]:
    """Once through the body of a loop; the state afterwards is that in which the next round begins."""
    enter(state)
    run.leaving.append(Ends())
    run.suite(body, state)
    ends = run.leaving.pop()
    for left in ends.continued:
        state.become(joined(state, left))
    return ends.broken


def _leave(run: Run, orelse: cst.Else | None, state: State, broken: list[State]) -> None:
    """The state after a loop: `else` is run where nothing broke it off."""
    if orelse is not None and not state.is_dead:
        run.suite(orelse.body, state)
    for left in broken:
        state.become(joined(state, left))


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
