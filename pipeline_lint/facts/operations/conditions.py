"""Comparisons and logic: true or false."""

from __future__ import annotations

from collections.abc import Callable

from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.row import Row
from pipeline_lint.facts.ranges.value import INFINITY, TENSOR, Evidence, Operands, Value


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


ROWS: dict[str, Row] = {
    **{name: _truth(name, "input", "other") for name in ("eq", "ne", "lt", "le", "gt", "ge", "isclose")},
    **{name: _truth(name, "input", "other") for name in ("logical_and", "logical_or", "logical_xor")},
    **{name: _truth(name, "input") for name in ("logical_not", "isnan", "isinf", "isfinite", "isneginf", "isposinf")},
    "equal": _truth("equal", "input", "other"),
    "allclose": _truth("allclose", "input", "other"),
    **{name: _of_bits(name) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    "bitwise_not": Row(_of_bitwise_not),
}
