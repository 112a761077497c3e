"""Activation functions and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.curves import Curve, rows, saturates
from pipeline_lint.facts.operations.row import Row
from pipeline_lint.facts.ranges.value import INFINITY, TENSOR, Evidence, Operands, Value, both, either, join, weakened

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _sigmoid(number: float) -> float:
    return 1.0 / (1.0 + math.exp(-number)) if number >= 0 else math.exp(number) / (1.0 + math.exp(number))


def _logsigmoid(number: float) -> float:
    return -_softplus(-number)


def _softplus(number: float) -> float:
    return max(number, 0.0) + math.log1p(math.exp(-abs(number)))


def _silu(number: float) -> float:
    return number * _sigmoid(number) if number > -1e3 else -0.0


def _gelu(number: float) -> float:
    return number * math.erfc(-number / math.sqrt(2)) / 2 if number > -1e3 else -0.0


def _mish(number: float) -> float:
    return number * math.tanh(_softplus(number)) if number > -1e3 else -0.0


def _hardswish(number: float) -> float:
    return number * min(max(number + 3, 0.0), 6.0) / 6 if number > -3 else -0.0


def _softsign(number: float) -> float:
    return math.copysign(1.0, number) if math.isinf(number) else number / (1 + abs(number))


def _tanhshrink(number: float) -> float:
    return number - math.tanh(number)


_CURVES = (
    Curve("logsigmoid", _logsigmoid, image=(-INFINITY, 0.0), steps=4, at_right=saturates(0.0, 104.0, 93.0, 18.0)),
    Curve("silu", _silu, turns=(-1.2784645427610738,), passes_zero=True, steps=4),
    Curve("mish", _mish, turns=(-1.1924312145154,), passes_zero=True, steps=8),
    Curve("hardswish", _hardswish, turns=(-1.5,), passes_zero=True, steps=2),
    Curve("softsign", _softsign, image=(-1.0, 1.0), keeps_zero=True),
)


def _number(operands: Operands, name: str, default: float) -> float | None:
    return operands.number(name, default) if results.is_given(operands, name) or name not in operands else default


def _with_settings(name: str, make: Callable[[Operands], Curve | None]) -> Row:
    """A curve that depends on further arguments; of its range nothing is known where these are not."""

    def transfer(operands: Operands) -> Value:
        curve = make(operands)
        if curve is None:
            return results.anything(operands, name, operands.input, dtype=results.float_dtype(operands.input))
        return curve.transfer(operands)

    return Row(transfer)


def _of_relu(operands: Operands) -> Value:
    return _clipped(operands, "relu", 0.0, INFINITY)


def _clipped(operands: Operands, name: str, lower: float, upper: float) -> Value:
    """The input between two bounds: whatever lies beyond one gives it exactly."""
    value = operands.input
    low, high = min(max(value.low, lower), upper), max(min(value.high, upper), lower)
    at_low: Evidence | None = value.at_low
    at_high: Evidence | None = value.at_high
    is_default = name != "hardtanh" or (lower, upper) == (-1.0, 1.0)
    if value.low < low:
        at_low = results.reached_certainly(f"{name}({lower - 1})", str(lower), value.dtype)
        at_low = at_low if is_default else Evidence(results.CERTAIN, f"{name} gives its bound {lower}")
    if value.high > high:
        at_high = results.reached_certainly(f"{name}({upper + 1})", str(upper), value.dtype)
        at_high = at_high if is_default else Evidence(results.CERTAIN, f"{name} gives its bound {upper}")
    return results.computed(
        operands,
        name,
        low,
        high,
        value,
        at_low=at_low,
        at_high=at_high,
        zero=value.zero if lower <= 0 <= upper else None,
        is_nonzero=value.is_nonzero and lower < 0 < upper,
        dtype=value.dtype,
        kind=TENSOR,
    )


def _of_hardtanh(operands: Operands) -> Value:
    lower, upper = _number(operands, "min_val", -1.0), _number(operands, "max_val", 1.0)
    if lower is None or upper is None:
        return results.anything(operands, "hardtanh", operands.input, dtype=operands.input.dtype)
    dtype = operands.input.dtype
    return _clipped(operands, "hardtanh", floats.rounded(lower, dtype), floats.rounded(upper, dtype))


def _of_hardsigmoid(operands: Operands) -> Value:
    value = operands.input
    dtype = value.dtype

    def image(number: float) -> float:
        return min(max(number / 6 + 0.5, 0.0), 1.0)

    low, high = image(value.low), image(value.high)
    at_low, at_high = value.at_low, value.at_high
    if value.low < -3:
        at_low = results.reached_certainly("hardsigmoid(-3.0)", "0.0", dtype)
    if value.high > 3:
        at_high = results.reached_certainly("hardsigmoid(3.0)", "1.0", dtype)
    low = low if low in (0.0, 1.0) else max(floats.next_below(floats.rounded(low, dtype), dtype, 2), 0.0)
    high = high if high in (0.0, 1.0) else min(floats.next_above(floats.rounded(high, dtype), dtype, 2), 1.0)
    return results.computed(
        operands, "hardsigmoid", low, high, value, at_low=at_low, at_high=at_high, dtype=dtype, kind=TENSOR
    )


def _leaky(operands: Operands) -> Curve | None:
    slope = _number(operands, "negative_slope", 0.01)
    if slope is None:
        return None
    turns = (0.0,) if slope < 0 else ()
    return Curve(
        "leaky_relu",
        lambda number: number if number >= 0 else number * slope if slope else 0.0,
        turns=turns,
        passes_zero=True,
    )


def _elu(name: str) -> Callable[[Operands], Curve | None]:
    def make(operands: Operands) -> Curve | None:
        alpha = _number(operands, "alpha", 1.0)
        if alpha is None or alpha <= 0:
            return None
        scale = alpha if name == "celu" else 1.0

        def function(number: float) -> float:
            return number if number >= 0 else alpha * math.expm1(number / scale)

        saturation = saturates(-1.0, -17.5, -6.5, -8.5) if alpha == 1 else None
        return Curve(name, function, image=(-alpha, INFINITY), at_left=saturation, passes_zero=True)

    return make


def _selu(number: float) -> float:
    return _SELU_SCALE * (number if number >= 0 else _SELU_ALPHA * math.expm1(number))


def _softplus_curve(operands: Operands) -> Curve | None:
    beta = _number(operands, "beta", 1.0)
    if beta is None or beta <= 0:
        return Curve("softplus", lambda number: 0.0 if number < INFINITY else INFINITY, image=(0.0, INFINITY))

    def function(number: float) -> float:
        return INFINITY if number == INFINITY else _softplus(number * beta) / beta

    saturation = saturates(0.0, -104.0, -93.0, -17.5) if beta == 1 else None
    return Curve("softplus", function, image=(0.0, INFINITY), at_left=saturation, steps=8)


def _of_softplus(operands: Operands) -> Value:
    result = _with_settings("softplus", _softplus_curve).transfer(operands)
    if "threshold" in operands:
        # Above it, it is the identity, which is smaller.
        result.low = min(result.low, max(operands.input.low, 0.0))
    return result


_GELU = Curve("gelu", _gelu, turns=(-0.7517915251,), passes_zero=True, steps=8)


def _of_gelu(operands: Operands) -> Value:
    result = _with_margin(_GELU.transfer(operands), operands.input)
    if "approximate" in operands:
        # Its two forms differ by less than 1e-3.
        result.low = result.low - 1e-3 if result.low < 0 else max(result.low - 1e-3, 0.0)
        result.high = result.high + 1e-3 if result.high > 0 else min(result.high + 1e-3, 0.0)
    return result


def _of_glu(operands: Operands) -> Value:
    value = operands.input
    return results.computed(
        operands,
        "glu",
        min(value.low, 0.0),
        max(value.high, 0.0),
        value,
        at_low=value.at_low if value.low < 0 else None,
        at_high=value.at_high if value.high > 0 else None,
        zero=value.zero,
        dtype=value.dtype,
        kind=TENSOR,
    )


_TANHSHRINK = Curve("tanhshrink", _tanhshrink, passes_zero=True, steps=4)


def _of_tanhshrink(operands: Operands) -> Value:
    """A difference of what is nearly equal near 0."""
    return _with_margin(_TANHSHRINK.transfer(operands), operands.input)


def _with_margin(result: Value, value: Value) -> Value:
    """The result, off by what rounding the argument's size can make."""
    margin = 4 * results.limits_of(value.dtype).eps
    if math.isfinite(value.low) and result.low != 0:
        low = result.low - margin * abs(value.low)
        result.low = max(low, 0.0) if value.low >= 0 else low
    if math.isfinite(value.high) and result.high != 0:
        high = result.high + margin * abs(value.high)
        result.high = min(high, 0.0) if value.high <= 0 else high
    return result


