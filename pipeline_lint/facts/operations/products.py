"""Products, squares and quotients, with what is known of shares of a whole."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.row import Hazard, Row
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    TENSOR,
    UNKNOWN,
    Evidence,
    Operands,
    Value,
    constant,
    either,
    same,
    same_elements,
    weakened,
)


def _of_mul(operands: Operands) -> Value:
    return multiplied(operands, operands.input, operands["other"])


def times(one: float, other: float) -> float:
    """A product of ends: 0 times infinity stands for 0 times something large."""
    return 0.0 if one == 0 or other == 0 else one * other


def multiplied(operands: Operands, one: Value, other: Value) -> Value:
    """`one * other`."""
    dtype = results.result_dtype(one, other)
    if same(one, other) and one is not UNKNOWN:
        return squared(operands, "mul", one, (one, other), dtype)
    working = results.working_dtype(dtype, one, other)
    corners = [
        (
            floats.rounded(times(first, second), working),
            results.reached_together(one, first_evidence, other, second_evidence),
        )
        for (first, first_evidence), (second, second_evidence) in itertools.product(
            ((one.low, one.at_low), (one.high, one.at_high)), ((other.low, other.at_low), (other.high, other.at_high))
        )
    ]
    low, high = min(corner for corner, _ in corners), max(corner for corner, _ in corners)
    keeps_size = (other.is_constant and abs(other.low) >= 1) or (one.is_constant and abs(one.low) >= 1)
    nan = None
    for first, second in ((one, other), (other, one)):
        made = second.made
        if made is not None and made.operation in results.LOGARITHMS and same_elements(made.inputs[0], first):
            nan = either(nan, first.zero)
    return results.computed(
        operands,
        "mul",
        low,
        high,
        one,
        other,
        at_low=either(*(evidence for corner, evidence in corners if corner == low)),
        at_high=either(*(evidence for corner, evidence in corners if corner == high)),
        zero=either(one.zero, other.zero),
        is_nonzero=keeps_size and not one.may_be_zero and not other.may_be_zero,
        nan=nan,
        dtype=dtype,
        is_count=one.is_count and other.is_count,
    )


def squared(operands: Operands, name: str, value: Value, inputs: tuple[Value, ...], dtype: str | None) -> Value:
    """The square of a value."""
    ends = [(end * end, evidence) for end, evidence in ((value.low, value.at_low), (value.high, value.at_high))]
    high = max(end for end, _ in ends)
    low = 0.0 if value.low <= 0 <= value.high else min(end for end, _ in ends)
    working = results.working_dtype(dtype, value)
    rounded_low, rounded_high = floats.rounded(low, working), floats.rounded(high, working)
    return results.computed(
        operands,
        name,
        rounded_low,
        rounded_high,
        *inputs,
        at_low=value.zero if low == 0 else either(*(evidence for end, evidence in ends if end == low)),
        at_high=either(*(evidence for end, evidence in ends if end == high)),
        zero=value.zero,
        dtype=dtype,
        kind=results.kind_of(*inputs) if name in ("mul", "pow") else results.tensor_kind(*inputs),
        is_count=value.is_count,
    )


def _of_square(operands: Operands) -> Value:
    return squared(operands, "square", operands.input, (operands.input,), operands.input.dtype)


def divided(operands: Operands, name: str, one: Value, other: Value, *inputs: Value) -> Value:
    """`one / other`."""
    dtype = results.ratio_dtype(one, other)
    inputs = inputs or (one, other)
    working = results.working_dtype(dtype, one, other)
    if same(one, other) and one is not UNKNOWN:
        return results.exactly(operands, name, 1.0, "a value divided by itself", *inputs, dtype=dtype)
    share = _share(operands, name, one, other, inputs, dtype)
    if share is not None:
        return share
    low, high = -INFINITY, INFINITY
    at_low = at_high = None
    if other.low > 0 or other.high < 0 or (other.low == 0 and other.high > 0) or (other.high == 0 and other.low < 0):
        is_positive = other.high > 0
        corners = [
            (
                floats.rounded(_quotient(first, second, is_positive=is_positive), working),
                results.reached_together(one, first_evidence, other, second_evidence),
            )
            for (first, first_evidence), (second, second_evidence) in itertools.product(
                ((one.low, one.at_low), (one.high, one.at_high)),
                ((other.low, other.at_low), (other.high, other.at_high)),
            )
        ]
        low, high = min(corner for corner, _ in corners), max(corner for corner, _ in corners)
        at_low = either(*(evidence for corner, evidence in corners if corner == low))
        at_high = either(*(evidence for corner, evidence in corners if corner == high))
    return results.computed(
        operands,
        name,
        low,
        high,
        *inputs,
        at_low=at_low,
        at_high=at_high,
        zero=one.zero,
        dtype=dtype,
        kind=None if name == "div" else TENSOR,
    )


def _quotient(one: float, other: float, *, is_positive: bool) -> float:
    if one == 0:
        return 0.0
    if other == 0:
        return math.copysign(INFINITY, one) * (1 if is_positive else -1)
    if math.isinf(other):
        return 0.0
    return one / other


def _share(
    operands: Operands, name: str, one: Value, other: Value, inputs: tuple[Value, ...], dtype: str | None
) -> Value | None:
    """A quotient by a sum, norm or maximum of the numerator itself, which is never beyond 1."""
    eps = results.limits_of(dtype).eps
    source = results.without_epsilon(other)
    made = source.made
    if made is None or not made.inputs:
        return None
    whole = made.inputs[0]
    if same_elements(whole, one):
        if made.operation == "sum" and one.low >= 0:
            # A sum of positive numbers is never rounded to less than one of them.
            return results.computed(
                operands, name, 0.0, 1.0, *inputs, at_low=weakened(one.zero), zero=one.zero, dtype=dtype
            )
        if made.operation in results.NORMS:
            limit = 1.0 + 4 * eps
            return results.computed(operands, name, -limit, limit, *inputs, zero=one.zero, dtype=dtype)
        if made.operation in results.MAXIMA and one.low >= 0:
            return results.computed(
                operands,
                name,
                0.0,
                1.0,
                *inputs,
                at_high=Evidence(results.CERTAIN, "the maximum itself"),
                zero=one.zero,
                dtype=dtype,
            )
    if _is_range(one, source):
        return results.computed(
            operands,
            name,
            0.0,
            1.0,
            *inputs,
            at_low=Evidence(results.CERTAIN, "the minimum itself"),
            at_high=Evidence(results.CERTAIN, "the maximum itself") if source is other else None,
            dtype=dtype,
        )
    return None


def _is_range(one: Value, other: Value) -> bool:
    """Whether `one / other` is `(x - min) / (max - min)`."""
    numerator, denominator = one.made, other.made
    if numerator is None or denominator is None or numerator.operation != "sub" or denominator.operation != "sub":
        return False
    smallest, largest = numerator.inputs[1].made, denominator.inputs[0].made
    return (
        smallest is not None
        and largest is not None
        and smallest.operation in results.MINIMA
        and largest.operation in results.MAXIMA
        # Those of what is no tensor may have none.
        and bool(smallest.inputs and largest.inputs)
        and numerator.inputs[1].number == denominator.inputs[1].number
        and same_elements(smallest.inputs[0], numerator.inputs[0])
        and same_elements(largest.inputs[0], numerator.inputs[0])
    )


def _of_div(operands: Operands) -> Value:
    if "rounding_mode" in operands:
        return _floored(operands, "div")
    return divided(operands, "div", operands.input, operands["other"])


def _of_floor_divide(operands: Operands) -> Value:
    return _floored(operands, "floor_divide")


def _floored(operands: Operands, name: str) -> Value:
    one, other = operands.input, operands["other"]
    exact = divided(operands, name, one, other)
    dtype = results.result_dtype(one, other)
    is_count = one.is_integer and other.is_integer and (one.is_count or other.is_count)
    low, high = exact.low, exact.high
    if not (results.is_whole(one) and results.is_whole(other)):
        # The quotient may have been rounded over a whole number. One of -0.0 was negative before that.
        below = floats.next_below(low, exact.dtype)
        low = max(below, 0.0) if math.copysign(1.0, low) > 0 and low >= 0 else below
        high = min(floats.next_above(high, exact.dtype), 0.0) if high <= 0 else floats.next_above(high, exact.dtype)
    low = low if math.isinf(low) else math.floor(low)
    high = high if math.isinf(high) else math.ceil(high)
    return results.computed(
        operands,
        name,
        low,
        high,
        one,
        other,
        zero=weakened(one.zero),
        dtype=dtype,
        has_gradient=name == "div",
        is_count=is_count,
    )


def _of_reciprocal(operands: Operands) -> Value:
    value = operands.input
    result = divided(operands, "reciprocal", constant(1.0), value, value)
    result.dtype = results.float_dtype(value)
    return result


def _of_remainder(operands: Operands) -> Value:
    one, other = operands.input, operands["other"]
    dtype = results.result_dtype(one, other)
    low, high = -INFINITY, INFINITY
    if other.low >= 0:
        # Rounding may give the divisor itself.
        low, high = 0.0, other.high
    elif other.high <= 0:
        low, high = other.low, 0.0
    return results.computed(
        operands,
        "remainder",
        low,
        high,
        one,
        other,
        zero=one.zero,
        dtype=dtype,
        is_count=one.is_count and other.is_integer,
    )


def _of_fmod(operands: Operands) -> Value:
    one, other = operands.input, operands["other"]
    limit = max(abs(other.low), abs(other.high))
    low = max(min(one.low, 0.0), -limit)
    high = min(max(one.high, 0.0), limit)
    return results.computed(
        operands, "fmod", low, high, one, other, zero=one.zero, dtype=results.result_dtype(one, other)
    )


def _hazards_of_divisor(value: str, gradient: str) -> Callable[[Operands], tuple[Hazard, ...]]:
    def hazards(operands: Operands) -> tuple[Hazard, ...]:
        if operands["other"].is_integer and operands.input.is_integer:
            return (Hazard("other", 0.0, 0.0, value, "finite"),)
        return (Hazard("other", 0.0, 0.0, value, gradient),)

    return hazards


def _of_division(operands: Operands) -> tuple[Hazard, ...]:
    one, other = operands.input, operands["other"]
    if "rounding_mode" in operands:
        return (Hazard("other", 0.0, 0.0, "inf", "finite"),)
    spoils_both = (one.is_constant and one.low == 0) or same(one, other)
    if not spoils_both and other.made is not None and results.are_related(one, other):
        # What makes the divisor 0 makes the numerator 0, too: x / x.norm(), (x * m).sum() / m.sum().
        spoils_both = one.zero is not None or one.is_unknown or one.may_be_zero
    return (Hazard("other", 0.0, 0.0, "nan" if spoils_both else "inf", "nan" if spoils_both else "inf"),)


ROWS: dict[str, Row] = {
    "mul": Row(_of_mul),
    "div": Row(_of_div, _of_division),
    "floor_divide": Row(_of_floor_divide, _hazards_of_divisor("inf", "finite")),
    "reciprocal": Row(_of_reciprocal, (Hazard("input", 0.0, 0.0, "inf", "inf"),)),
    "remainder": Row(_of_remainder, _hazards_of_divisor("nan", "inf")),
    "fmod": Row(_of_fmod, _hazards_of_divisor("nan", "inf")),
    "square": Row(_of_square),
}
