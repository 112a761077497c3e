"""Functions of several arguments, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.products import divided, multiplied
from pipeline_lint.facts.operations.row import Hazard, Row
from pipeline_lint.facts.operations.sums import added
from pipeline_lint.facts.ranges.value import INFINITY, TENSOR, Evidence, Made, Operands, Value, both, either, weakened


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
            at_low=results.reached_together(one, one.at_low, other, other.at_low),
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
