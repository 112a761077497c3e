"""Exponentials, logarithms, roots, trigonometry and special functions."""

from __future__ import annotations

import math
import statistics

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.curves import Curve, Hazards, rows, saturates
from pipeline_lint.facts.operations.row import Hazard, Row
from pipeline_lint.facts.ranges.value import INFINITY, Evidence, Made, Operands, Value

_NORMAL = statistics.NormalDist()
_HALF_PI = math.pi / 2


def _exp(number: float) -> float:
    return 0.0 if number < -1e5 else math.exp(number)


def _logarithm(number: float) -> float:
    return math.log(number) if number > 0 else -INFINITY


def _logarithm_2(number: float) -> float:
    return math.log2(number) if number > 0 else -INFINITY


def _logarithm_10(number: float) -> float:
    return math.log10(number) if number > 0 else -INFINITY


def _log1p(number: float) -> float:
    return math.log1p(number) if number > -1 else -INFINITY


def _rsqrt(number: float) -> float:
    return 1.0 / math.sqrt(number) if number > 0 else INFINITY


def _sigmoid(number: float) -> float:
    return 1.0 / (1.0 + math.exp(-number)) if number >= 0 else math.exp(number) / (1.0 + math.exp(number))


def _atanh(number: float) -> float:
    return math.atanh(number) if abs(number) < 1 else math.copysign(INFINITY, number)


def _erfinv(number: float) -> float:
    if abs(number) >= 1:
        return math.copysign(INFINITY, number)
    return _NORMAL.inv_cdf((number + 1) / 2) / math.sqrt(2)


def _ndtri(number: float) -> float:
    return _NORMAL.inv_cdf(number) if 0 < number < 1 else math.copysign(INFINITY, number - 0.5)


def _logit(number: float) -> float:
    if 0 < number < 1:
        return math.log(number) - math.log1p(-number)
    return math.copysign(INFINITY, number - 0.5)


def _entr(number: float) -> float:
    if number <= 0:
        return 0.0
    return -INFINITY if math.isinf(number) else -number * math.log(number)


def _lgamma(number: float) -> float:
    return INFINITY if number <= 0 or math.isinf(number) else math.lgamma(number)


def _sinh(number: float) -> float:
    try:
        return math.sinh(number)
    except OverflowError:
        return math.copysign(INFINITY, number)


def _overflow(scale: float = 1.0, *, is_even: bool = False, gradient: str = "inf") -> Hazards:
    """Beyond the largest argument with a finite result; `scale` is the slope of the exponent."""

    def hazards(operands: Operands) -> tuple[Hazard, ...]:
        dtype = operands.input.dtype
        limit = results.limits_of(dtype).max_exp / scale
        if is_even:
            limit += math.log(2)
        first = floats.next_above(floats.rounded(limit, dtype), dtype)
        above = Hazard("input", first, INFINITY, "inf", gradient)
        return (above, Hazard("input", -INFINITY, -first, "inf", gradient)) if is_even else (above,)

    return hazards


def _outside(limit: float, value: str, gradient: str, outside_gradient: str) -> Hazards:
    """A domain from `-limit` to `limit`: what is at its ends, and NaN outside."""

    def hazards(operands: Operands) -> tuple[Hazard, ...]:
        beyond = floats.next_above(limit, operands.input.dtype)
        return (
            Hazard("input", limit, limit, value, gradient),
            Hazard("input", -limit, -limit, value, gradient),
            Hazard("input", beyond, INFINITY, "nan", outside_gradient),
            Hazard("input", -INFINITY, -beyond, "nan", outside_gradient),
        )

    return hazards


def _below_zero(*others: Hazard, gradient: str) -> Hazards:
    def hazards(operands: Operands) -> tuple[Hazard, ...]:
        smallest = results.limits_of(operands.input.dtype).smallest
        return (*others, Hazard("input", -INFINITY, -smallest, "nan", gradient))

    return hazards


def _of_log1p(operands: Operands) -> tuple[Hazard, ...]:
    beyond = floats.next_below(-1.0, operands.input.dtype)
    return Hazard("input", -1.0, -1.0, "inf", "inf"), Hazard("input", -INFINITY, beyond, "nan", "finite")


def _of_acosh(operands: Operands) -> tuple[Hazard, ...]:
    dtype = operands.input.dtype
    return (
        Hazard("input", 1.0, 1.0, "finite", "inf"),
        Hazard("input", floats.next_above(-1.0, dtype), floats.next_below(1.0, dtype), "nan", "nan"),
        Hazard("input", -1.0, -1.0, "nan", "inf"),
        Hazard("input", -INFINITY, floats.next_below(-1.0, dtype), "nan", "finite"),
    )


