"""What is known at one point of a function: the values of its variables, and what conditions have told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import libcst as cst

from pipeline_lint.facts.ranges.site import Bounds
from pipeline_lint.facts.ranges.syntax import is_word
from pipeline_lint.facts.ranges.value import INFINITY, Value, join, narrowed, widen

_DEEPEST = 4
"""How far back a selection is traced."""


class State:
    """Copied at every fork of a function, and joined where its branches meet."""

    __slots__ = ("autocast", "bounds", "has_gradient", "is_dead", "names", "nonempty")

    def __init__(self) -> None:
        self.names: dict[str, Value] = {}
        """By variable or path: `x`, `self.scale`."""
        self.bounds: dict[int, Bounds] = {}
        """What conditions say, by the number of the value."""
        self.nonempty: frozenset[int] = frozenset()
        """Roots of the masks that select something, and of the tensors that have elements."""
        self.has_gradient = True
        self.autocast: str | None = None
        self.is_dead = False
        """Whether no run of the code gets here."""

    def copy(self) -> State:
        """A state of its own with the same knowledge."""
        new = State()
        new.names = self.names.copy()
        new.bounds = self.bounds.copy()
        new.nonempty = self.nonempty
        new.has_gradient = self.has_gradient
        new.autocast = self.autocast
        new.is_dead = self.is_dead
        return new

    def become(self, other: State) -> None:
        """Takes over what another state knows."""
        self.names, self.bounds, self.nonempty = other.names, other.bounds, other.nonempty
        self.is_dead = other.is_dead

    def learn(self, effects: Effects) -> None:
        """Adds what a condition says."""
        for number, bounds in effects.bounds.items():
            self.bounds[number] = _meet(self.bounds.get(number), bounds)
        if effects.nonempty:
            self.nonempty |= effects.nonempty

    def refined(self, value: Value) -> Value:
        """The value with what conditions say of it."""
        if value.empty is not None and self.nonempty and self._has_elements(value):
            value = value.but(empty=None)
        if value.zero is not None and self.nonempty and self._is_count_of_some(value):
            value = narrowed(value, 1.0, INFINITY, is_nonzero=True)
        bounds = self.bounds.get(value.number)
        if bounds is None:
            return value
        low, high, is_nonzero = bounds
        if low <= value.low and high >= value.high and (not is_nonzero or value.is_nonzero):
            return value
        return narrowed(value, low, high, is_nonzero=is_nonzero)

    def _is_count_of_some(self, value: Value) -> bool:
        """Whether a value counts, over all dimensions, what a mask selects that is known to select some."""
        made = value.made
        if made is None or not value.is_count or made.operation not in ("sum", "count_nonzero"):
            return False
        is_over_all = isinstance(made.node, cst.Call) and len(made.node.args) == (not _is_method(made.node))
        return is_over_all and any(each.root in self.nonempty for each in made.inputs)

    def _has_elements(self, value: Value, depth: int = 0) -> bool:
        """Whether a condition told that a value, or the mask that selected it, is not empty."""
        if value.root in self.nonempty:
            return True
        if value.made is None or depth >= _DEEPEST:
            return False
        return any(self._has_elements(each, depth + 1) for each in value.made.inputs if not each.is_constant)


def _is_method(call: cst.Call) -> bool:
    """Whether a reduction is written as a method, so that its input is no argument."""
    return isinstance(call.func, cst.Attribute) and not is_word(call.func.value, "torch")


class Effects:
    """What holds where a condition is met."""

    __slots__ = ("bounds", "nonempty")

    def __init__(self, bounds: Mapping[int, Bounds] | None = None, nonempty: Iterable[int] = ()) -> None:
        self.bounds = bounds or {}
        self.nonempty = frozenset(nonempty)

    def and_also(self, other: Effects) -> Effects:
        """What holds where both conditions are met."""
        bounds = dict(self.bounds)
        for number, each in other.bounds.items():
            bounds[number] = _meet(bounds.get(number), each)
        return Effects(bounds, self.nonempty | other.nonempty)

    def or_else(self, other: Effects) -> Effects:
        """What holds where at least one of them is."""
        shared = self.bounds.keys() & other.bounds.keys()
        bounds = {number: _hull(self.bounds[number], other.bounds[number]) for number in shared}
        return Effects(bounds, self.nonempty & other.nonempty)


NOTHING = Effects()


def joined(one: State, other: State) -> State:
    """The state where two branches meet."""
    if one.is_dead or other.is_dead:
        return (other if one.is_dead else one).copy()
    result = one.copy()
    names = {}
    for name, value in one.names.items():
        different = other.names.get(name)
        if different is value:
            names[name] = value
        elif different is not None:
            # What a condition said on one branch only goes into the value, which then stands for itself.
            names[name] = join(one.refined(value), other.refined(different))
        else:
            names[name] = value
    for name, value in other.names.items():
        if name not in names:
            names[name] = value
    result.names = names
    result.bounds = {
        number: _hull(bounds, other.bounds[number]) for number, bounds in one.bounds.items() if number in other.bounds
    }
    result.nonempty = one.nonempty & other.nonempty
    return result


def widened(before: State, after: State) -> State:
    """The state at the head of a loop: before it, or after one of its rounds."""
    if after.is_dead:
        return before.copy()
    result = joined(before, after)
    for name, value in before.names.items():
        changed = after.names.get(name)
        if changed is not None and changed is not value:
            result.names[name] = widen(value, changed)
    return result


def covers(head: State, after: State) -> bool:
    """Whether another round of a loop brings nothing that is not known at its head."""
    if after.is_dead:
        return True
    for name, value in head.names.items():
        changed = after.names.get(name)
        if changed is None or changed is value:
            continue
        changed = after.refined(changed)
        if changed.low < value.low or changed.high > value.high or (value.is_nonzero and changed.may_be_zero):
            return False
        if changed.has_gradient and not value.has_gradient:
            return False
    return True


def _meet(one: Bounds | None, other: Bounds) -> Bounds:
    if one is None:
        return other
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high, one[2] or other[2]) if low <= high else other


def _hull(one: Bounds, other: Bounds) -> Bounds:
    return min(one[0], other[0]), max(one[1], other[1]), _excludes_zero(one) and _excludes_zero(other)


def _excludes_zero(bounds: Bounds) -> bool:
    return bounds[2] or bounds[0] > 0 or bounds[1] < 0


EVERYTHING: Bounds = (-INFINITY, INFINITY, False)
