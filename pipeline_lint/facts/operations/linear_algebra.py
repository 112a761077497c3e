"""Products of matrices, norms, distances and cosines."""

from __future__ import annotations

from collections.abc import Callable

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.row import Hazard, Row
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    TENSOR,
    Evidence,
    Operands,
    Value,
    either,
    same_elements,
    weakened,
)

_EQUAL_POINTS = Evidence(results.LIKELY, "equal points")
_ORTHOGONAL = Evidence(results.LIKELY, "a product of matrices adds up to 0")


def product(operands: Operands, name: str, one: Value, other: Value, *inputs: Value) -> Value:
    """Sums of products of elements."""
    dtype = results.result_dtype(one, other)
    inputs = inputs or (one, other)
    if results.is_unit(one) and results.is_unit(other):
        return results.cosine(operands, name, *inputs, dtype=dtype)
    low = high = None
    zero = None
    if (one.low >= 0 and other.low >= 0) or (one.high <= 0 and other.high <= 0):
        low = 0.0
        zero = weakened(either(one.zero, other.zero))
    elif (one.low >= 0 and other.high <= 0) or (one.high <= 0 and other.low >= 0):
        high = 0.0
        zero = weakened(either(one.zero, other.zero))
    if name in ("dot", "vecdot") and same_elements(one, other) and not one.is_constant:
        low, zero = 0.0, results.ZEROS
    return results.computed(
        operands,
        name,
        -INFINITY if low is None else low,
        INFINITY if high is None else high,
        *inputs,
        zero=zero,
        dtype=dtype,
        kind=TENSOR,
    )


def _of_product(name: str, first: str = "input", second: str = "other") -> Row:
    return Row(lambda operands: product(operands, name, operands[first], operands[second]))


def _outer(name: str, first: str = "input", second: str = "other") -> Row:
    def transfer(operands: Operands) -> Value:
        one, other = operands[first], operands[second]
        corners = [
            0.0 if 0 in (left, right) else left * right
            for left in (one.low, one.high)
            for right in (other.low, other.high)
        ]
        dtype = results.result_dtype(one, other)
        return results.computed(
            operands,
            name,
            floats.rounded(min(corners), dtype),
            floats.rounded(max(corners), dtype),
            one,
            other,
            zero=either(one.zero, other.zero),
            dtype=dtype,
            kind=TENSOR,
        )

    return Row(transfer)


def _of_einsum(operands: Operands) -> Value:
    factors = operands.rest or ((operands["operands"],) if "operands" in operands else ())
    if len(factors) == 1 and factors[0].items:
        factors = factors[0].items
    if len(factors) == 2:
        result = product(operands, "einsum", *factors)
    else:
        low = 0.0 if factors and all(each.low >= 0 for each in factors) else -INFINITY
        result = results.computed(operands, "einsum", low, INFINITY, *factors, kind=TENSOR)
    # It may well be the empty dimension that is summed over.
    result.empty = None
    return result


def _anything(name: str, *parameters: str) -> Row:
    def transfer(operands: Operands) -> Value:
        inputs = [operands[parameter] for parameter in parameters or ("input",)]
        return results.anything(operands, name, *inputs, dtype=results.float_dtype(inputs[0]))

    return Row(transfer)


def _of_norm(name: str) -> Row:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        dtype = results.given_dtype(operands, results.float_dtype(value))
        zero = results.ZEROS
        if results.is_difference(value) or (value.made is not None and value.made.operation == "sub"):
            zero = results.EQUAL
        at_high = either(
            value.at_high if value.high == INFINITY else None, value.at_low if value.low == -INFINITY else None
        )
        low = _smallest_norm(operands, name, value)
        result = results.computed(
            operands,
            name,
            low,
            INFINITY,
            value,
            at_high=at_high,
            zero=zero if value.may_be_zero else None,
            dtype=dtype,
            kind=TENSOR,
        )
        if value.empty is not None:
            result.low, result.zero, result.at_low = 0.0, value.empty, value.empty
        result.empty = None
        return result

    return Row(transfer)