def _of_unit_interval(operands: Operands) -> tuple[Hazard, ...]:
    dtype = operands.input.dtype
    return (
        Hazard("input", 0.0, 0.0, "inf", "inf"),
        Hazard("input", 1.0, 1.0, "inf", "inf"),
        Hazard("input", -INFINITY, -results.limits_of(dtype).smallest, "nan", "nan"),
        Hazard("input", floats.next_above(1.0, dtype), INFINITY, "nan", "nan"),
    )


def _of_logit(operands: Operands) -> tuple[Hazard, ...]:
    if not results.is_given(operands, "eps"):
        return _of_unit_interval(operands)
    eps = operands.number("eps")
    if eps is None:
        return ()
    dtype = operands.input.dtype
    found = []
    if floats.rounded(eps, dtype) == 0:
        found.append(Hazard("input", 0.0, 0.0, "inf", "inf"))
        found.append(Hazard("input", -INFINITY, -results.limits_of(dtype).smallest, "inf", "finite"))
    if floats.rounded(1 - eps, dtype) == 1:
        found.append(Hazard("input", 1.0, 1.0, "inf", "inf"))
        found.append(Hazard("input", floats.next_above(1.0, dtype), INFINITY, "inf", "finite"))
    return tuple(found)


def _of_entr(operands: Operands) -> tuple[Hazard, ...]:
    smallest = results.limits_of(operands.input.dtype).smallest
    return Hazard("input", 0.0, 0.0, "finite", "inf"), Hazard("input", -INFINITY, -smallest, "inf", "nan")


_CURVES = (
    Curve("exp", _exp, image=(0.0, INFINITY), at_left=saturates(0.0, -104.0, -93.0, -17.5, is_certain=False)),
    Curve(
        "exp2",
        lambda number: 0.0 if number < -1e5 else math.exp(number * math.log(2)),
        image=(0.0, INFINITY),
        at_left=saturates(0.0, -150.0, -134.0, -25.0, is_certain=False),
    ),
    Curve(
        "expm1",
        math.expm1,
        image=(-1.0, INFINITY),
        at_left=saturates(-1.0, -17.5, -6.5, -8.5, is_certain=False),
        keeps_zero=True,
    ),
    Curve("log", _logarithm, domain=(0.0, INFINITY)),
    Curve("log2", _logarithm_2, domain=(0.0, INFINITY)),
    Curve("log10", _logarithm_10, domain=(0.0, INFINITY)),
    Curve("log1p", _log1p, domain=(-1.0, INFINITY), keeps_zero=True),
    Curve("sqrt", math.sqrt, domain=(0.0, INFINITY), image=(0.0, INFINITY), keeps_zero=True, steps=1),
    Curve("rsqrt", _rsqrt, domain=(0.0, INFINITY), image=(0.0, INFINITY)),
    Curve(
        "tanh",
        math.tanh,
        image=(-1.0, 1.0),
        keeps_zero=True,
        at_left=saturates(-1.0, -10.0, -4.0, -5.0),
        at_right=saturates(1.0, 10.0, 4.0, 5.0),
    ),
    Curve(
        "sigmoid",
        _sigmoid,
        image=(0.0, 1.0),
        steps=4,
        at_left=saturates(0.0, -104.0, -93.0, -17.5),
        at_right=saturates(1.0, 17.0, 6.5, 8.5),
    ),
    Curve(
        "erf",
        math.erf,
        image=(-1.0, 1.0),
        passes_zero=True,
        absolute=1e-6,
        at_left=saturates(-1.0, -4.0, -2.5, -3.0),
        at_right=saturates(1.0, 4.0, 2.5, 3.0),
    ),
    Curve(
        "erfc",
        math.erfc,
        image=(0.0, 2.0),
        steps=8,
        at_left=saturates(2.0, -4.0, -2.5, -2.5),
        at_right=saturates(0.0, 11.0, 9.5, 4.0),
    ),
    Curve(
        "ndtr",
        lambda number: math.erfc(-number / math.sqrt(2)) / 2,
        image=(0.0, 1.0),
        steps=64,
        at_left=saturates(0.0, -15.0, -4.0, -4.0),
        at_right=saturates(1.0, 6.0, 3.0, 3.5),
    ),
    Curve("asin", math.asin, domain=(-1.0, 1.0), image=(-_HALF_PI, _HALF_PI), keeps_zero=True),
    Curve("acos", math.acos, domain=(-1.0, 1.0), image=(0.0, math.pi)),
    Curve("atan", math.atan, image=(-_HALF_PI, _HALF_PI), keeps_zero=True),
    Curve("sinh", _sinh, keeps_zero=True),
    Curve(
        "cosh",
        lambda number: INFINITY if math.isinf(number) else math.cosh(number),
        image=(1.0, INFINITY),
        turns=(0.0,),
    ),
    Curve("asinh", math.asinh, keeps_zero=True),
    Curve("acosh", math.acosh, domain=(1.0, INFINITY), image=(0.0, INFINITY)),
    Curve("atanh", _atanh, domain=(-1.0, 1.0), keeps_zero=True),
    Curve("erfinv", _erfinv, domain=(-1.0, 1.0), keeps_zero=True, steps=8),
    Curve("ndtri", _ndtri, domain=(0.0, 1.0), steps=8),
    Curve("logit", _logit, domain=(0.0, 1.0), steps=8),
    Curve("entr", _entr, domain=(0.0, INFINITY), turns=(math.exp(-1),), passes_zero=True, steps=4),
    Curve("lgamma", _lgamma, domain=(0.0, INFINITY), turns=(1.4616321449683623,), steps=64),
    Curve(
        "ceil",
        lambda number: number if math.isinf(number) else math.ceil(number),
        steps=0,
        has_gradient=False,
        passes_zero=True,
    ),
    Curve(
        "floor",
        lambda number: number if math.isinf(number) else math.floor(number),
        steps=0,
        has_gradient=False,
        passes_zero=True,
    ),
    Curve(
        "round",
        lambda number: number if math.isinf(number) else round(number),
        steps=0,
        has_gradient=False,
        passes_zero=True,
    ),
    Curve(
        "trunc",
        lambda number: number if math.isinf(number) else math.trunc(number),
        steps=0,
        has_gradient=False,
        passes_zero=True,
    ),
    Curve("deg2rad", math.radians, keeps_zero=False, passes_zero=True),
    Curve("rad2deg", math.degrees, keeps_zero=True),
)


