"""What the interpreter knows of a value: an interval of what floating point can give, and how sure its ends are.

The interval always holds; whether an end of it, or 0 inside it, is really reached is a matter of evidence. `sigmoid(x)`
of any `x` reaches 0 and 1 for certain, a norm is 0 for likely, and an argument of which nothing is known may be
anything: its interval is everything, with no evidence at all.

Values are never changed once made; `but` and the functions below make new ones.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts import floats

INFINITY = math.inf

UNKNOWN_KIND, TENSOR, NUMBER, SEQUENCE, OTHER = "unknown", "tensor", "number", "sequence", "other"
"""Kinds of values. A number is Python's; a sequence is a tuple or list; other is text, None, a module, a class."""

_FLOATS = {"float64": 3, "float32": 2, "bfloat16": 1, "float16": 1}

_NO_NODE = cst.Name("list")
_numbers = itertools.count(1)


def fresh_number() -> int:
    """A number that no other value has."""
    return next(_numbers)


class Evidence(NamedTuple):
    """Why a value is taken to be reached."""

    confidence: Confidence
    witness: str
    """In plain words: `sigmoid(17.0) is exactly 1.0 in float32`."""


class Made(NamedTuple):
    """How a value was computed."""

    operation: str
    """torch's name: `sigmoid`, `div`, `sum`; of numbers as well."""
    node: cst.CSTNode
    inputs: tuple[Value, ...]


@dataclasses.dataclass(slots=True, eq=False)
class Value:
    """All values that an expression can have, as one interval of their elements."""

    low: float = -INFINITY
    high: float = INFINITY
    at_low: Evidence | None = None
    """Why `low` is reached (or, where it is infinite, why nothing bounds the value)."""
    at_high: Evidence | None = None
    zero: Evidence | None = None
    """Why 0 is reached, wherever it lies in the interval."""
    is_nonzero: bool = False
    """Whether 0 is excluded although it lies in the interval."""
    nan: Evidence | None = None
    """Why the value is NaN at times."""
    empty: Evidence | None = None
    """Why a tensor or list has no elements at times."""
    dtype: str | None = None
    """`float32`, `float16`, `bfloat16`, `float64`, `int64`, `bool`; None where the code does not say."""
    kind: str = UNKNOWN_KIND
    has_gradient: bool = True
    """Whether gradients may flow through it; False where the code rules it out."""
    made: Made | None = None
    items: tuple[Value, ...] | None = None
    """Of a tuple or list that is written out."""
    choices: tuple[Value, ...] = ()
    """What it is one of after branches, and what its elements are of after some of them were assigned."""
    number: int = dataclasses.field(default_factory=_numbers.__next__)
    """Equal for values that are equal element by element, in the same shape: `x * x` is a square, and so is
    `x * x.detach()`; `x[:, None] * x[None]` is none."""
    root: int = 0
    """Equal for values that have the same elements, whatever their shape and order: `x`, `x.T`, `x[:, None]`; as it
    takes to tell that `x - x.max()` is never positive."""
    is_count: bool = False
    """Whether it is a whole number that counts something: a size, a length, a sum of booleans."""

    def __post_init__(self) -> None:
        self.root = self.root or self.number

    def but(self, **changes: Any) -> Value:
        """A copy with these changes: what `dataclasses.replace` does, several times faster."""
        new = Value.__new__(Value)
        for name in _FIELDS:
            setattr(new, name, getattr(self, name))
        for name, value in changes.items():
            setattr(new, name, value)
        new.root = new.root or new.number
        return new

    @property
    def is_constant(self) -> bool:
        return self.low == self.high

    @property
    def is_unknown(self) -> bool:
        """Whether nothing at all is known of its size."""
        return self.low == -INFINITY and self.high == INFINITY and not self.is_nonzero

    @property
    def is_integer(self) -> bool:
        return self.dtype in ("int64", "bool") or self.is_count

    @property
    def may_be_zero(self) -> bool:
        return self.low <= 0 <= self.high and not self.is_nonzero

    def reaches(self, low: float, high: float) -> Evidence | None:
        """Why the value lies between `low` and `high`, both included, at times; None where it never does."""
        if self.high < low or self.low > high or (low == high == 0 and self.is_nonzero):
            return None
        found = [
            evidence
            for point, evidence in ((self.low, self.at_low), (self.high, self.at_high), (0.0, self.zero))
            if evidence is not None and low <= point <= high
        ]
        if found:
            return max(found)
        if self.is_constant:
            return Evidence(Confidence.CERTAIN, f"it is {_plain(self.low)}")
        return Evidence(Confidence.POSSIBLE, "nothing in the code rules it out")


