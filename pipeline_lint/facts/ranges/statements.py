"""Statements that assign, branch and leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.facts.ranges.assignments import bind
from pipeline_lint.facts.ranges.conditions import effects
from pipeline_lint.facts.ranges.memory import store
from pipeline_lint.facts.ranges.operators import AUGMENTED, operate
from pipeline_lint.facts.ranges.priors import value_named
from pipeline_lint.facts.ranges.state import State, joined
from pipeline_lint.facts.ranges.syntax import pattern_names
from pipeline_lint.facts.ranges.value import (
    NUMBER,
    OTHER,
    TENSOR,
    UNKNOWN_KIND,
    Value,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run


def small_statement(run: Run, node: cst.BaseSmallStatement, state: State) -> None:
    """What a statement of one line does."""
    match node:
        case cst.Assign(targets=targets, value=value):
            result = run.evaluate(value, state)
            for target in targets:
                bind(run, target.target, result, state)
        case cst.AnnAssign(target=target, value=value) if value is not None:
            bind(run, target, run.evaluate(value, state), state)
        case cst.AugAssign(target=target, operator=operator, value=value):
            left, right = run.evaluate(target, state), run.evaluate(value, state)
            if isinstance(value, cst.Call) and isinstance(target, cst.Name) and left.kind != NUMBER:
                # A call on the right may have changed in place what the name holds.
                left = run.evaluate(target, state)
            name = AUGMENTED.get(operator.__class__, "unknown")
            result = operate(run, name, node, (target, value), (left, right), state)
            if left.kind == TENSOR or (left.kind == UNKNOWN_KIND and not isinstance(target, cst.Subscript)):
                store(run, target, result, state)
            else:
                bind(run, target, result, state)
        case cst.Expr(value=value):
            run.evaluate(value, state)
        case cst.Return(value=value):
            run.returned.append(run.evaluate(value, state) if value is not None else Value(kind=OTHER))
            state.is_dead = True
        case cst.Raise(exc=raised):
            run.evaluate(raised, state)
            state.is_dead = True
        case cst.Assert(test=test):
            state.learn(effects(run.evaluate(test, state), is_met=True))
        case cst.Break() | cst.Continue():
            if run.leaving:
                ends = run.leaving[-1]
                (ends.broken if isinstance(node, cst.Break) else ends.continued).append(state.copy())
            state.is_dead = True
        case cst.Del(target=target) if isinstance(target, cst.Name):
            state.names.pop(target.value, None)


def if_statement(run: Run, node: cst.If, state: State) -> None:
    """`if test:`; each branch knows how the test went."""
    test = run.evaluate(node.test, state)
    met, not_met = state.copy(), state.copy()
    met.learn(effects(test, is_met=True))
    not_met.learn(effects(test, is_met=False))
    run.suite(node.body, met)
    if isinstance(node.orelse, cst.If):
        if_statement(run, node.orelse, not_met)
    elif node.orelse is not None:
        run.suite(node.orelse.body, not_met)
    state.become(joined(met, not_met))
    state.is_dead = met.is_dead and not_met.is_dead


def try_statement(run: Run, node: cst.Try | cst.TryStar, state: State) -> None:
    """`try:`; a handler begins with what held before the body or after one of its statements."""
    raised = state.copy()
    for statement in node.body.body:
        if state.is_dead:
            break
        run.block([statement], state)
        raised = joined(raised, state)
    if node.orelse is not None and not state.is_dead:
        run.suite(node.orelse.body, state)
    for handler in node.handlers:
        handled = raised.copy()
        run.suite(handler.body, handled)
        is_dead = state.is_dead and handled.is_dead
        state.become(joined(state, handled))
        state.is_dead = is_dead
    if node.finalbody is not None:
        is_dead, state.is_dead = state.is_dead, False
        run.suite(node.finalbody.body, state)
        state.is_dead |= is_dead


def match_statement(run: Run, node: cst.Match, state: State) -> None:
    """`match subject:`; one of its cases is run, or none where none takes everything."""
    run.evaluate(node.subject, state)
    result = state.copy()
    is_exhaustive = False
    ends = []
    for case in node.cases:
        branch = state.copy()
        for name in pattern_names(case.pattern):
            branch.names[name] = value_named(name) or Value()
        if case.guard is not None:
            branch.learn(effects(run.evaluate(case.guard, branch), is_met=True))
        elif isinstance(case.pattern, cst.MatchAs) and case.pattern.pattern is None:
            is_exhaustive = True
        run.suite(case.body, branch)
        ends.append(branch)
    for number, branch in enumerate(ends):
        result = branch if number == 0 and is_exhaustive else joined(result, branch)
    state.become(result)
    state.is_dead = is_exhaustive and all(branch.is_dead for branch in ends)
