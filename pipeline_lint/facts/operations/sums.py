"""Sums and differences, with what is known of differences of related values."""

from __future__ import annotations

import math

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.products import multiplied
from pipeline_lint.facts.operations.row import Row
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    UNKNOWN,
    Evidence,
    Operands,
    Value,
    both,
    either,
    same,
    same_elements,
    weakened,
)

_SIZES = frozenset({"len", "shape", "size", "numel"})


def _plus(one: float, other: float) -> float:
    """A sum; infinities that cancel count as nothing known, which the caller notices by NaN."""
    return one + other


def _of_add(operands: Operands) -> Value:
    one, other = operands.input, scaled(operands, operands["other"])
    return added(operands, one, other)


def added(operands: Operands, one: Value, other: Value) -> Value:
    """`one + other`."""
    dtype = results.result_dtype(one, other)
    working = results.working_dtype(dtype, one, other)
    (one_low, one_high), (other_low, other_high) = (results.in_kernel(each, working) for each in (one, other))
    low = floats.rounded(_plus(one_low, other_low), working)
    high = floats.rounded(_plus(one_high, other_high), working)
    at_low = results.reached_together(one, one.at_low, other, other.at_low)
    at_high = results.reached_together(one, one.at_high, other, other.at_high)
    low, high = (-INFINITY if math.isnan(low) else low), (INFINITY if math.isnan(high) else high)
    zero = None
    if (one.low >= 0 and other.low >= 0) or (one.high <= 0 and other.high <= 0):
        zero = results.reached_together(one, one.zero, other, other.zero)
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


def scaled(operands: Operands, value: Value) -> Value:
    """`alpha * value` of `add` and `sub`."""
    if not results.is_given(operands, "alpha"):
        return value
    alpha = operands.number("alpha")
    if alpha == 1:
        return value
    return multiplied(operands, operands["alpha"], value)


def _of_sub(operands: Operands) -> Value:
    one, other = operands.input, scaled(operands, operands["other"])
    return subtracted(operands, one, other)


def subtracted(operands: Operands, one: Value, other: Value) -> Value:
    """`one - other`, with what is known of differences of related values."""
    dtype = results.result_dtype(one, other)
    working = results.working_dtype(dtype, one, other)
    if same(one, other) and one.dtype == other.dtype and not one.is_constant and one is not UNKNOWN:
        return results.exactly(operands, "sub", 0.0, "the difference of a value and itself", one, other, dtype=dtype)
    (one_low, one_high), (other_low, other_high) = (results.in_kernel(each, working) for each in (one, other))
    low, high = one_low - other_high, one_high - other_low
    low, high = (-INFINITY if math.isnan(low) else low), (INFINITY if math.isnan(high) else high)
    at_low = results.reached_together(one, one.at_low, other, other.at_high)
    at_high = results.reached_together(one, one.at_high, other, other.at_low)
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


ROWS: dict[str, Row] = {
    "add": Row(_of_add),
    "sub": Row(_of_sub),
    "rsub": Row(_of_rsub),
    "neg": Row(_of_neg),
    "abs": Row(_of_abs),
}
