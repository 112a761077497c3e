"""What a condition tells of the values in it, where it is met and where it is not.

Conditions are read from values, not from their text, so that `positive = x > 0` and later `x[positive]` is understood
like `x[x > 0]`. A comparison of tensors tells something of each element where it is used as a mask, and of all of them
behind `assert (x > 0).all()`.
"""

from __future__ import annotations

import math

from pipeline_lint.facts import floats
from pipeline_lint.facts.ranges.site import Bounds
from pipeline_lint.facts.ranges.state import NOTHING, Effects
from pipeline_lint.facts.ranges.value import INFINITY, NUMBER, TENSOR, Value, rounded_ends

_DEEPEST = 8
_OPPOSITES = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}
_MIRRORED = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge", "eq": "eq", "ne": "ne"}
_SIZES = frozenset({"numel", "len", "size", "shape", "count_nonzero"})
_ELEMENTWISE = frozenset({"abs", "square", "sqrt", "item", "float", "int"})
"""Operations that are 0 just where their input is: what is not 0 after them was not 0 before."""


def effects(condition: Value, *, is_met: bool, depth: int = 0) -> Effects:
    """What holds where a condition is met, or is not met."""
    made = condition.made
    if made is None or depth > _DEEPEST:
        return _of_truth(condition, is_met=is_met)
    name, inputs = made.operation, made.inputs
    if name in _OPPOSITES and len(inputs) == 2:
        return _of_comparison(name if is_met else _OPPOSITES[name], inputs[0], inputs[1])
    if name in ("logical_not", "bitwise_not") and inputs:
        return effects(inputs[0], is_met=not is_met, depth=depth + 1)
    if name in ("logical_and", "bitwise_and", "logical_or", "bitwise_or", "mul") and len(inputs) == 2:
        is_conjunction = name in ("logical_and", "bitwise_and", "mul")
        one, other = (effects(each, is_met=is_met, depth=depth + 1) for each in inputs)
        return one.and_also(other) if is_conjunction == is_met else one.or_else(other)
    if name == "any" and inputs:
        # None of them is met: each is not. One of them is: the mask selects something.
        return effects(inputs[0], is_met=False, depth=depth + 1) if not is_met else Effects({}, {inputs[0].root})
    if name == "all" and inputs:
        return effects(inputs[0], is_met=True, depth=depth + 1) if is_met else NOTHING
    if name == "is_nonzero" and inputs:
        return _of_truth(inputs[0], is_met=is_met)
    if name == "isfinite" and is_met and inputs:
        # What is finite did not come from a division by 0.
        return _of_finite(inputs[0])
    return _of_truth(condition, is_met=is_met)


def mask_kind(kind: str, condition: Value, value: Value, depth: int = 0) -> str:
    """What a mask of this kind is: `nan_to_num` where its condition asks whether the value itself is finite."""
    made = condition.made
    if made is None or depth > _DEEPEST or not made.inputs:
        return kind
    name, inputs = made.operation, made.inputs
    is_about_value = inputs[0].root == value.root
    if name in ("isnan", "isinf", "isfinite"):
        return "nan_to_num" if is_about_value else kind
    if name in ("eq", "ne") and len(inputs) == 2:
        is_infinite = inputs[1].is_constant and abs(inputs[1].low) == INFINITY
        return "nan_to_num" if is_about_value and (is_infinite or inputs[0].number == inputs[1].number) else kind
    if name in ("logical_not", "bitwise_not", "logical_or", "bitwise_or", "logical_and", "bitwise_and"):
        kinds = [mask_kind(kind, each, value, depth + 1) for each in inputs]
        return next((each for each in kinds if each != kind), kind)
    return kind


def _of_truth(condition: Value, *, is_met: bool) -> Effects:
    """`if count:` tells that it is not 0."""
    if not is_met:
        return Effects({condition.number: (0.0, 0.0, False)}) if condition.is_count else NOTHING
    return _not_zero(condition)


