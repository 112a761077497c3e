"""Sums, products, quotients, powers, and what lies between two bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.row import Hazard, Row
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    OTHER,
    TENSOR,
    UNKNOWN,
    Evidence,
    Made,
    Operands,
    Value,
    both,
    constant,
    either,
    same,
    same_elements,
    weakened,
)

_SIZES = frozenset({"len", "shape", "size", "numel"})
_REDUCED = frozenset({"sum", "mean", "prod", "count_nonzero", "nansum", *results.NORMS})


def _together(one: Value, one_end: Evidence | None, other: Value, other_end: Evidence | None) -> Evidence | None:
    """Evidence that two operands reach an end at the same time."""
    found = both(one_end, other_end)
    if found is None or one.is_constant or other.is_constant:
        # The witness of the one that varies.
        return one_end if found is not None and other.is_constant else other_end if found is not None else None
    if results.are_related(one, other) and not (_is_reduced(one) and _is_reduced(other)):
        return None
    return weakened(found)


def _is_reduced(value: Value) -> bool:
    return value.made is not None and value.made.operation in _REDUCED


def _plus(one: float, other: float) -> float:
    """A sum; infinities that cancel count as nothing known, which the caller notices by NaN."""
    return one + other


def _of_add(operands: Operands) -> Value:
    one, other = operands.input, _scaled(operands, operands["other"])
    return added(operands, one, other)


def added(operands: Operands, one: Value, other: Value) -> Value:
    """`one + other`."""
    dtype = results.result_dtype(one, other)
    working = results.working_dtype(dtype, one, other)
    low = floats.rounded(_plus(one.low, other.low), working)
    high = floats.rounded(_plus(one.high, other.high), working)
    at_low = _together(one, one.at_low, other, other.at_low)
    at_high = _together(one, one.at_high, other, other.at_high)
    low, high = (-INFINITY if math.isnan(low) else low), (INFINITY if math.isnan(high) else high)
    zero = None
    if (one.low >= 0 and other.low >= 0) or (one.high <= 0 and other.high <= 0):
        zero = _together(one, one.zero, other, other.zero)
    elif other.is_constant and other.low == 0:
        zero = one.zero
    elif not results.are_related(one, other):
        zero = weakened(both(one.zero, other.zero))
    if zero is None and _is_square(one) and _is_square(other):
        zero = Evidence(results.LIKELY, "squares that are all 0")
    is_nonzero = (one.low >= 0 and other.low >= 0 and (one.is_nonzero or other.is_nonzero)) or (
        other.is_constant and other.low == 0 and one.is_nonzero
    )
    is_nonzero = is_nonzero or _fills_zeros(one, other) or _fills_zeros(other, one)
    return results.computed(
        operands,
        "add",
        low,
        high,
        one,
        other,
        at_low=at_low,
        at_high=at_high,
        zero=zero,
        is_nonzero=is_nonzero,
        dtype=dtype,
        is_count=results.is_whole(one) and results.is_whole(other) and (one.is_count or other.is_count),
    )


def _fills_zeros(value: Value, addend: Value) -> bool:
    """Whether `addend` is `(value == 0) * eps`, which is added to what is not negative."""
    made = addend.made
    if value.low < 0 or made is None or made.operation != "mul" or addend.low < 0:
        return False
    for mask, epsilon in (made.inputs, made.inputs[::-1]):
        test = mask.made
        if epsilon.is_constant and epsilon.low > 0 and test is not None and test.operation == "eq":
            one, other = test.inputs
            return one.number == value.number and other.is_constant and other.low == 0
    return False


def _scaled(operands: Operands, value: Value) -> Value:
    """`alpha * value` of `add` and `sub`."""
    if not results.is_given(operands, "alpha"):
        return value
    alpha = operands.number("alpha")
    if alpha == 1:
        return value
    return multiplied(operands, operands["alpha"], value)


def _of_sub(operands: Operands) -> Value:
    one, other = operands.input, _scaled(operands, operands["other"])
    return subtracted(operands, one, other)


def subtracted(operands: Operands, one: Value, other: Value) -> Value:
    """`one - other`, with what is known of differences of related values."""
    dtype = results.result_dtype(one, other)
    working = results.working_dtype(dtype, one, other)
    if same(one, other) and one.dtype == other.dtype and not one.is_constant and one is not UNKNOWN:
        return results.exactly(operands, "sub", 0.0, "the difference of a value and itself", one, other, dtype=dtype)
    low, high = one.low - other.high, one.high - other.low
    low, high = (-INFINITY if math.isnan(low) else low), (INFINITY if math.isnan(high) else high)
    at_low = _together(one, one.at_low, other, other.at_high)
    at_high = _together(one, one.at_high, other, other.at_low)
    low, high = floats.rounded(low, working), floats.rounded(high, working)
    zero = one.zero if other.is_constant and other.low == 0 else None
    if one.is_count and other.is_constant and other.low >= 1 and one.made is not None and one.made.operation in _SIZES:
        zero = Evidence(results.LIKELY, f"a size of {other.low:g}")
    elif not other.is_constant and not results.are_related(one, other):
        zero = weakened(both(one.zero, other.zero))
    sign, evidence = _known_sign(one, other)
    if sign < 0:
        high, at_high = min(high, 0.0), evidence
    elif sign > 0:
        low, at_low = max(low, 0.0), evidence
    if low == 0 or high == 0:
        zero = either(zero, evidence)
    elif sign == 0 and evidence is not None:
        zero = evidence
    is_nonzero = other.is_constant and other.low == 0 and one.is_nonzero
    return results.computed(
        operands,
        "sub",
        low,
        high,
        one,
        other,
        at_low=at_low,
        at_high=at_high,
        zero=zero,
        is_nonzero=is_nonzero,
        dtype=dtype,
        is_count=results.is_whole(one) and results.is_whole(other) and (one.is_count or other.is_count),
    )


def _known_sign(one: Value, other: Value) -> tuple[int, Evidence | None]:
    """The sign of `one - other` where the one was computed from the other; why it is 0 at times."""
    first, second = one.made, other.made
    if second is not None and second.inputs and same_elements(second.inputs[0], one):
        if second.operation in results.MAXIMA:
            return -1, Evidence(results.CERTAIN, "the maximum itself")
        if second.operation in results.MINIMA:
            return 1, Evidence(results.CERTAIN, "the minimum itself")
        if second.operation == "logsumexp":
            return -1, None
        if second.operation == "floor":
            return 1, Evidence(results.LIKELY, "whole numbers")
    if first is not None and first.inputs and same_elements(first.inputs[0], other):
        if first.operation in results.MAXIMA:
            return 1, Evidence(results.CERTAIN, "the maximum itself")
        if first.operation in results.MINIMA:
            return -1, Evidence(results.CERTAIN, "the minimum itself")
        if first.operation in ("logsumexp", "abs"):
            return 1, None
    if first is None or second is None or not first.inputs or not second.inputs:
        return 0, None
    if same_elements(first.inputs[0], second.inputs[0]):
        if first.operation in results.MAXIMA and second.operation in results.MINIMA:
            return 1, results.EQUAL
        if first.operation in results.MINIMA and second.operation in results.MAXIMA:
            return -1, results.EQUAL
    if _is_mean_of_square(one) and _is_square_of_mean(one, other):
        return 0, results.EQUAL
    return 0, None


def _is_square(value: Value) -> bool:
    made = value.made
    if made is None or value.is_constant or value.low < 0:
        return False
    return (
        made.operation == "square"
        or (made.operation == "pow" and made.inputs[-1].is_constant and made.inputs[-1].low == 2)
        or (made.operation == "mul" and len(made.inputs) == 2 and same(*made.inputs))
    )


def _is_mean_of_square(value: Value) -> bool:
    made = value.made
    return made is not None and made.operation == "mean" and bool(made.inputs) and results.is_square(made.inputs[0])


def _is_square_of_mean(one: Value, other: Value) -> bool:
    """Whether `other` is the square of the mean of what `one` is the mean of the squares of."""
    if other.made is None or not other.made.inputs or not results.is_square(other):
        return False
    mean = other.made.inputs[0].made
    square = one.made.inputs[0].made if one.made is not None and one.made.inputs else None
    return (
        mean is not None
        and mean.operation == "mean"
        and square is not None
        and bool(mean.inputs)
        and bool(square.inputs)
        and same_elements(mean.inputs[0], square.inputs[0])
    )


def _of_rsub(operands: Operands) -> Value:
    return subtracted(operands, operands["other"], operands.input)


def _of_mul(operands: Operands) -> Value:
    return multiplied(operands, operands.input, operands["other"])


def _times(one: float, other: float) -> float:
    """A product of ends: 0 times infinity stands for 0 times something large."""
    return 0.0 if one == 0 or other == 0 else one * other


def multiplied(operands: Operands, one: Value, other: Value) -> Value:
    """`one * other`."""
    dtype = results.result_dtype(one, other)
    if same(one, other) and one is not UNKNOWN:
        return _squared(operands, "mul", one, (one, other), dtype)
    working = results.working_dtype(dtype, one, other)
    corners = [
        (floats.rounded(_times(first, second), working), _together(one, first_evidence, other, second_evidence))
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


def _squared(operands: Operands, name: str, value: Value, inputs: tuple[Value, ...], dtype: str | None) -> Value:
    ends = [(_power(end, 2.0), evidence) for end, evidence in ((value.low, value.at_low), (value.high, value.at_high))]
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
    return _squared(operands, "square", operands.input, (operands.input,), operands.input.dtype)


def _of_neg(operands: Operands) -> Value:
    value = operands.input
    return results.computed(
        operands,
        "neg",
        -value.high,
        -value.low,
        value,
        at_low=value.at_high,
        at_high=value.at_low,
        zero=value.zero,
        is_nonzero=value.is_nonzero,
        dtype=value.dtype,
    )


def _of_abs(operands: Operands) -> Value:
    value = operands.input
    high = max(abs(value.low), abs(value.high))
    low = 0.0 if value.low <= 0 <= value.high else min(abs(value.low), abs(value.high))
    ends = ((abs(value.low), value.at_low), (abs(value.high), value.at_high))
    return results.computed(
        operands,
        "abs",
        low,
        high,
        value,
        at_low=value.zero if low == 0 else either(*(evidence for end, evidence in ends if end == low)),
        at_high=either(*(evidence for end, evidence in ends if end == high)),
        zero=value.zero,
        is_nonzero=value.is_nonzero,
        dtype=value.dtype,
        is_count=value.is_count,
    )


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
                _together(one, first_evidence, other, second_evidence),
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
        # The quotient may have been rounded over a whole number.
        low = max(floats.next_below(low, exact.dtype), 0.0) if low >= 0 else floats.next_below(low, exact.dtype)
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


# Powers.


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        is_negative = base < 0 and exponent % 2 == 1
        return -INFINITY if is_negative else INFINITY
    except ValueError:
        # 0 to a negative power.
        return INFINITY if base == 0 else math.nan


def _of_pow(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        base, exponent = operands.input, operands["exponent"]
        dtype = "float64" if name == "float_power" else results.result_dtype(base, exponent)
        if name == "pow" and base.kind == NUMBER and exponent.kind != NUMBER:
            dtype = exponent.dtype
        if exponent.is_constant:
            return _of_constant_exponent(operands, name, base, exponent, dtype)
        if base.is_constant and base.low > 0:
            return _of_constant_base(operands, name, base, exponent, dtype)
        low = at_low = zero = None
        high, at_high = INFINITY, None
        if base.low >= 0:
            low = 0.0
            if exponent.low >= 0 and base.high <= 1:
                high, at_high = 1.0, base.at_high if base.high == 1 else None
            if exponent.low > 0 or exponent.is_unknown:
                zero = at_low = weakened(base.zero)
        return results.computed(
            operands,
            name,
            -INFINITY if low is None else low,
            high,
            base,
            exponent,
            at_low=at_low,
            at_high=at_high,
            zero=zero,
            dtype=dtype,
        )

    return transfer


def _of_constant_exponent(operands: Operands, name: str, base: Value, exponent: Value, dtype: str | None) -> Value:
    power = exponent.low
    inputs = (base, exponent)
    working = results.working_dtype(dtype, base, exponent)
    if power == 0:
        return results.exactly(operands, name, 1.0, "a power of 0 is 1", *inputs, dtype=dtype)
    if power == 2:
        return _squared(operands, name, base, inputs, dtype)
    is_whole = power == int(power) if math.isfinite(power) else False
    left = base.low if is_whole else max(base.low, 0.0)
    right = base.high
    if left > right or not math.isfinite(power):
        return results.computed(operands, name, -INFINITY, INFINITY, *inputs, dtype=dtype)
    points = [(left, base.at_low if left == base.low else base.zero), (right, base.at_high)]
    if left < 0 < right:
        points.append((0.0, base.zero))
    images = [(_power(point, power), evidence) for point, evidence in points]
    if power < 0 and is_whole and power % 2 and left < 0 < right:
        images = [(-INFINITY, None), (INFINITY, base.zero)]
    if power < 0 and is_whole and power % 2 and right == 0:
        images = [(-INFINITY if image == INFINITY else image, evidence) for image, evidence in images]
    low, high = min(image for image, _ in images), max(image for image, _ in images)
    steps = 0 if power in (1, -1) else 3
    is_exact = {0.0, 1.0, -1.0, INFINITY, -INFINITY}
    rounded_low, rounded_high = floats.rounded(low, working), floats.rounded(high, working)
    if low not in is_exact:
        stepped = floats.next_below(rounded_low, working, steps)
        rounded_low = max(stepped, 0.0) if low >= 0 else stepped
    if high not in is_exact:
        stepped = floats.next_above(rounded_high, working, steps)
        rounded_high = min(stepped, 0.0) if high <= 0 else stepped
    return results.computed(
        operands,
        name,
        rounded_low,
        rounded_high,
        *inputs,
        at_low=either(*(evidence for image, evidence in images if image == low)),
        at_high=either(*(evidence for image, evidence in images if image == high)),
        zero=base.zero if power > 0 else None,
        is_nonzero=(0 < power <= 1) and base.is_nonzero,
        dtype=dtype,
        is_count=base.is_count and exponent.is_count,
    )


def _of_constant_base(operands: Operands, name: str, base: Value, exponent: Value, dtype: str | None) -> Value:
    working = results.working_dtype(dtype, base, exponent)
    ends = [
        (_power(base.low, end), evidence)
        for end, evidence in ((exponent.low, exponent.at_low), (exponent.high, exponent.at_high))
    ]
    low, high = min(end for end, _ in ends), max(end for end, _ in ends)
    rounded_low, rounded_high = floats.rounded(low, working), floats.rounded(high, working)
    exact = {0.0, 1.0, INFINITY}
    return results.computed(
        operands,
        name,
        rounded_low if low in exact else max(floats.next_below(rounded_low, working, 3), 0.0),
        rounded_high if high in exact else floats.next_above(rounded_high, working, 3),
        base,
        exponent,
        at_low=either(*(evidence for end, evidence in ends if end == low)),
        at_high=either(*(evidence for end, evidence in ends if end == high)),
        dtype=dtype,
    )


def _hazards_of_power(operands: Operands) -> tuple[Hazard, ...]:
    base, exponent = operands.input, operands["exponent"]
    dtype = results.result_dtype(base, exponent)
    smallest = results.limits_of(dtype).smallest
    if exponent.is_constant:
        power = exponent.low
        is_whole = math.isfinite(power) and power == int(power)
        found: list[Hazard] = []
        if power < 0:
            found.append(Hazard("input", 0.0, 0.0, "inf", "inf"))
        elif 0 < power < 1:
            found.append(Hazard("input", 0.0, 0.0, "finite", "inf"))
        if not is_whole:
            found.append(Hazard("input", -INFINITY, -smallest, "nan", "nan"))
        return tuple(found)
    if base.is_constant and base.low > 0:
        if base.low == 1:
            return ()
        slope = math.log(base.low)
        limit = floats.next_above(results.limits_of(dtype).max_exp / abs(slope), dtype, 2)
        if slope > 0:
            return (Hazard("exponent", limit, INFINITY, "inf", "inf"),)
        return (Hazard("exponent", -INFINITY, -limit, "inf", "inf"),)
    if exponent.low >= 0 and (
        exponent.high < 1 or 0 < exponent.low < 1 or (exponent.low == 0 and exponent.at_low is not None)
    ):
        return (
            Hazard("input", 0.0, 0.0, "finite", "inf"),
            Hazard("input", -INFINITY, -smallest, "nan", "nan"),
        )
    if exponent.high < 0:
        return (Hazard("input", 0.0, 0.0, "inf", "inf"),)
    return ()


# Bounds.


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


# Comparisons and logic.


def _truth(name: str, *parameters: str) -> Row:
    def transfer(operands: Operands) -> Value:
        return results.computed(
            operands,
            name,
            0.0,
            1.0,
            *(operands[parameter] for parameter in parameters),
            at_low=Evidence(results.LIKELY, "a condition that is not met"),
            at_high=Evidence(results.LIKELY, "a condition that is met"),
            dtype="bool",
            kind=TENSOR if TENSOR in {operands[parameter].kind for parameter in parameters} else None,
        )

    return Row(_without_nan(transfer))


def _without_nan(transfer: Callable[[Operands], Value]) -> Callable[[Operands], Value]:
    def wrapped(operands: Operands) -> Value:
        result = transfer(operands)
        result.nan = None
        return result

    return wrapped


def _of_bits(name: str) -> Row:
    def transfer(operands: Operands) -> Value:
        one, other = operands.input, operands["other"]
        if results.is_mask(one) or results.is_mask(other):
            return _truth(name, "input", "other").transfer(operands)
        low = 0.0 if one.low >= 0 and other.low >= 0 else -INFINITY
        dtype = results.result_dtype(one, other)
        return results.computed(operands, name, low, INFINITY, one, other, dtype=dtype)

    return Row(transfer)


def _of_bitwise_not(operands: Operands) -> Value:
    if results.is_mask(operands.input) or operands.input.dtype is None:
        return _truth("bitwise_not", "input").transfer(operands)
    return results.anything(operands, "bitwise_not", operands.input, dtype=operands.input.dtype)


# Combinations.


def _of_lerp(operands: Operands) -> Value:
    one, end, weight = operands.input, operands["end"], operands["weight"]
    dtype = results.result_dtype(one, end)
    if not (weight.low >= 0 and weight.high <= 1):
        return results.anything(operands, "lerp", one, end, weight, dtype=dtype)
    low, high = min(one.low, end.low), max(one.high, end.high)
    margin = 4 * results.limits_of(dtype).eps * max(abs(low), abs(high))
    return results.computed(
        operands,
        "lerp",
        low - margin if math.isfinite(margin) else -INFINITY,
        high + margin if math.isfinite(margin) else INFINITY,
        one,
        end,
        weight,
        dtype=dtype,
    )


def _of_addcmul(operands: Operands) -> Value:
    product = multiplied(operands, operands["tensor1"], operands["tensor2"])
    if results.is_given(operands, "value"):
        product = multiplied(operands, operands["value"], product)
    return _renamed(added(operands, operands.input, product), operands, "addcmul")


def _of_addcdiv(operands: Operands) -> Value:
    quotient = divided(operands, "div", operands["tensor1"], operands["tensor2"])
    if results.is_given(operands, "value"):
        quotient = multiplied(operands, operands["value"], quotient)
    return _renamed(added(operands, operands.input, quotient), operands, "addcdiv")


def _renamed(value: Value, operands: Operands, name: str) -> Value:
    value.made = Made(name, operands.node, (operands.input, operands["tensor1"], operands["tensor2"]))
    # Fused, so that rounding is another one.
    value.at_low = value.at_high = None
    return value


def _of_logaddexp(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        one, other = operands.input, operands["other"]
        dtype = results.result_dtype(one, other)
        low, high = max(one.low, other.low), max(one.high, other.high)
        step = math.log(2) if name == "logaddexp" else 1.0
        high = floats.next_above(floats.rounded(high + step, dtype), dtype, 4)
        return results.computed(
            operands,
            name,
            low,
            high,
            one,
            other,
            at_low=_together(one, one.at_low, other, other.at_low),
            at_high=weakened(either(one.at_high, other.at_high)) if math.isinf(high) else None,
            dtype=dtype,
            kind=TENSOR,
        )

    return transfer


def _of_hypot(operands: Operands) -> Value:
    one, other = operands.input, operands["other"]
    dtype = results.result_dtype(one, other)
    low = max(0.0 if one.low <= 0 <= one.high else min(abs(one.low), abs(one.high)), 0.0)
    zero = weakened(both(one.zero, other.zero)) if one.zero and other.zero else None
    return results.computed(
        operands,
        "hypot",
        max(floats.next_below(low, dtype, 2), 0.0),
        INFINITY,
        one,
        other,
        zero=zero,
        dtype=dtype,
        kind=TENSOR,
    )


def _hazards_of_hypot(operands: Operands) -> tuple[Hazard, ...]:
    if operands["other"].may_be_zero:
        return (Hazard("input", 0.0, 0.0, "finite", "nan"),)
    return ()


def _of_atan2(operands: Operands) -> Value:
    one, other = operands.input, operands["other"]
    dtype = results.ratio_dtype(one, other)
    limit = floats.next_above(floats.rounded(math.pi, dtype), dtype)
    low = 0.0 if one.low > 0 else -limit
    high = 0.0 if one.high < 0 else limit
    return results.computed(
        operands, "atan2", low, high, one, other, zero=one.zero if other.low > 0 else None, dtype=dtype
    )


def _of_xlogy(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        one, other = operands.input, operands["other"]
        dtype = results.ratio_dtype(one, other)
        low, high = -INFINITY, INFINITY
        limit = 1.0 if name == "xlogy" else 0.0
        if one.low >= 0 and other.high <= limit:
            high = 0.0
        elif one.low >= 0 and other.low >= limit:
            low = 0.0
        return results.computed(operands, name, low, high, one, other, zero=one.zero, dtype=dtype, kind=TENSOR)

    return transfer


def _hazards_of_xlogy(name: str) -> Callable[[Operands], tuple[Hazard, ...]]:
    def hazards(operands: Operands) -> tuple[Hazard, ...]:
        one, other = operands.input, operands["other"]
        edge = 0.0 if name == "xlogy" else -1.0
        dtype = results.ratio_dtype(one, other)
        # 0 * log(0) is 0, but its gradient is not.
        at_edge = "finite" if one.may_be_zero else "inf"
        beyond = floats.next_below(edge, dtype)
        return (
            Hazard("other", edge, edge, at_edge, "nan" if one.may_be_zero else "inf"),
            *(() if one.is_constant and one.low == 0 else (Hazard("other", -INFINITY, beyond, "nan", "nan"),)),
        )

    return hazards


def _hazards_of_ldexp(operands: Operands) -> tuple[Hazard, ...]:
    first = math.ceil(math.log2(results.limits_of(operands.input.dtype).max))
    return (Hazard("other", first, INFINITY, "inf", "inf"),)


def _of_two(name: str, hazards: Callable[[Operands], tuple[Hazard, ...]] | tuple[Hazard, ...] = ()) -> Row:
    """A function of two arguments of whose range nothing is said."""

    def transfer(operands: Operands) -> Value:
        one, other = operands.input, operands["other"]
        return results.anything(operands, name, one, other, dtype=results.result_dtype(one, other))

    return Row(transfer, hazards)


def _of_copysign(operands: Operands) -> Value:
    one = operands.input
    limit = max(abs(one.low), abs(one.high))
    return results.computed(
        operands,
        "copysign",
        -limit,
        limit,
        one,
        operands["other"],
        zero=one.zero,
        dtype=results.float_dtype(one),
        kind=TENSOR,
    )


def _of_heaviside(operands: Operands) -> Value:
    other = operands["values"]
    low, high = min(0.0, other.low), max(1.0, other.high)
    return results.computed(
        operands,
        "heaviside",
        low,
        high,
        operands.input,
        other,
        zero=Evidence(results.LIKELY, "a negative number"),
        dtype=operands.input.dtype,
        kind=TENSOR,
        has_gradient=False,
    )


ROWS: dict[str, Row] = {
    "add": Row(_of_add),
    "sub": Row(_of_sub),
    "rsub": Row(_of_rsub),
    "mul": Row(_of_mul),
    "div": Row(_of_div, _of_division),
    "floor_divide": Row(_of_floor_divide, _hazards_of_divisor("inf", "finite")),
    "reciprocal": Row(_of_reciprocal, (Hazard("input", 0.0, 0.0, "inf", "inf"),)),
    "remainder": Row(_of_remainder, _hazards_of_divisor("nan", "inf")),
    "fmod": Row(_of_fmod, _hazards_of_divisor("nan", "inf")),
    "neg": Row(_of_neg),
    "abs": Row(_of_abs),
    "square": Row(_of_square),
    "pow": Row(_of_pow("pow"), _hazards_of_power),
    "float_power": Row(_of_pow("float_power"), _hazards_of_power),
    "clamp": Row(_of_clamp),
    "clamp_min": Row(lambda operands: _bounded(operands, "clamp_min", "min", None)),
    "clamp_max": Row(lambda operands: _bounded(operands, "clamp_max", None, "max")),
    "maximum": Row(_of_pair("maximum", larger)),
    "minimum": Row(_of_pair("minimum", smaller)),
    "fmax": Row(_of_pair("fmax", larger)),
    "fmin": Row(_of_pair("fmin", smaller)),
    **{name: _truth(name, "input", "other") for name in ("eq", "ne", "lt", "le", "gt", "ge", "isclose")},
    **{name: _truth(name, "input", "other") for name in ("logical_and", "logical_or", "logical_xor")},
    **{name: _truth(name, "input") for name in ("logical_not", "isnan", "isinf", "isfinite", "isneginf", "isposinf")},
    "equal": _truth("equal", "input", "other"),
    "allclose": _truth("allclose", "input", "other"),
    **{name: _of_bits(name) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    "bitwise_not": Row(_of_bitwise_not),
    "lerp": Row(_of_lerp),
    "addcmul": Row(_of_addcmul),
    "addcdiv": Row(_of_addcdiv, (Hazard("tensor2", 0.0, 0.0, "inf", "inf"),)),
    "logaddexp": Row(_of_logaddexp("logaddexp")),
    "logaddexp2": Row(_of_logaddexp("logaddexp2")),
    "hypot": Row(_of_hypot, _hazards_of_hypot),
    "atan2": Row(_of_atan2),
    "xlogy": Row(_of_xlogy("xlogy"), _hazards_of_xlogy("xlogy")),
    "xlog1py": Row(_of_xlogy("xlog1py"), _hazards_of_xlogy("xlog1py")),
    "copysign": Row(_of_copysign),
    "heaviside": Row(_of_heaviside),
    "ldexp": _of_two("ldexp", _hazards_of_ldexp),
}