_FIELDS = Value.__slots__


class Operands:
    """The arguments of an operation, as the table of operations sees them."""

    __slots__ = ("node", "rest", "values")

    def __init__(self, node: cst.CSTNode, values: dict[str, Value], rest: tuple[Value, ...] = ()) -> None:
        self.node = node
        self.values = values
        """By torch's parameter names."""
        self.rest = rest
        """Further positional arguments of a parameter such as `*dims`."""

    def __getitem__(self, name: str) -> Value:
        """The argument; a value of which nothing is known where it is not given."""
        return self.values.get(name) or UNKNOWN

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def number(self, name: str, default: float | None = None) -> float | None:
        """The one value of an argument; `default` where it is not given, None where it is not known."""
        value = self.values.get(name)
        if value is None:
            return default
        return value.low if value.is_constant else None

    @property
    def input(self) -> Value:
        return self["input"]


UNKNOWN = Value()


def constant(number: float, *, kind: str = NUMBER, dtype: str | None = None) -> Value:
    """A number that the code says."""
    evidence = Evidence(Confidence.CERTAIN, f"it is {_plain(number)}")
    return Value(
        number,
        number,
        evidence,
        evidence,
        evidence if number == 0 else None,
        dtype=dtype,
        kind=kind,
        has_gradient=False,
    )


def unknown(
    kind: str = UNKNOWN_KIND, *, dtype: str | None = None, has_gradient: bool = True, made: Made | None = None
) -> Value:
    """A value of which nothing but this is known."""
    return Value(kind=kind, dtype=dtype, has_gradient=has_gradient, made=made)


def same(one: Value, other: Value) -> bool:
    """Whether two values are equal element by element: their product is a square, their difference 0."""
    return one.number == other.number


def same_elements(one: Value, other: Value) -> bool:
    """Whether two values have the same elements, whatever their shape and order: for `x - x.max()`, not for `x * x`."""
    return one.root == other.root


def weakened(evidence: Evidence | None, limit: Confidence = Confidence.LIKELY) -> Evidence | None:
    """The evidence with no more than this confidence."""
    if evidence is None or evidence.confidence <= limit:
        return evidence
    return Evidence(limit, evidence.witness)


def both(one: Evidence | None, other: Evidence | None) -> Evidence | None:
    """Evidence that two things hold together: the weaker of the two."""
    if one is None or other is None:
        return None
    return min(one, other, key=lambda evidence: evidence.confidence)


def either(*evidence: Evidence | None) -> Evidence | None:
    """The strongest evidence that there is; of equals the first."""
    return max((each for each in evidence if each is not None), key=lambda each: each.confidence, default=None)


