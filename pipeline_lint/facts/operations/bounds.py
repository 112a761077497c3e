"""What is kept between bounds, and the larger or smaller of two values."""

from __future__ import annotations

from collections.abc import Callable

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.row import Row
from pipeline_lint.facts.ranges.value import OTHER, TENSOR, Evidence, Operands, Value, both, either, weakened


def _bound(value: Value, dtype: str | None) -> Value:
    """A bound as the dtype of what it bounds holds it."""
    if not value.is_constant:
        return value
    number = floats.rounded(value.low, dtype)
    witness = f"{value.low} is {number} in {dtype or floats.DEFAULT_DTYPE}"
    evidence = Evidence(results.CERTAIN, f"clamp gives its bound {number}")
    if number == 0 and value.low != 0:
        evidence = Evidence(results.LIKELY, witness)
    elif number != value.low and number == round(number):
        evidence = Evidence(results.CERTAIN, witness)
    return value.but(low=number, high=number, at_low=evidence, at_high=evidence, zero=evidence if number == 0 else None)


def larger(one: Value, other: Value) -> Value:
    """The maximum of two values, without an origin."""
    low, high = max(one.low, other.low), max(one.high, other.high)
    at_high = either(*(each.at_high for each in (one, other) if each.high == high))
    if not (one.is_constant or other.is_constant):
        at_high = weakened(at_high)
    zero = either(
        one.zero if other.low <= 0 else None,
        other.zero if one.low <= 0 else None,
    )
    return Value(
        low,
        high,
        _inner_end(one, other, low, is_low=True),
        at_high,
        zero if other.is_constant or one.is_constant else weakened(zero),
        _is_nonzero(one, other),
    )


def smaller(one: Value, other: Value) -> Value:
    """The minimum of two values, without an origin."""
    low, high = min(one.low, other.low), min(one.high, other.high)
    at_low = either(*(each.at_low for each in (one, other) if each.low == low))
    if not (one.is_constant or other.is_constant):
        at_low = weakened(at_low)
    zero = either(
        one.zero if other.high >= 0 else None,
        other.zero if one.high >= 0 else None,
    )
    return Value(
        low,
        high,
        at_low,
        _inner_end(one, other, high, is_low=False),
        zero if other.is_constant or one.is_constant else weakened(zero),
        _is_nonzero(one, other),
    )


def _is_nonzero(one: Value, other: Value) -> bool:
    return not one.may_be_zero and not other.may_be_zero


def _inner_end(one: Value, other: Value, end: float, *, is_low: bool) -> Evidence | None:
    """Why the larger of two values is no larger than the larger of their low ends, or the other way round."""
    for value, bound in ((one, other), (other, one)):
        if bound.is_constant and bound.low == end:
            exceeds = value.low < end if is_low else value.high > end
            if exceeds:
                # Of a value of which nothing is known, nobody knows whether it ever meets its bound.
                is_met = (value.at_low if is_low else value.at_high) is not None
                return bound.at_low if is_met else weakened(bound.at_low)
            return value.at_low if is_low else value.at_high
    if one.is_constant or other.is_constant:
        varying = other if one.is_constant else one
        return varying.at_low if is_low else varying.at_high
    return weakened(both(one.at_low, other.at_low) if is_low else both(one.at_high, other.at_high))


def _bounded(operands: Operands, name: str, minimum: str | None, maximum: str | None) -> Value:
    value = operands.input
    dtype = value.dtype
    inputs = [value]
    result = value
    for parameter, choose in ((minimum, larger), (maximum, smaller)):
        if parameter is not None and parameter in operands and operands[parameter].kind != OTHER:
            bound = operands[parameter]
            inputs.append(bound)
            result = choose(result, _bound(bound, dtype))
            dtype = results.result_dtype(value, bound) if bound.kind == TENSOR else dtype
    return _finished(operands, name, result, inputs, dtype)


def _finished(operands: Operands, name: str, result: Value, inputs: list[Value], dtype: str | None) -> Value:
    return results.computed(
        operands,
        name,
        result.low,
        result.high,
        *inputs,
        at_low=result.at_low,
        at_high=result.at_high,
        zero=result.zero,
        is_nonzero=result.is_nonzero,
        dtype=dtype,
        is_count=all(map(results.is_whole, inputs)) and any(each.is_count for each in inputs),
    )


def _of_clamp(operands: Operands) -> Value:
    return _bounded(operands, "clamp", "min", "max")


def _of_pair(name: str, choose: Callable[[Value, Value], Value]) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        one, other = operands.input, operands["other"]
        dtype = results.result_dtype(one, other)
        first, second = (_bound(each, dtype) if each.is_constant else each for each in (one, other))
        return _finished(operands, name, choose(first, second), [one, other], dtype)

    return transfer


ROWS: dict[str, Row] = {
    "clamp": Row(_of_clamp),
    "clamp_min": Row(lambda operands: _bounded(operands, "clamp_min", "min", None)),
    "clamp_max": Row(lambda operands: _bounded(operands, "clamp_max", None, "max")),
    "maximum": Row(_of_pair("maximum", larger)),
    "minimum": Row(_of_pair("minimum", smaller)),
    "fmax": Row(_of_pair("fmax", larger)),
    "fmin": Row(_of_pair("fmin", smaller)),
}
