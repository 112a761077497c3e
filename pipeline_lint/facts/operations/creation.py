"""New tensors: constants, ranges of numbers, random ones."""

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
    Operands,
    Value,
    constant,
)

_RANDOM_BITS = {"float64": 53, "float32": 24, "bfloat16": 8, "float16": 11}
_RANDOM_ZERO = {
    "float64": "torch.rand is [0, 1), 0 included",
    "float32": "torch.rand is 0 about once in 16 million numbers",
    "bfloat16": "torch.rand is 0 about once in 256 bfloat16 numbers",
    "float16": "torch.rand is 0 about once in 2048 float16 numbers",
}
_NORMAL_LIMIT = 10.0
"""No generator of normal numbers goes further: 6.7 in float32, 8.6 in float64."""


def _new(  # noqa: PLR0913
    operands: Operands,
    name: str,
    low: float,
    high: float,
    *inputs: Value,
    at_low: Evidence | None = None,
    at_high: Evidence | None = None,
    zero: Evidence | None = None,
    dtype: str | None = None,
    is_count: bool = False,
) -> Value:
    result = results.computed(
        operands,
        name,
        low,
        high,
        *inputs,
        at_low=at_low,
        at_high=at_high,
        zero=zero,
        dtype=dtype,
        kind=TENSOR,
        is_count=is_count,
    )
    result.nan = result.empty = None
    # Fresh tensors ask for a gradient only where they are told to.
    result.has_gradient = "requires_grad" in operands and dtype not in results.INTEGERS
    return result


def _dtype(operands: Operands, *, is_like: bool) -> str | None:
    default = operands.input.dtype if is_like else None
    return results.given_dtype(operands, default)


def _constant(name: str, number: float, *, is_like: bool = False) -> Row:
    def transfer(operands: Operands) -> Value:
        evidence = Evidence(results.CERTAIN, f"it is {number:g}")
        return _new(
            operands,
            name,
            number,
            number,
            at_low=evidence,
            at_high=evidence,
            dtype=_dtype(operands, is_like=is_like),
        )

    return Row(transfer)


def _filled(name: str, parameter: str, *, is_like: bool = False) -> Row:
    def transfer(operands: Operands) -> Value:
        value = operands[parameter]
        dtype = _dtype(operands, is_like=is_like)
        low, high = floats.rounded(value.low, dtype), floats.rounded(value.high, dtype)
        return _new(
            operands,
            name,
            low,
            high,
            value,
            at_low=value.at_low,
            at_high=value.at_high,
            zero=value.zero,
            dtype=dtype,
        )

    return Row(transfer)


def _of_tensor(name: str, parameter: str = "data") -> Row:
    """`torch.tensor(data)`: what the data are."""

    def transfer(operands: Operands) -> Value:
        data = operands[parameter]
        value = results.elements(data)
        dtype = results.given_dtype(operands, value.dtype if value.kind == TENSOR and data.kind == TENSOR else None)
        if name == "as_tensor" and data.kind == TENSOR:
            return data.but(dtype=dtype)
        return _new(
            operands,
            name,
            floats.rounded(value.low, dtype),
            floats.rounded(value.high, dtype),
            data,
            at_low=value.at_low,
            at_high=value.at_high,
            zero=value.zero,
            dtype=dtype,
            is_count=value.is_count,
        )

    return Row(transfer)


def _uniform(name: str, *, is_like: bool = False) -> Row:
    def transfer(operands: Operands) -> Value:
        dtype = _dtype(operands, is_like=is_like)
        found = dtype if dtype in _RANDOM_BITS else floats.DEFAULT_DTYPE
        zero = Evidence(results.CERTAIN, _RANDOM_ZERO[found])
        return _new(operands, name, 0.0, 1.0 - 2.0 ** -_RANDOM_BITS[found], at_low=zero, dtype=dtype)

    return Row(transfer)


