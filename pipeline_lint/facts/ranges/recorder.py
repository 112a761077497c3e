"""The operations that the interpreter meets, kept for the rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import libcst as cst

from pipeline_lint.facts.operations.row import Row
from pipeline_lint.facts.ranges.site import Mask, Site
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.value import Operands, Value, join

_DEEPEST_TRACE = 12


class Use(NamedTuple):
    """One operation that is about to be applied: its name in the table, and its arguments as code and as values."""

    name: str
    node: cst.Call | cst.BinaryOperation | cst.AugAssign | cst.UnaryOperation
    operands: Mapping[str, cst.BaseExpression]
    values: dict[str, Value]
    rest: tuple[Value, ...] = ()


class Recorder:
    """Sites by the id of their nodes."""

    def __init__(self) -> None:
        self.sites: dict[int, Site] = {}
        self.is_on = True
        """Off while a loop is tried, or a function is read again where it is called."""
        self._unguarded: dict[int, Mapping[str, Value]] = {}
        self._is_unguarded = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What is met is not noted."""
        was_on, self.is_on = self.is_on, False
        yield
        self.is_on = was_on

    @contextmanager
    def unguarded(self) -> Iterator[None]:
        """What is met is a branch of `torch.where`, seen without its condition."""
        was_unguarded, self._is_unguarded = self._is_unguarded, self.is_on
        with self.paused():
            yield
        self._is_unguarded = was_unguarded

    def note(self, use: Use, result: Value, row: Row, state: State, function: cst.FunctionDef | None) -> None:
        """Keeps an operation, joined with what was met there before."""
        key = id(use.node)
        if self._is_unguarded:
            self._unguarded[key] = use.values
        if not self.is_on:
            return
        known = self.sites.get(key)
        values: Mapping[str, Value] = use.values
        if known is not None:
            # The same code on another round of a loop, or in another branch: what can be is what either can be.
            values = {name: _joined(known.values.get(name), value) for name, value in values.items()}
        self.sites[key] = Site(
            use.name,
            use.node,
            use.operands,
            values,
            result,
            row.hazards_for(Operands(use.node, dict(values), use.rest)),
            result.has_gradient or (known is not None and known.has_gradient),
            state.autocast,
            function,
            known.masks if known is not None else [],
            self._unguarded.get(key),
        )

    def mask(self, value: Value, mask: Mask) -> None:
        """Notes for the operations that made a value that a part of their results is thrown away."""
        if not self.is_on:
            return
        waiting, seen = [(value, 0)], set[int]()
        while waiting:
            current, depth = waiting.pop()
            made = current.made
            if made is None or depth > _DEEPEST_TRACE or id(made.node) in seen:
                continue
            seen.add(id(made.node))
            site = self.sites.get(id(made.node))
            if site is not None:
                site.masks.append(mask)
            waiting.extend((each, depth + 1) for each in made.inputs)


def _joined(one: Value | None, other: Value) -> Value:
    """What an operand is on several rounds, without weakening what is certain on each of them."""
    if one is None or one is other:
        return other
    result = join(one, other)
    if one.low == other.low and one.at_low is not None:
        result.at_low = one.at_low
    if one.high == other.high and one.at_high is not None:
        result.at_high = one.at_high
    if one.zero is not None and other.zero is not None:
        result.zero = min(one.zero, other.zero, key=lambda evidence: evidence.confidence)
    return result