def _not_zero(value: Value, depth: int = 0) -> Effects:
    bounds: Bounds = (1.0, INFINITY, True) if value.is_count and value.low >= 0 else (-INFINITY, INFINITY, True)
    found = Effects({value.number: bounds}, {value.root})
    made = value.made
    if made is not None and made.inputs and depth < _DEEPEST:
        if made.operation in _SIZES or (made.operation == "sum" and value.is_count):
            return found.and_also(Effects({}, {made.inputs[0].root}))
        if made.operation in _ELEMENTWISE:
            return found.and_also(_not_zero(made.inputs[0], depth + 1))
    return found


def _of_comparison(name: str, left: Value, right: Value) -> Effects:
    return _bounded(left, name, right).and_also(_bounded(right, _MIRRORED[name], left))


def _bounded(value: Value, name: str, limit: Value) -> Effects:
    """What `value NAME limit` says of `value`."""
    if value.is_constant:
        return NOTHING
    found = NOTHING
    lowest, highest = _compared_ends(limit, value)
    dtype = "float64" if value.kind == NUMBER else value.dtype
    match name:
        case "gt" if lowest > -INFINITY:
            low = _count_above(lowest) if value.is_count else floats.next_above(lowest, dtype)
            found = Effects({value.number: (low, INFINITY, lowest >= 0)})
        case "ge" if lowest > -INFINITY:
            found = Effects({value.number: (lowest, INFINITY, lowest > 0)})
        case "lt" if highest < INFINITY:
            high = -_count_above(-highest) if value.is_count else floats.next_below(highest, dtype)
            found = Effects({value.number: (-INFINITY, high, highest <= 0)})
        case "le" if highest < INFINITY:
            found = Effects({value.number: (-INFINITY, highest, highest < 0)})
        case "eq" if not (limit.is_unknown and limit.low == -INFINITY):
            found = Effects({value.number: (lowest, highest, not limit.may_be_zero)})
        case "ne" if limit.is_constant and limit.low == 0:
            return _not_zero(value)
        case "ne" if limit.is_constant and value.low == lowest == highest:
            found = Effects({value.number: (floats.next_above(lowest, dtype), INFINITY, lowest >= 0)})
        case "ne" if limit.is_constant and value.high == lowest == highest:
            found = Effects({value.number: (-INFINITY, floats.next_below(highest, dtype), highest <= 0)})
    made = value.made
    if name in ("lt", "le") and made is not None and made.operation == "abs" and found.bounds:
        # `x.abs() < 1` keeps `x` between -1 and 1.
        high = found.bounds[value.number][1]
        return found.and_also(Effects({made.inputs[0].number: (-high, high, False)}))
    if any(low > 0 or high < 0 for low, high, _ in found.bounds.values()):
        # `norm > eps` and `x.abs() > eps` tell that what is measured is not 0, either.
        return _of_measured(value, found)
    return found


def _count_above(limit: float) -> float:
    return math.floor(limit) + 1.0 if math.isfinite(limit) else limit


def _compared_ends(limit: Value, value: Value) -> tuple[float, float]:
    """The ends of a limit as the comparison sees it: torch takes a number to the tensor's dtype."""
    if limit.kind != NUMBER or value.kind == NUMBER:
        return limit.low, limit.high
    low, high = rounded_ends(limit.low, limit.high, value.dtype)
    return (low, high) if value.kind == TENSOR else (min(low, limit.low), max(high, limit.high))


def _of_measured(value: Value, found: Effects) -> Effects:
    made = value.made
    if made is not None and made.inputs:
        is_size = made.operation in _SIZES or (made.operation == "sum" and value.is_count)
        if is_size or made.operation in _ELEMENTWISE:
            return found.and_also(_not_zero(value))
    return found


def _of_finite(value: Value, depth: int = 0) -> Effects:
    made = value.made
    if made is None or depth > _DEEPEST:
        return NOTHING
    if made.operation == "div" and len(made.inputs) == 2:
        return _not_zero(made.inputs[1])
    if made.operation in ("log", "log2", "log10"):
        source = made.inputs[0]
        return Effects({source.number: (floats.next_above(0.0, source.dtype), INFINITY, True)})
    return NOTHING