def join(one: Value, other: Value) -> Value:
    """What a value is that is one or the other, as after an `if`.

    Each of the two is reached on its own path only, so that nothing about them stays certain.
    """
    if one is other:
        return one
    at_low = _end(one.low, one.at_low, other.low, other.at_low, is_low=True)
    at_high = _end(one.high, one.at_high, other.high, other.at_high, is_low=False)
    items = None
    if one.items is not None and other.items is not None and len(one.items) == len(other.items):
        items = tuple(map(join, one.items, other.items))
    made = one.made if one.made is not None and other.made is not None and one.made.node is other.made.node else None
    if one.kind == other.kind == SEQUENCE and items is None:
        # Lists of different lengths: what is in one or the other.
        elements = [each for each in (element_in(one), element_in(other)) if each is not None]
        if elements:
            made = Made("list", _NO_NODE, (join(elements[0], elements[-1]),))
    is_same = same(one, other)
    result = Value(
        min(one.low, other.low),
        max(one.high, other.high),
        at_low,
        at_high,
        weakened(either(one.zero, other.zero)),
        (one.is_nonzero or not one.low <= 0 <= one.high) and (other.is_nonzero or not other.low <= 0 <= other.high),
        weakened(either(one.nan, other.nan)),
        weakened(either(one.empty, other.empty)),
        one.dtype if one.dtype == other.dtype else None,
        one.kind if one.kind == other.kind else UNKNOWN_KIND,
        one.has_gradient or other.has_gradient,
        made,
        items,
        (one, other),
        is_count=one.is_count and other.is_count,
    )
    if is_same:
        result.number, result.root = one.number, one.root
    return result


def element_in(value: Value) -> Value | None:
    """Any element of a tuple or list; None where nothing is known of it, or nothing is in it."""
    if value.items:
        result = value.items[0]
        for item in value.items[1:]:
            result = join(result, item)
        return result
    made = value.made
    return made.inputs[0] if made is not None and made.operation == "list" and made.inputs else None


def widen(before: Value, after: Value) -> Value:
    """`before` joined with what a loop made of it, with the ends that moved put to infinity, so that loops end."""
    joined = join(before, after)
    if joined.low < before.low:
        joined.low, joined.at_low = -INFINITY, None
    if joined.high > before.high:
        joined.high, joined.at_high = INFINITY, None
    joined.items = None
    return joined


def promoted(one: Value, other: Value) -> str | None:
    """The dtype of a result of two operands, as torch promotes; None where one of them is not known."""
    if one.kind == NUMBER:
        return other.dtype
    if other.kind == NUMBER:
        return one.dtype
    if one.dtype == other.dtype:
        return one.dtype
    if one.dtype in _FLOATS and other.dtype in _FLOATS:
        if _FLOATS[one.dtype] == _FLOATS[other.dtype]:
            return "float32"
        return max(one.dtype, other.dtype, key=_FLOATS.__getitem__)
    for first, second in ((one.dtype, other.dtype), (other.dtype, one.dtype)):
        if first in ("int64", "bool") and second is not None:
            return second if second != "bool" else first
    return None


def narrowed(value: Value, low: float, high: float, *, is_nonzero: bool = False) -> Value:
    """The value where a condition keeps it between two bounds.

    A condition that contradicts what is known tells that what is known was a default, and only the condition stays.
    """
    new_low, new_high = max(value.low, low), min(value.high, high)
    if new_low > new_high:
        new_low, new_high = low, high
    return value.but(
        low=new_low,
        high=new_high,
        at_low=value.at_low if new_low == value.low else None,
        at_high=value.at_high if new_high == value.high else None,
        zero=value.zero if new_low <= 0 <= new_high and not is_nonzero else None,
        is_nonzero=value.is_nonzero or is_nonzero,
    )


def rounded_ends(low: float, high: float, dtype: str | None, *, steps: int = 0) -> tuple[float, float]:
    """The ends as `dtype` holds them, `steps` outwards for functions that are not computed exactly."""
    low, high = floats.rounded(low, dtype), floats.rounded(high, dtype)
    return (floats.next_below(low, dtype, steps), floats.next_above(high, dtype, steps)) if steps else (low, high)


def _end(
    one: float, one_evidence: Evidence | None, other: float, other_evidence: Evidence | None, *, is_low: bool
) -> Evidence | None:
    if one == other:
        return weakened(either(one_evidence, other_evidence))
    is_first = one < other if is_low else one > other
    return weakened(one_evidence if is_first else other_evidence)


def _plain(number: float) -> str:
    return str(int(number)) if abs(number) < 1e6 and number == int(number) else repr(number)
