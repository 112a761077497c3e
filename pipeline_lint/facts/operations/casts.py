"""Other dtypes, Python numbers, and sizes."""

from __future__ import annotations

import math
from collections.abc import Callable

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.row import Row
from pipeline_lint.facts.ranges.value import NUMBER, OTHER, SEQUENCE, TENSOR, Evidence, Made, Operands, Value

INFINITY = math.inf
_WIDTHS = {"float64": 64, "float32": 32, "bfloat16": 16, "float16": 16}
_CASTS = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "bfloat16": "bfloat16",
    "long": "int64",
    "int": "int64",
    "short": "int64",
    "byte": "int64",
    "char": "int64",
    "bool": "bool",
}


def cast(operands: Operands, name: str, value: Value, dtype: str | None) -> Value:
    """The value in another dtype; a wider one holds the same numbers."""
    if dtype is None or dtype == value.dtype:
        return value if value.kind in (TENSOR, NUMBER) else value.but(kind=TENSOR)
    if dtype == "bool":
        return _as_bool(operands, name, value)
    if dtype == "int64":
        return _as_integer(operands, name, value)
    if dtype not in _WIDTHS:
        return value.but(dtype=dtype, kind=TENSOR, has_gradient=False)
    if (
        value.dtype in results.INTEGERS
        or _WIDTHS[dtype] > _WIDTHS.get(value.dtype or "float32", 32)
        or dtype == "float32"
    ):
        return value.but(dtype=dtype, kind=TENSOR)
    low, high = floats.rounded(value.low, dtype), floats.rounded(value.high, dtype)
    zero = value.zero
    if zero is None and (low == 0 or high == 0):
        end = value.low if low == 0 else value.high
        zero = Evidence(results.LIKELY, f"{end} is 0 in {dtype}")
    return results.picked(
        value,
        dtype=dtype,
        kind=TENSOR,
        low=low,
        high=high,
        at_low=value.at_low if low != 0 else zero if value.low != 0 else value.at_low,
        at_high=value.at_high if high != 0 else zero if value.high != 0 else value.at_high,
        zero=zero,
        is_nonzero=False,
    )


def _as_bool(operands: Operands, name: str, value: Value) -> Value:
    return results.computed(
        operands,
        name,
        0.0 if value.may_be_zero else 1.0,
        0.0 if value.is_constant and value.low == 0 else 1.0,
        value,
        zero=value.zero,
        dtype="bool",
        kind=NUMBER if value.kind == NUMBER else TENSOR,
    )


def _as_integer(operands: Operands, name: str, value: Value) -> Value:
    if value.dtype in results.INTEGERS or value.is_count:
        return value.but(dtype="int64")
    low = value.low if math.isinf(value.low) else float(math.trunc(value.low))
    high = value.high if math.isinf(value.high) else float(math.trunc(value.high))
    return results.computed(
        operands,
        name,
        low,
        high,
        value,
        at_low=value.at_low,
        at_high=value.at_high,
        zero=value.zero,
        dtype="int64",
        kind=NUMBER if value.kind == NUMBER else TENSOR,
        is_count=low >= 0,
    )


def _of_cast(name: str, dtype: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        if value.kind == NUMBER and name in ("float", "int", "bool"):
            # Python's.
            if name == "float":
                return value
            return _as_bool(operands, name, value) if name == "bool" else _as_integer(operands, name, value)
        return cast(operands, name, value, dtype)

    return transfer


def _of_to(operands: Operands) -> Value:
    """`x.to(dtype)`, `x.to(device)`, `x.to(other)`."""
    candidates = [operands[name] for name in ("dtype", "arguments", "other") if name in operands]
    for candidate in (*candidates, *operands.rest):
        if candidate.dtype is not None and candidate.kind in (OTHER, TENSOR):
            return cast(operands, "to", operands.input, candidate.dtype)
    return cast(operands, "to", operands.input, None)


def _of_type_as(operands: Operands) -> Value:
    return cast(operands, "type_as", operands.input, operands["other"].dtype)


def _of_item(operands: Operands) -> Value:
    value = operands.input
    dtype = value.dtype if value.dtype in results.INTEGERS else None
    return value.but(kind=NUMBER, dtype=dtype, has_gradient=False)


def _of_tolist(operands: Operands) -> Value:
    return operands.input.but(kind=SEQUENCE, items=None, has_gradient=False)


def _of_numpy(operands: Operands) -> Value:
    return operands.input.but(has_gradient=False)


def _counted(name: str, *, low: float = 0.0, is_size: bool = False) -> Row:
    """A number of elements or dimensions."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        count = Value(
            low,
            INFINITY,
            zero=value.empty if low == 0 else None,
            at_low=value.empty if low == 0 else None,
            dtype="int64",
            kind=NUMBER,
            has_gradient=False,
            made=Made(name, operands.node, (value,)),
            is_count=True,
        )
        if is_size and "dim" not in operands:
            return count.but(kind=SEQUENCE)
        return count

    return Row(transfer)


ROWS: dict[str, Row] = {
    **{name: Row(_of_cast(name, dtype), keeps_values=True) for name, dtype in _CASTS.items()},
    "to": Row(_of_to, keeps_values=True),
    "type": Row(_of_to, keeps_values=True),
    "type_as": Row(_of_type_as, keeps_values=True),
    "item": Row(_of_item, keeps_values=True),
    "tolist": Row(_of_tolist, keeps_values=True),
    "numpy": Row(_of_numpy, keeps_values=True),
    "numel": _counted("numel"),
    "nelement": _counted("nelement"),
    "size": _counted("size", is_size=True),
    "dim": _counted("dim"),
}