def _of_uniform(operands: Operands) -> Value:
    """`x.uniform_(from, to)`."""
    low, high = operands.number("from", 0.0), operands.number("to", 1.0)
    dtype = operands.input.dtype
    if low is None or high is None:
        return _new(operands, "uniform", -INFINITY, INFINITY, dtype=dtype)
    found = dtype if dtype in _RANDOM_BITS else floats.DEFAULT_DTYPE
    zero = Evidence(results.CERTAIN, _RANDOM_ZERO[found])
    if low == 0 and high == 1:
        high = 1.0 - 2.0 ** -_RANDOM_BITS[found]
    low, high = floats.rounded(low, dtype), floats.rounded(high, dtype)
    return _new(operands, "uniform", low, high, at_low=zero, dtype=dtype)


def _normal(name: str, *, is_like: bool = False) -> Row:
    def transfer(operands: Operands) -> Value:
        return _new(operands, name, -_NORMAL_LIMIT, _NORMAL_LIMIT, dtype=_dtype(operands, is_like=is_like))

    return Row(transfer)


def _of_normal(operands: Operands) -> Value:
    """`x.normal_(mean, std)`, `torch.normal(mean, std)`."""
    mean = operands["mean"] if "mean" in operands else constant(0.0)
    std = operands["std"] if "std" in operands else constant(1.0)
    reach = _NORMAL_LIMIT * max(abs(std.low), abs(std.high))
    dtype = _dtype(operands, is_like="input" in operands)
    low, high = mean.low - reach, mean.high + reach
    return _new(operands, "normal", floats.rounded(low, dtype), floats.rounded(high, dtype), dtype=dtype)


def _of_bernoulli(operands: Operands) -> Value:
    return _new(
        operands,
        "bernoulli",
        0.0,
        1.0,
        operands.input,
        at_low=Evidence(results.LIKELY, "a draw that fails"),
        at_high=Evidence(results.LIKELY, "a draw that succeeds"),
        dtype=operands.input.dtype,
    )


def _of_randint(name: str, *, is_like: bool = False) -> Row:
    """Random whole numbers below an end, from 0 or a start on."""

    def transfer(operands: Operands) -> Value:
        first, second = operands["low_or_high"], operands["high"]
        start = operands.values.get("low", constant(0.0))
        end = second
        if "low_or_high" in operands:
            # `randint(10, (3,))` has its size second, `randint(1, 10, (3,))` its end.
            start, end = (first, second) if second.kind == NUMBER else (constant(0.0), first)
        dtype = _dtype(operands, is_like=True) if is_like else results.given_dtype(operands, "int64")
        if second.kind not in (NUMBER, SEQUENCE) and {"low_or_high", "high"} <= operands.values.keys():
            return _new(operands, name, min(0.0, first.low), INFINITY, dtype=dtype, is_count=first.low >= 0)
        high = max(end.high - 1, start.low)
        return _new(operands, name, start.low, high, at_low=start.at_low, dtype=dtype, is_count=start.low >= 0)

    return Row(transfer)


def _positions(name: str) -> Row:
    """Random positions: whole numbers from 0 on."""

    def transfer(operands: Operands) -> Value:
        zero = Evidence(results.CERTAIN, f"{name} gives 0, too")
        return _new(operands, name, 0.0, INFINITY, at_low=zero, dtype="int64", is_count=True)

    return Row(transfer)


def _of_arange(operands: Operands) -> Value:
    """0 to an end, which is not reached, or from a start on."""
    start, end, step = constant(0.0), operands["start_or_end"], operands.values.get("step", constant(1.0))
    if results.is_given(operands, "end"):
        start, end = operands.values.get("start_or_end", start), operands["end"]
    start = operands.values.get("start", start)
    dtype = results.given_dtype(operands, None)
    whole = [start, end, step]
    is_count = dtype in (None, "int64") and all(map(results.is_whole, whole))
    if dtype is None and is_count:
        dtype = "int64"
    if not (step.is_constant and step.low > 0):
        low, high = min(start.low, end.low), max(start.high, end.high)
        return _new(operands, "arange", low, high, start, end, dtype=dtype)
    high = max(end.high, start.low)
    if is_count and math.isfinite(high) and end.high > start.low:
        high = end.high - 1
    return _new(
        operands,
        "arange",
        start.low,
        high,
        start,
        end,
        at_low=start.at_low,
        zero=start.zero,
        dtype=dtype,
        is_count=is_count and start.low >= 0,
    )


