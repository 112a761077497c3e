"""Values some of whose elements are infinite for certain: what a product with 0 makes NaN of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from pipeline_lint.facts.ranges.value import NUMBER, Value

_KEEPING = frozenset(
    """abs add clone div expand float log_softmax maximum minimum mul neg pad reshape square stack cat sub tensor triu
    tril where masked_fill""".split()
)
"""Operations that leave an infinite element infinite, as long as the others are finite and not 0."""
_FINITENESS = frozenset({"isfinite", "isinf", "isnan", "isneginf", "isposinf"})
_MOST_STEPS = 40


class Infinity(NamedTuple):
    """Where an infinite element comes from."""

    node: cst.CSTNode | None
    """The operation that writes it; None for the constant itself."""
    mask: Value | None
    """What says which elements are infinite, where something was filled."""


def infinity_in(value: Value) -> Infinity | None:
    """Why some elements of a tensor are infinite; None where nothing in the code makes them so."""
    if value.is_constant and math.isinf(value.low):
        return Infinity(None, None)
    for current in keeping_chain(value):
        made = current.made
        if made is None:
            continue
        if made.operation in ("masked_fill", "where") and len(made.inputs) == 3:
            parts = made.inputs[1:2] if made.operation == "masked_fill" else made.inputs[1:]
            mask = made.inputs[2] if made.operation == "masked_fill" else made.inputs[0]
            if any(each.is_constant and math.isinf(each.low) for each in parts):
                return Infinity(made.node, mask)
        elif made.operation in ("mul", "full", "full_like") and _has_infinite_factor(current):
            return Infinity(made.node, None)
    return None


def keeping_chain(value: Value) -> Iterator[Value]:
    """The value, and those before it whose infinite elements it still has."""
    waiting, seen = [value], set[int]()
    while waiting and len(seen) < _MOST_STEPS:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting.extend(current.choices)
        made = current.made
        if made is None or made.operation not in _KEEPING:
            continue
        if made.operation in ("where", "masked_fill"):
            if any(_asks_whether_finite(each) for each in made.inputs):
                continue
            waiting.extend(each for each in made.inputs if each.dtype != "bool")
        else:
            # What is infinite below a fraction line is 0.
            waiting.extend(made.inputs[:1] if made.operation in ("div", "log_softmax") else made.inputs)


def _asks_whether_finite(mask: Value) -> bool:
    made = mask.made
    while made is not None and made.operation in ("logical_not", "bitwise_not") and made.inputs:
        made = made.inputs[0].made
    return made is not None and made.operation in _FINITENESS


def _has_infinite_factor(value: Value) -> bool:
    assert value.made is not None
    return any(each.is_constant and math.isinf(each.low) and each.kind == NUMBER for each in value.made.inputs) or (
        value.is_constant and math.isinf(value.low)
    )