def _periodic(name: str, *, is_one_at_zero: bool = False, is_zero_at_zero: bool = False) -> Row:
    """Sines and cosines: between -1 and 1."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        dtype = results.float_dtype(value)
        kind = results.tensor_kind(value)
        if value.is_constant and abs(value.low) < 1e6:
            function = math.cos if is_one_at_zero else math.sin
            number = floats.rounded(function(value.low), dtype)
            working = results.working_dtype(dtype, value)
            if value.low != 0:
                low, high = floats.next_below(number, working, 2), floats.next_above(number, working, 2)
                return results.computed(operands, name, low, high, value, dtype=dtype, kind=kind)
        at_high = value.zero if is_one_at_zero else None
        zero = value.zero if is_zero_at_zero else None
        return results.computed(operands, name, -1.0, 1.0, value, at_high=at_high, zero=zero, dtype=dtype, kind=kind)

    return Row(transfer)


def _unbounded(name: str, hazards: Hazards = (), *, passes_zero: bool = False) -> Row:
    """A function of whose range nothing is said."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        zero = value.zero if passes_zero else None
        return results.anything(operands, name, value, dtype=results.float_dtype(value), zero=zero)

    return Row(transfer, hazards)


def _bounded(
    name: str, low: float, high: float, hazards: Hazards = (), *, has_gradient: bool = True, passes_zero: bool = False
) -> Row:
    """A function whose range does not depend on its argument."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        return results.computed(
            operands,
            name,
            low,
            high,
            value,
            zero=value.zero if passes_zero else None,
            dtype=results.float_dtype(value),
            kind=results.tensor_kind(value),
            has_gradient=has_gradient,
        )

    return Row(transfer, hazards)


def _sign(name: str) -> Row:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        low = -1.0 if value.low < 0 else 0.0 if value.may_be_zero else 1.0
        high = 1.0 if value.high > 0 else 0.0 if value.may_be_zero else -1.0
        return results.computed(
            operands,
            name,
            low,
            high,
            value,
            zero=value.zero,
            is_nonzero=not value.may_be_zero,
            dtype=value.dtype,
            kind=results.tensor_kind(value),
            has_gradient=False,
        )

    return Row(transfer)


def _of_logit_with_eps(operands: Operands) -> Value:
    """`logit(x, eps)` clamps its argument first."""
    eps = operands.number("eps") if results.is_given(operands, "eps") else 0.0
    value = operands.input
    dtype = results.float_dtype(value)
    if eps is None or not 0 <= eps < 0.5:
        return results.anything(operands, "logit", value, dtype=dtype)
    if eps:
        lower, upper = floats.rounded(eps, dtype), floats.rounded(1 - eps, dtype)
        low, high = min(max(value.low, lower), upper), max(min(value.high, upper), lower)
        bound = Evidence(results.CERTAIN, f"logit clamps its argument by {eps}")
        clamped = value.but(
            low=low,
            high=high,
            at_low=bound if value.low < low else value.at_low,
            at_high=bound if value.high > high else value.at_high,
        )
        result = _BY_NAME["logit"].transfer(Operands(operands.node, {"input": clamped}))
        result.made = Made("logit", operands.node, (value,))
    else:
        result = _BY_NAME["logit"].transfer(operands)
    # Near 0.5 it is a difference of what is nearly equal.
    margin = 4 * results.limits_of(dtype).eps
    result.low, result.high = result.low - margin, result.high + margin
    return result


def _of_ndtr(operands: Operands) -> Value:
    """Computed as a difference, so that small results are off by more than their rounding, or 0."""
    result = _BY_NAME["ndtr"].transfer(operands)
    if result.low < 1e-3:
        result.low = 0.0
    return result


def _of_lgamma(operands: Operands) -> Value:
    value = operands.input
    if value.low < 0:
        return results.anything(operands, "lgamma", value, dtype=results.float_dtype(value))
    return _BY_NAME["lgamma"].transfer(operands)


def _rounded(operands: Operands) -> Value:
    if "decimals" in operands:
        value = operands.input
        return results.anything(operands, "round", value, dtype=value.dtype, zero=value.zero)
    return _BY_NAME["round"].transfer(operands)


_POLES = (Hazard("input", 0.0, 0.0, "inf", "inf"), Hazard("input", -INFINITY, -1.0, "nan", "finite"))
"""Of the gamma function and its kin: below 0 at the whole numbers only."""

_BY_NAME = {curve.name: curve for curve in _CURVES}

ROWS: dict[str, Row] = {
    **rows(
        *_CURVES,
        exp=_overflow(),
        exp2=_overflow(math.log(2)),
        expm1=_overflow(),
        sinh=_overflow(is_even=True),
        cosh=_overflow(is_even=True),
        log=results.hazards_of_logarithm(),
        log2=results.hazards_of_logarithm(),
        log10=results.hazards_of_logarithm(),
        log1p=_of_log1p,
        sqrt=_below_zero(Hazard("input", 0.0, 0.0, "finite", "inf"), gradient="nan"),
        rsqrt=_below_zero(Hazard("input", 0.0, 0.0, "inf", "inf"), gradient="nan"),
        asin=_outside(1.0, "finite", "inf", "nan"),
        acos=_outside(1.0, "finite", "inf", "nan"),
        atanh=_outside(1.0, "inf", "inf", "finite"),
        erfinv=_outside(1.0, "inf", "inf", "nan"),
        acosh=_of_acosh,
        ndtri=_of_unit_interval,
        entr=_of_entr,
    ),
    "round": Row(_rounded),
    "logit": Row(_of_logit_with_eps, _of_logit),
    "ndtr": Row(_of_ndtr),
    "lgamma": Row(_of_lgamma, _POLES),
    "sin": _periodic("sin", is_zero_at_zero=True),
    "cos": _periodic("cos", is_one_at_zero=True),
    "tan": _unbounded("tan", passes_zero=True),
    "sinc": _bounded("sinc", -0.2172337, 1.0),
    "angle": _bounded("angle", 0.0, 3.1415930, passes_zero=False),
    "frac": _bounded("frac", -1.0, 1.0, passes_zero=True),
    "sign": _sign("sign"),
    "sgn": _sign("sgn"),
    "digamma": _unbounded("digamma", _POLES),
    "i0e": _bounded("i0e", 0.0, 1.0),
    "i1e": _bounded("i1e", -1.0, 1.0, passes_zero=True),
    "log_ndtr": _bounded("log_ndtr", -INFINITY, 0.0),
    "bessel_j0": _bounded("bessel_j0", -1.0, 1.0),
    "bessel_j1": _bounded("bessel_j1", -1.0, 1.0, passes_zero=True),
}
