"""The values of tuples, lists and comprehensions, and what a loop over a value goes through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.ranges.assignments import bind
from pipeline_lint.facts.ranges.conditions import effects
from pipeline_lint.facts.ranges.functions import bind_parameters
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    OTHER,
    SEQUENCE,
    TENSOR,
    Evidence,
    Made,
    Value,
    fresh_number,
    join,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run


def sequence(run: Run, node: cst.Tuple | cst.List, state: State) -> Value:
    """A tuple or list that is written out."""
    items = tuple(run.evaluate(element.value, state) for element in node.elements)
    is_starred = any(isinstance(element, cst.StarredElement) for element in node.elements)
    empty = Evidence(Confidence.LIKELY, "a list that starts empty") if not items else None
    return Value(
        kind=SEQUENCE,
        items=None if is_starred else items,
        empty=empty,
        has_gradient=any(i.has_gradient for i in items),
    )


def starred(run: Run, node: cst.StarredElement, state: State) -> Value:
    """`*values` in one."""
    return run.evaluate(node.value, state)


def dict_display(run: Run, node: cst.Dict, state: State) -> Value:
    """A dict: its values are read, and then forgotten."""
    for element in node.elements:
        run.evaluate(element.value, state)
    return Value(kind=OTHER)


def lambda_expression(run: Run, node: cst.Lambda, state: State) -> Value:
    """A lambda: its body is read with parameters of which nothing is known."""
    inner = state.copy()
    bind_parameters(run, node.params, inner)
    run.evaluate(node.body, inner)
    return Value(kind=OTHER)


def comprehension(run: Run, node: cst.ListComp | cst.GeneratorExp | cst.SetComp, state: State) -> Value:
    """A list, set or generator; its element is read once, for all of them."""
    inner = state.copy()
    is_filtered = _bind_clause(run, node.for_in, inner)
    element = run.evaluate(node.elt, inner)
    empty = Evidence(Confidence.LIKELY, "a list from which everything was filtered out") if is_filtered else None
    return Value(kind=SEQUENCE, empty=empty, made=Made("list", node, (element,)))


def dict_comprehension(run: Run, node: cst.DictComp, state: State) -> Value:
    """A dict comprehension: read, and then forgotten."""
    inner = state.copy()
    _bind_clause(run, node.for_in, inner)
    run.evaluate(node.value, inner)
    return Value(kind=OTHER)


def _bind_clause(run: Run, clause: cst.CompFor, state: State) -> bool:
    """Binds the variables of a comprehension; whether an `if` filters."""
    bind(run, clause.target, element_of(run.evaluate(clause.iter, state)), state)
    for condition in clause.ifs:
        state.learn(effects(run.evaluate(condition.test, state), is_met=True))
    inner = clause.inner_for_in
    return bool(clause.ifs) | (_bind_clause(run, inner, state) if inner is not None else False)


def element_of(iterated: Value) -> Value:
    """What a loop over a value goes through."""
    if iterated.items:
        result = iterated.items[0]
        for item in iterated.items[1:]:
            result = join(result, item)
        return result.but(number=fresh_number()) if len(iterated.items) > 1 else result
    made = iterated.made
    if made is not None and made.operation == "list" and made.inputs:
        return made.inputs[0].but(number=fresh_number())
    if iterated.kind == SEQUENCE and iterated.is_count:
        return Value(0.0, INFINITY, kind=NUMBER, is_count=True, has_gradient=False, made=iterated.made)
    if iterated.kind == TENSOR:
        is_value_that_occurs = made is not None and made.operation == "unique"
        return iterated.but(number=fresh_number(), root=0, made=made if is_value_that_occurs else None)
    return Value()