def _of_prelu(operands: Operands) -> Value:
    value = operands.input
    low = value.low if value.low >= 0 else -INFINITY
    high = value.high if value.low >= 0 else INFINITY
    at_high = value.at_high if high == value.high else None
    at_low = value.at_low if low == value.low else None
    return results.computed(
        operands,
        "prelu",
        low,
        high,
        value,
        at_low=at_low,
        at_high=at_high,
        zero=value.zero,
        dtype=value.dtype,
        kind=TENSOR,
    )


def _of_rrelu(operands: Operands) -> Value:
    value = operands.input
    return results.computed(
        operands,
        "rrelu",
        min(value.low, 0.0) if value.low < 0 else value.low,
        max(value.high, 0.0) if value.high < 0 else value.high,
        value,
        at_low=value.at_low if value.low >= 0 else None,
        at_high=value.at_high if value.high > 0 else None,
        zero=value.zero,
        dtype=value.dtype,
        kind=TENSOR,
    )


def _shrunk(name: str) -> Callable[[Operands], Value]:
    """`hardshrink`, `softshrink`: what is small becomes 0."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        zero = value.zero
        if "lambd" not in operands:
            zero = either(zero, Evidence(results.CERTAIN, f"{name}(0.1) is exactly 0.0"))
        return results.computed(
            operands,
            name,
            min(value.low, 0.0),
            max(value.high, 0.0),
            value,
            at_low=value.at_low if value.low < 0 else None,
            at_high=value.at_high if value.high > 0 else None,
            zero=zero if value.low <= 0 <= value.high else value.zero,
            dtype=value.dtype,
            kind=TENSOR,
        )

    return transfer


def _of_threshold(operands: Operands) -> Value:
    value, replacement = operands.input, operands["value"]
    joined = join(value, replacement).but(at_low=None, at_high=None, kind=TENSOR)
    return results.recomputed(joined, operands, "threshold", value)


_SOFTMAX_ARGUMENTS = {"float32": "104.0", "bfloat16": "93.0", "float16": "18.0"}


def _of_softmax(name: str, operand: str = "input") -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        value = operands[operand]
        dtype = results.given_dtype(operands, results.float_dtype(value))
        at_low = at_high = None
        if math.isinf(value.low) or math.isinf(value.high):
            argument = _SOFTMAX_ARGUMENTS.get(dtype or floats.DEFAULT_DTYPE)
            order, result = ("104.0, 0.0", "1.0, 0.0")
            if argument is not None:
                order = f"{argument}, 0.0" if name == "softmin" else f"0.0, {argument}"
                result = "0.0, 1.0"
                label = "softmax" if name == "gumbel_softmax" else name
                at_low = at_high = results.reached_certainly(f"{label}([{order}])", f"[{result}]", dtype)
        elif value.high - value.low >= 104:
            at_low = at_high = weakened(both(value.at_low, value.at_high))
        return results.computed(
            operands, name, 0.0, 1.0, value, at_low=at_low, at_high=at_high, dtype=dtype, kind=TENSOR
        )

    return transfer


def _of_log_softmax(operands: Operands) -> Value:
    value = operands.input
    dtype = results.given_dtype(operands, results.float_dtype(value))
    at_low = at_high = None
    if math.isinf(value.low) or math.isinf(value.high):
        at_low = either(
            value.at_low if math.isinf(value.low) else None, value.at_high if math.isinf(value.high) else None
        )
        argument = {"float32": 17.0, "bfloat16": 7.0, "float16": 9.0}.get(dtype or floats.DEFAULT_DTYPE)
        if argument is not None:
            at_high = results.reached_certainly(f"log_softmax([0.0, {argument}])", f"[{-argument}, 0.0]", dtype)
    return results.computed(
        operands, "log_softmax", -INFINITY, 0.0, value, at_low=at_low, at_high=at_high, dtype=dtype, kind=TENSOR
    )


ROWS: dict[str, Row] = {
    **rows(*_CURVES, Curve("selu", _selu, image=(-_SELU_SCALE * _SELU_ALPHA, INFINITY), passes_zero=True, steps=4)),
    "relu": Row(_of_relu),
    "relu6": Row(lambda operands: _clipped(operands, "relu6", 0.0, 6.0)),
    "hardtanh": Row(_of_hardtanh),
    "hardsigmoid": Row(_of_hardsigmoid),
    "leaky_relu": _with_settings("leaky_relu", _leaky),
    "elu": _with_settings("elu", _elu("elu")),
    "celu": _with_settings("celu", _elu("celu")),
    "softplus": Row(_of_softplus),
    "gelu": Row(_of_gelu),
    "tanhshrink": Row(_of_tanhshrink),
    "glu": Row(_of_glu),
    "prelu": Row(_of_prelu),
    "rrelu": Row(_of_rrelu),
    "hardshrink": Row(_shrunk("hardshrink")),
    "softshrink": Row(_shrunk("softshrink")),
    "threshold": Row(_of_threshold),
    "softmax": Row(_of_softmax("softmax")),
    "softmin": Row(_of_softmax("softmin")),
    "gumbel_softmax": Row(_of_softmax("gumbel_softmax", "logits")),
    "log_softmax": Row(_of_log_softmax),
}
