"""Powers, by their exponents."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.products import squared
from pipeline_lint.facts.operations.row import Hazard, Row
from pipeline_lint.facts.ranges.value import INFINITY, NUMBER, Operands, Value, either, weakened


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
        return squared(operands, name, base, inputs, dtype)
    is_whole = power == int(power) if math.isfinite(power) else False
    left = base.low if is_whole else max(base.low, 0.0)
    right = base.high
    if left > right or not math.isfinite(power):
        return results.computed(operands, name, -INFINITY, INFINITY, *inputs, dtype=dtype)
    points = [(left, base.at_low if left == base.low else base.zero), (right, base.at_high)]
    if left < 0 < right:
        points.append((0.0, base.zero))
    # 0.333 beside a bfloat16 tensor is 0.33203125, or itself where a kernel computes in float32.
    powers = dict.fromkeys(power if is_whole else each for each in results.in_kernel(exponent, working))
    images = [(_power(point, each), evidence) for point, evidence in points for each in powers]
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


ROWS: dict[str, Row] = {
    "pow": Row(_of_pow("pow"), _hazards_of_power),
    "float_power": Row(_of_pow("float_power"), _hazards_of_power),
}
