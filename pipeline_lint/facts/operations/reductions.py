"""Sums, means and spreads over elements, and what runs along them."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.row import Row
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    SEQUENCE,
    TENSOR,
    Evidence,
    Made,
    Operands,
    Value,
    either,
    weakened,
)

_PROBABILITIES = frozenset({"softmax", "softmin", "gumbel_softmax"})


_CANCELLED = Evidence(results.LIKELY, "elements that add up to 0")


_UNDERFLOW = Evidence(results.LIKELY, "a product of many small factors is 0")


def _of_sum(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        if value.kind == SEQUENCE:
            value = results.elements(value)
        is_whole = value.dtype in results.INTEGERS
        dtype = results.given_dtype(operands, "int64" if is_whole else value.dtype)
        low, high, at_low, at_high, zero = _sum_range(value)
        if name == "cumsum" and value.low > 0 and not value.empty:
            low = value.low
        is_mask = results.is_mask(value) or (is_whole and value.low >= 0)
        result = results.computed(
            operands,
            name,
            low,
            high,
            value,
            at_low=at_low,
            at_high=at_high,
            zero=zero,
            dtype=dtype,
            kind=NUMBER if operands.input.kind == SEQUENCE and value.kind == NUMBER else TENSOR,
            is_count=is_mask or value.is_count,
        )
        if name != "cumsum":
            result.empty = None
        if name == "sum" and _is_dot_of_units(value):
            return results.cosine(operands, name, value, dtype=dtype)
        return result

    return transfer


def _sum_range(value: Value) -> tuple[float, float, Evidence | None, Evidence | None, Evidence | None]:
    """Ends of a sum and why they, and 0, are reached."""
    at_low = value.at_low if value.low == -INFINITY else None
    at_high = value.at_high if value.high == INFINITY else None
    if results.is_mask(value):
        return 0.0, INFINITY, None, None, results.NOTHING_SELECTED
    if value.low >= 0:
        # No number of positive elements adds up to less than one of them.
        low = 0.0 if value.empty else value.low
        return low, INFINITY, None, at_high, _zero_of_sum(value)
    if value.high <= 0:
        high = 0.0 if value.empty else value.high
        return -INFINITY, high, at_low, None, _zero_of_sum(value)
    return -INFINITY, INFINITY, at_low, at_high, _CANCELLED if value.is_unknown else None


def _zero_of_sum(value: Value) -> Evidence | None:
    """Why a sum of values of one sign is 0 at times: all of them are, or there are none."""
    made = value.made
    if value.empty is not None:
        return value.empty
    if value.low > 0 or value.high < 0 or value.is_nonzero:
        return None
    if results.is_square(value):
        return results.EQUAL if results.is_difference(value) else results.ZEROS
    if made is not None and made.operation in _PROBABILITIES:
        return None
    if made is not None and made.operation == "exp" and _is_below_maximum(made.inputs[0]):
        return None
    return weakened(value.zero)


def _is_below_maximum(value: Value) -> bool:
    made = value.made
    return made is not None and made.operation == "sub" and value.high == 0


def _is_dot_of_units(value: Value) -> bool:
    made = value.made
    return (
        made is not None
        and made.operation == "mul"
        and len(made.inputs) == 2
        and results.is_unit(made.inputs[0])
        and results.is_unit(made.inputs[1])
    )


def _widened(number: float, dtype: str | None, *, is_low: bool) -> float:
    """An end of a mean: exact where it is 0 or a power of 2 in size, else a little outwards for its rounding."""
    number = floats.rounded(number, dtype)
    if number == 0 or math.isinf(number) or math.frexp(abs(number))[0] == 0.5:
        return number
    return (floats.next_below if is_low else floats.next_above)(number, dtype, 8)


def _of_mean(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        dtype = results.given_dtype(operands, results.float_dtype(value))
        zero = None
        if results.is_mask(value):
            zero = results.NOTHING_SELECTED
        elif value.low >= 0 or value.high <= 0:
            zero = _zero_of_sum(value.but(empty=None))
        result = results.computed(
            operands,
            name,
            _widened(value.low, dtype, is_low=True),
            _widened(value.high, dtype, is_low=False),
            value,
            at_low=weakened(value.at_low),
            at_high=weakened(value.at_high),
            zero=zero,
            nan=value.empty,
            dtype=dtype,
            kind=TENSOR,
        )
        if zero is None and result.low == 0:
            result.at_low = result.zero = None
        if zero is None and result.high == 0:
            result.at_high = result.zero = None
        result.empty = None
        return result

    return transfer


def _of_prod(operands: Operands) -> Value:
    value = operands.input
    dtype = results.given_dtype(operands, "int64" if value.dtype in results.INTEGERS else value.dtype)
    low, high = -INFINITY, INFINITY
    at_low = at_high = None
    zero = weakened(value.zero)
    if value.low >= 0:
        # No factors at all give 1.
        low, high = (
            (min(value.low, 1.0) if value.low >= 1 else 0.0),
            max(value.high if value.high <= 1 else INFINITY, 1.0),
        )
        if value.high <= 1 and value.low < 1:
            zero = either(zero, _UNDERFLOW)
        at_high = weakened(value.at_high) if high == value.high else None
    elif value.low >= -1 and value.high <= 1:
        low, high = -1.0, 1.0
    result = results.computed(
        operands,
        "prod",
        low,
        high,
        value,
        at_low=at_low,
        at_high=at_high,
        zero=zero,
        dtype=dtype,
        kind=TENSOR,
        is_count=value.is_count or (value.is_integer and value.low >= 0),
    )
    result.empty = None
    return result


def _of_cumprod(operands: Operands) -> Value:
    result = _of_prod(operands)
    result.made = Made("cumprod", operands.node, (operands.input,))
    result.empty = operands.input.empty
    return result


def _spread(operands: Operands, name: str) -> Value:
    value = operands.input
    dtype = results.float_dtype(value)
    width = value.high - value.low
    high = INFINITY
    if name == "std" and math.isfinite(width):
        # Of two elements, the unbiased one is the largest there is.
        high = floats.next_above(floats.rounded(width, dtype), dtype, 8)
    result = results.computed(
        operands, name, 0.0, high, value, zero=results.EQUAL, nan=value.empty, dtype=dtype, kind=TENSOR
    )
    result.empty = None
    return result


def _of_spread(name: str) -> Callable[[Operands], Value]:
    return lambda operands: _spread(operands, name)


def _of_spread_and_mean(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        spread = _spread(operands, name.partition("_")[0])
        return results.sequence(operands, name, spread, _of_mean("mean")(operands))

    return transfer


def _of_logsumexp(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        dtype = results.float_dtype(value)
        # As large as the largest element, and larger than it by the logarithm of their number at most.
        low = value.low if math.isinf(value.low) else floats.next_below(value.low, dtype, 2)
        result = results.computed(
            operands,
            name,
            low,
            INFINITY,
            value,
            at_low=weakened(value.at_low) if math.isinf(low) else None,
            at_high=value.at_high if math.isinf(value.high) else None,
            dtype=dtype,
            kind=TENSOR,
        )
        result.empty = None
        return result

    return transfer


def _of_truth(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        result = results.computed(
            operands,
            name,
            0.0,
            1.0,
            value,
            at_low=Evidence(results.LIKELY, "a condition that is not met"),
            at_high=Evidence(results.LIKELY, "a condition that is met"),
            dtype="bool",
            kind=TENSOR,
        )
        result.nan = result.empty = None
        return result

    return transfer


def _of_count_nonzero(operands: Operands) -> Value:
    value = operands.input
    result = results.computed(
        operands,
        "count_nonzero",
        0.0,
        INFINITY,
        value,
        zero=results.NOTHING_SELECTED if results.is_mask(value) else weakened(value.zero),
        dtype="int64",
        kind=TENSOR,
        is_count=True,
    )
    result.nan = result.empty = None
    return result


def _of_diff(operands: Operands) -> Value:
    value = operands.input
    width = value.high - value.low
    dtype = value.dtype
    limit = INFINITY if math.isnan(width) else floats.rounded(width, dtype)
    result = results.computed(operands, "diff", -limit, limit, value, zero=results.EQUAL, dtype=dtype, kind=TENSOR)
    return result if "n" not in operands else results.anything(operands, "diff", value, dtype=dtype)


ROWS: dict[str, Row] = {
    "sum": Row(_of_sum("sum")),
    "nansum": Row(lambda operands: _of_sum("nansum")(operands).but(nan=None)),
    "cumsum": Row(_of_sum("cumsum")),
    "trace": Row(_of_sum("trace")),
    "mean": Row(_of_mean("mean")),
    "nanmean": Row(_of_mean("nanmean")),
    "prod": Row(_of_prod),
    "cumprod": Row(_of_cumprod),
    "std": Row(_of_spread("std")),
    "var": Row(_of_spread("var")),
    "std_mean": Row(_of_spread_and_mean("std_mean")),
    "var_mean": Row(_of_spread_and_mean("var_mean")),
    "logsumexp": Row(_of_logsumexp("logsumexp")),
    "logcumsumexp": Row(_of_logsumexp("logcumsumexp")),
    "all": Row(_of_truth("all")),
    "any": Row(_of_truth("any")),
    "count_nonzero": Row(_of_count_nonzero),
    "diff": Row(_of_diff),
}