def _smallest_norm(operands: Operands, name: str, value: Value) -> float:
    """No norm of order 1 and more is smaller than the largest element."""
    if value.low <= 0 <= value.high or name == "matrix_norm" or "p" in operands or "ord" in operands:
        return 0.0
    dtype = results.float_dtype(value)
    smallest = min(abs(value.low), abs(value.high))
    # What is too small to be squared has a norm of 0.
    if floats.rounded(smallest * smallest, dtype) < results.limits_of(dtype).tiny:
        return 0.0
    return max(floats.next_below(smallest, dtype, 8), 0.0)


def _distance(name: str, first: str, second: str, zero: Evidence = _EQUAL_POINTS) -> Row:
    def transfer(operands: Operands) -> Value:
        one, other = operands[first], operands[second]
        dtype = results.result_dtype(one, other)
        low, found = 0.0, zero
        if name == "pairwise_distance":
            # 1e-6 is added to each difference, so that equal points are at a distance of it, but it may cancel.
            found = weakened(zero)  # type: ignore[assignment]
        return results.computed(operands, name, low, INFINITY, one, other, zero=found, dtype=dtype, kind=TENSOR)

    return Row(transfer)


def _of_pdist(operands: Operands) -> Value:
    value = operands.input
    return results.computed(operands, "pdist", 0.0, INFINITY, value, zero=_EQUAL_POINTS, dtype=value.dtype, kind=TENSOR)


def _of_cosine_similarity(operands: Operands) -> Value:
    one, other = operands["x1"], operands["x2"]
    result = results.cosine(operands, "cosine_similarity", one, other, dtype=results.ratio_dtype(one, other))
    if (one.low >= 0 and other.low >= 0) or (one.high <= 0 and other.high <= 0):
        result.low, result.at_low = 0.0, None
    return result


def _of_normalize(operands: Operands) -> Value:
    value = operands.input
    limit = 1.0 + 4 * results.limits_of(value.dtype).eps
    low = 0.0 if value.low >= 0 else -limit
    high = 0.0 if value.high <= 0 else limit
    if results.is_given(operands, "p") and operands.number("p") != 2:
        low, high = (0.0 if value.low >= 0 else -INFINITY), (0.0 if value.high <= 0 else INFINITY)
    return results.computed(
        operands, "normalize", low, high, value, zero=value.zero, dtype=results.float_dtype(value), kind=TENSOR
    )


def _lost_epsilon(default: float, *parameters: str) -> Callable[[Operands], tuple[Hazard, ...]]:
    """The epsilon that keeps a vector of zeros finite is 0 itself in some dtypes."""

    def hazards(operands: Operands) -> tuple[Hazard, ...]:
        eps = operands.number("eps", default)
        if eps is None:
            return ()
        return tuple(
            Hazard(parameter, 0.0, 0.0, "nan", "nan")
            for parameter in parameters
            if floats.rounded(eps, operands[parameter].dtype) == 0
        )

    return hazards


def _of_cov(name: str, low: float, high: float) -> Row:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        return results.computed(
            operands,
            name,
            low,
            high,
            value,
            at_low=OPPOSITE if high == 1 else None,
            at_high=PARALLEL if high == 1 else None,
            nan=results.EQUAL if name == "corrcoef" else None,
            dtype=results.float_dtype(value),
            kind=TENSOR,
        )

    return Row(transfer)


OPPOSITE, PARALLEL = results.OPPOSITE, results.PARALLEL