def _of_linspace(operands: Operands) -> Value:
    start, end = operands["start"], operands["end"]
    low, high = min(start.low, end.low), max(start.high, end.high)
    dtype = results.given_dtype(operands, None)
    ends = ((start.low, start.at_low), (end.low, end.at_low), (start.high, start.at_high), (end.high, end.at_high))
    return _new(
        operands,
        "linspace",
        floats.rounded(low, dtype),
        floats.rounded(high, dtype),
        at_low=next((evidence for point, evidence in ends if point == low), None),
        at_high=next((evidence for point, evidence in ends if point == high), None),
        zero=start.zero or end.zero,
        dtype=dtype,
    )


def _of_logspace(operands: Operands) -> Value:
    return _new(operands, "logspace", 0.0, INFINITY, dtype=results.given_dtype(operands, None))


def _zeros_and_ones(name: str, dtype: str | None, *, is_certain: bool = True) -> Row:
    def transfer(operands: Operands) -> Value:
        confidence = results.CERTAIN if is_certain else results.LIKELY
        return _new(
            operands,
            name,
            0.0,
            1.0,
            at_low=Evidence(confidence, f"{name} has zeros"),
            at_high=Evidence(confidence, f"{name} has ones"),
            dtype=results.given_dtype(operands, dtype),
            is_count=dtype == "int64",
        )

    return Row(transfer)


def _uninitialised(name: str, *, is_like: bool = False) -> Row:
    def transfer(operands: Operands) -> Value:
        return _new(operands, name, -INFINITY, INFINITY, dtype=_dtype(operands, is_like=is_like))

    return Row(transfer)


def _of_fill(operands: Operands) -> Value:
    value = operands["value"]
    dtype = operands.input.dtype
    return _new(
        operands,
        "fill",
        floats.rounded(value.low, dtype),
        floats.rounded(value.high, dtype),
        at_low=value.at_low,
        at_high=value.at_high,
        zero=value.zero,
        dtype=dtype,
    )


def _of_copy(operands: Operands) -> Value:
    return operands["src"].but(dtype=operands.input.dtype or operands["src"].dtype, kind=TENSOR)


def _of_complex(name: str) -> Callable[[Operands], Value]:
    return lambda operands: results.anything(operands, name, *operands.values.values())


ROWS: dict[str, Row] = {
    "zeros": _constant("zeros", 0.0),
    "ones": _constant("ones", 1.0),
    "zeros_like": _constant("zeros_like", 0.0, is_like=True),
    "ones_like": _constant("ones_like", 1.0, is_like=True),
    "new_zeros": _constant("new_zeros", 0.0, is_like=True),
    "new_ones": _constant("new_ones", 1.0, is_like=True),
    "zero": _constant("zero", 0.0, is_like=True),
    "full": _filled("full", "fill_value"),
    "full_like": _filled("full_like", "fill_value", is_like=True),
    "new_full": _filled("new_full", "fill_value", is_like=True),
    "fill": Row(_of_fill),
    "copy": Row(_of_copy),
    "empty": _uninitialised("empty"),
    "empty_like": _uninitialised("empty_like", is_like=True),
    "new_empty": _uninitialised("new_empty", is_like=True),
    "tensor": _of_tensor("tensor"),
    "as_tensor": _of_tensor("as_tensor"),
    "new_tensor": _of_tensor("new_tensor"),
    "from_numpy": _of_tensor("from_numpy", "ndarray"),
    "scalar_tensor": _of_tensor("scalar_tensor"),
    "rand": _uniform("rand"),
    "rand_like": _uniform("rand_like", is_like=True),
    "uniform": Row(_of_uniform),
    "randn": _normal("randn"),
    "randn_like": _normal("randn_like", is_like=True),
    "normal": Row(_of_normal),
    "bernoulli": Row(_of_bernoulli),
    "randint": _of_randint("randint"),
    "randint_like": _of_randint("randint_like", is_like=True),
    "randperm": _positions("randperm"),
    "multinomial": _positions("multinomial"),
    "arange": Row(_of_arange),
    "linspace": Row(_of_linspace),
    "logspace": Row(_of_logspace),
    "eye": _zeros_and_ones("eye", None),
    "one_hot": _zeros_and_ones("one_hot", "int64"),
}
