"""The largest, the smallest and the middle of the elements, and where they are."""

from __future__ import annotations

from collections.abc import Callable

from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.bounds import larger, smaller
from pipeline_lint.facts.operations.row import Row
from pipeline_lint.facts.ranges.value import (
    NUMBER,
    SEQUENCE,
    TENSOR,
    Evidence,
    Operands,
    Value,
    weakened,
)


def _extreme(operands: Operands, name: str, value: Value, *, is_maximum: bool) -> Value:
    """The largest or smallest element: one of them, so that the range stays."""
    zero = weakened(value.zero)
    if results.is_square(value) and value.low <= 0 and not value.is_nonzero:
        zero = results.EQUAL if results.is_difference(value) else Evidence(results.LIKELY, "a tensor of zeros")
    elif (not is_maximum and value.low == 0) or (is_maximum and value.high == 0):
        zero = value.zero
    result = results.computed(
        operands,
        name,
        value.low,
        value.high,
        value,
        at_low=value.at_low if not is_maximum else weakened(value.at_low),
        at_high=value.at_high if is_maximum else weakened(value.at_high),
        zero=zero,
        is_nonzero=value.is_nonzero,
        dtype=value.dtype,
        kind=NUMBER if operands.input.kind == SEQUENCE and value.kind == NUMBER else TENSOR,
        is_count=value.is_count,
    )
    result.empty = None
    return result


def _of_amax(name: str, *, is_maximum: bool) -> Callable[[Operands], Value]:
    return lambda operands: _extreme(operands, name, operands.input, is_maximum=is_maximum)


def _of_max(name: str, *, is_maximum: bool) -> Callable[[Operands], Value]:
    """`max` of all elements, along a dimension (with positions), or of two tensors."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        second = None
        for parameter in ("other", "dim_or_other"):
            second = operands[parameter] if results.is_given(operands, parameter) else second
        if value.kind == SEQUENCE:
            value = results.elements(value)
        if results.is_given(operands, "dim") or (second is not None and second.kind == NUMBER and value.kind != NUMBER):
            return results.sequence(
                operands,
                name,
                _extreme(operands, name, value, is_maximum=is_maximum),
                results.indices(operands, name, value),
            )
        if second is not None or operands.rest:
            others = [*([second] if second is not None else []), *operands.rest]
            inputs = [value, *others]
            chosen = value
            for other in others:
                chosen = (larger if is_maximum else smaller)(chosen, other)
            return results.computed(
                operands,
                "maximum" if is_maximum else "minimum",
                chosen.low,
                chosen.high,
                *inputs,
                at_low=chosen.at_low,
                at_high=chosen.at_high,
                zero=chosen.zero,
                is_nonzero=chosen.is_nonzero,
                dtype=results.result_dtype(value, others[0]),
                is_count=all(map(results.is_whole, inputs)) and any(each.is_count for each in inputs),
            )
        return _extreme(operands, name, value, is_maximum=is_maximum)

    return transfer


def _of_aminmax(operands: Operands) -> Value:
    value = operands.input
    return results.sequence(
        operands,
        "aminmax",
        _extreme(operands, "amin", value, is_maximum=False),
        _extreme(operands, "amax", value, is_maximum=True),
    )


def _of_median(name: str, *, is_always_pair: bool = False) -> Callable[[Operands], Value]:
    """One of the elements, or what lies between two."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        median = results.computed(
            operands,
            name,
            value.low,
            value.high,
            value,
            at_low=weakened(value.at_low),
            at_high=weakened(value.at_high),
            zero=weakened(value.zero),
            is_nonzero=value.is_nonzero and name != "quantile",
            nan=value.empty,
            dtype=value.dtype,
            kind=TENSOR,
        )
        median.empty = None
        if is_always_pair or ("dim" in operands and name not in ("quantile", "nanquantile")):
            return results.sequence(operands, name, median, results.indices(operands, name, value))
        return median

    return transfer


def _of_cummax(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        running = results.computed(
            operands,
            name,
            value.low,
            value.high,
            value,
            at_low=weakened(value.at_low),
            at_high=weakened(value.at_high),
            zero=weakened(value.zero),
            is_nonzero=value.is_nonzero,
            dtype=value.dtype,
            kind=TENSOR,
        )
        return results.sequence(operands, name, running, results.indices(operands, name, value))

    return transfer


def _of_positions(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        result = results.indices(operands, name, operands.input)
        result.nan = None
        return result

    return transfer


ROWS: dict[str, Row] = {
    "amax": Row(_of_amax("amax", is_maximum=True)),
    "amin": Row(_of_amax("amin", is_maximum=False)),
    "max": Row(_of_max("max", is_maximum=True)),
    "min": Row(_of_max("min", is_maximum=False)),
    "aminmax": Row(_of_aminmax),
    "median": Row(_of_median("median")),
    "nanmedian": Row(_of_median("nanmedian")),
    "quantile": Row(_of_median("quantile")),
    "nanquantile": Row(_of_median("nanquantile")),
    "mode": Row(_of_median("mode", is_always_pair=True)),
    "kthvalue": Row(_of_median("kthvalue", is_always_pair=True)),
    "cummax": Row(_of_cummax("cummax")),
    "cummin": Row(_of_cummax("cummin")),
    **{name: Row(_of_positions(name)) for name in ("argmax", "argmin", "argsort", "searchsorted", "bucketize")},
    "bincount": Row(_of_positions("bincount")),
}