def _pair(name: str, *ranges: tuple[float, float]) -> Row:
    """A decomposition into several tensors."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        items = [
            results.computed(operands, name, low, high, value, dtype=results.float_dtype(value), kind=TENSOR)
            for low, high in ranges
        ]
        return results.sequence(operands, name, *items)

    return Row(transfer)


def _nonnegative(name: str, zero: Evidence | None = None, *, is_count: bool = False) -> Row:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        dtype = "int64" if is_count else results.float_dtype(value)
        return results.computed(
            operands, name, 0.0, INFINITY, value, zero=zero, dtype=dtype, kind=TENSOR, is_count=is_count
        )

    return Row(transfer)


def _of_sum_of_product(name: str, first: str, second: str) -> Row:
    """`addmm` and its like."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        one, other = operands[first], operands[second]
        is_positive = all(each.low >= 0 for each in (value, one, other))
        is_plain = not any(results.is_given(operands, parameter) for parameter in ("alpha", "beta"))
        low = 0.0 if is_positive and is_plain else -INFINITY
        return results.computed(
            operands, name, low, INFINITY, value, one, other, dtype=results.result_dtype(one, other), kind=TENSOR
        )

    return Row(transfer)


_ANYTHING = (-INFINITY, INFINITY)
_SINGULAR = Evidence(results.LIKELY, "a singular matrix")

ROWS: dict[str, Row] = {
    **{
        name: _of_product(name) for name in ("matmul", "mm", "bmm", "dot", "mv", "inner", "vecdot", "tensordot", "vdot")
    },
    "outer": _outer("outer"),
    "kron": _outer("kron"),
    "einsum": Row(_of_einsum),
    "baddbmm": _of_sum_of_product("baddbmm", "batch1", "batch2"),
    "addbmm": _of_sum_of_product("addbmm", "batch1", "batch2"),
    "addmm": _of_sum_of_product("addmm", "mat1", "mat2"),
    "addmv": _of_sum_of_product("addmv", "mat", "vec"),
    "addr": _of_sum_of_product("addr", "vec1", "vec2"),
    "cross": _anything("cross", "input", "other"),
    "multi_dot": _anything("multi_dot", "tensors"),
    **{
        name: _anything(name)
        for name in (
            "inv",
            "pinv",
            "matrix_exp",
            "matrix_power",
            "logdet",
            "eigvalsh",
            "cholesky",
        )
    },
    # Its values are complex, which no dtype of the table is.
    "eigvals": Row(lambda operands: results.anything(operands, "eigvals", operands.input)),
    "det": Row(
        lambda operands: results.anything(
            operands, "det", operands.input, dtype=results.float_dtype(operands.input), zero=_SINGULAR
        )
    ),
    "solve": _anything("solve", "input", "B"),
    "slogdet": _pair("slogdet", (-1.0, 1.0), _ANYTHING),
    "svd": _pair("svd", (-1.0001, 1.0001), (0.0, INFINITY), (-1.0001, 1.0001)),
    "qr": _pair("qr", (-1.0001, 1.0001), _ANYTHING),
    "eigh": _pair("eigh", _ANYTHING, (-1.0001, 1.0001)),
    "svdvals": _nonnegative("svdvals", _SINGULAR),
    "cond": _nonnegative("cond"),
    "matrix_rank": _nonnegative("matrix_rank", is_count=True),
    **{name: _of_norm(name) for name in ("norm", "linalg_norm", "vector_norm", "matrix_norm")},
    "dist": _distance("dist", "input", "other"),
    "cdist": _distance("cdist", "x1", "x2"),
    "pairwise_distance": _distance("pairwise_distance", "x1", "x2"),
    "pdist": Row(_of_pdist),
    "cosine_similarity": Row(_of_cosine_similarity, _lost_epsilon(1e-8, "x1", "x2")),
    "normalize": Row(_of_normalize, _lost_epsilon(1e-12, "input")),
    "renorm": _anything("renorm"),
    "cov": _of_cov("cov", -INFINITY, INFINITY),
    "corrcoef": _of_cov("corrcoef", -1.0, 1.0),
    "scaled_dot_product_attention": Row(
        lambda operands: results.anything(
            operands,
            "scaled_dot_product_attention",
            operands["query"],
            operands["key"],
            operands["value"],
            dtype=operands["query"].dtype,
        )
    ),
}
