"""What rows share: making a result, its dtype, and recognising where an operand came from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts import floats
from pipeline_lint.facts.floats import LIMITS, Limits
from pipeline_lint.facts.operations.row import Hazard
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    OTHER,
    SEQUENCE,
    TENSOR,
    UNKNOWN,
    UNKNOWN_KIND,
    Evidence,
    Made,
    Operands,
    Value,
    both,
    either,
    fresh_number,
    promoted,
    same,
    same_elements,
    weakened,
)

CERTAIN, LIKELY = Confidence.CERTAIN, Confidence.LIKELY
INTEGERS = frozenset({"int64", "bool"})
UNBOUNDED = Evidence(LIKELY, "a network output has no bounds")
ZEROS = Evidence(LIKELY, "a vector of zeros")
EQUAL = Evidence(LIKELY, "equal values")
PARALLEL = Evidence(LIKELY, "parallel vectors")
OPPOSITE = Evidence(LIKELY, "opposite vectors")
NOTHING_SELECTED = Evidence(LIKELY, "a mask that selects nothing")
EMPTY_GROUP = Evidence(LIKELY, "a group without elements")

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "isclose"})
LOGICAL = frozenset({"logical_and", "logical_or", "logical_not", "logical_xor"})
NORMS = frozenset({"norm", "linalg_norm", "vector_norm", "matrix_norm"})
LOGARITHMS = frozenset({"log", "log2", "log10"})
MAXIMA = frozenset({"max", "amax"})
MINIMA = frozenset({"min", "amin"})
_REDUCTIONS = frozenset({"sum", "mean", "prod", "count_nonzero", "nansum", *NORMS})
_DEEPEST = 6


def computed(  # noqa: PLR0913
    operands: Operands,
    name: str,
    low: float,
    high: float,
    *inputs: Value,
    at_low: Evidence | None = None,
    at_high: Evidence | None = None,
    zero: Evidence | None = None,
    is_nonzero: bool = False,
    nan: Evidence | None = None,
    dtype: str | None = None,
    kind: str | None = None,
    has_gradient: bool = True,
    is_count: bool = False,
) -> Value:
    """The result of an operation on `inputs`, which pass on what is NaN or empty and whether gradients flow.

    Evidence of 0 and of an end that is 0 are one.
    """
    if math.isnan(low) or math.isnan(high) or low > high:
        low, high, at_low, at_high, zero, is_nonzero = -INFINITY, INFINITY, None, None, None, False
    low, high = low + 0.0, high + 0.0
    if low == 0:
        at_low = zero = either(at_low, zero)
    if high == 0:
        at_high = zero = either(at_high, zero)
    if not low <= 0 <= high:
        zero, is_nonzero = None, False
    return Value(
        low,
        high,
        at_low,
        at_high,
        None if is_nonzero else zero,
        is_nonzero,
        either(nan, *(each.nan for each in inputs)),
        either(*(each.empty for each in inputs)),
        dtype,
        kind or kind_of(*inputs),
        has_gradient and dtype not in INTEGERS and any(each.has_gradient for each in inputs),
        Made(name, operands.node, inputs),
        is_count=is_count,
    )


def exactly(operands: Operands, name: str, number: float, witness: str, *inputs: Value, dtype: str | None) -> Value:
    """A result that is one number."""
    evidence = Evidence(CERTAIN, witness)
    return computed(operands, name, number, number, *inputs, at_low=evidence, at_high=evidence, dtype=dtype)


def anything(
    operands: Operands, name: str, *inputs: Value, dtype: str | None = None, zero: Evidence | None = None
) -> Value:
    """A result of which only its origin is known."""
    return computed(operands, name, -INFINITY, INFINITY, *inputs, zero=zero, dtype=dtype, kind=TENSOR)


def sequence(operands: Operands, name: str, *items: Value) -> Value:
    """A result of several values."""
    return Value(
        kind=SEQUENCE,
        items=items,
        has_gradient=any(each.has_gradient for each in items),
        made=Made(name, operands.node, ()),
    )


def indices(operands: Operands, name: str, *inputs: Value) -> Value:
    """Positions: whole numbers from 0 on, without a gradient."""
    return computed(operands, name, 0.0, INFINITY, *inputs, dtype="int64", kind=TENSOR, has_gradient=False)


def kind_of(*inputs: Value) -> str:
    """What an operator gives for operands of these kinds."""
    kinds = {each.kind for each in inputs}
    if kinds == {NUMBER}:
        return NUMBER
    return TENSOR if TENSOR in kinds else UNKNOWN_KIND


def tensor_kind(*inputs: Value) -> str:
    """What a function of torch gives; a number's is a number (`math.exp`)."""
    return NUMBER if inputs and all(each.kind == NUMBER for each in inputs) else TENSOR


def float_dtype(value: Value) -> str | None:
    """The dtype of a function such as `exp` of the value."""
    return "float32" if value.dtype in INTEGERS and value.kind != NUMBER else value.dtype


def result_dtype(one: Value, other: Value) -> str | None:
    """The dtype of a sum or product."""
    numbers = [each for each in (one, other) if each.kind == NUMBER]
    if len(numbers) == 2:
        return "int64" if all(each.dtype in INTEGERS for each in numbers) else None
    dtype = promoted(one, other)
    if dtype in INTEGERS and numbers:
        # Python's 1 keeps whole numbers, 1.0 does not.
        return "int64" if numbers[0].dtype in INTEGERS else None
    return dtype


def ratio_dtype(one: Value, other: Value) -> str | None:
    """The dtype of a quotient."""
    if one.kind == other.kind == NUMBER:
        return None
    dtype = promoted(one, other)
    return "float32" if dtype in INTEGERS else dtype


def is_whole(value: Value) -> bool:
    """Whether a value is a whole number."""
    return value.is_integer or (value.is_constant and value.low % 1 == 0)


def working_dtype(dtype: str | None, *inputs: Value) -> str | None:
    """The dtype that a result is rounded to: Python's numbers are float64."""
    return "float64" if inputs and all(each.kind == NUMBER for each in inputs) else dtype


def in_kernel(value: Value, dtype: str | None) -> tuple[float, float]:
    """The ends of an operand of a result of `dtype`.

    Python's number beside a tensor is rounded first by the kernels that keep it in the tensor's dtype (torch's on the
    CPU: 1e-7 becomes 1.0012e-7 in bfloat16), and taken as it is by those that compute in a wider one. Both are covered.
    """
    if value.kind != NUMBER:
        return value.low, value.high
    return min(value.low, floats.rounded(value.low, dtype)), max(value.high, floats.rounded(value.high, dtype))


def limits_of(dtype: str | None) -> Limits:
    """Limits of a dtype; those of float32 where it is not known or holds whole numbers."""
    return LIMITS.get(dtype or floats.DEFAULT_DTYPE, LIMITS[floats.DEFAULT_DTYPE])


def given_dtype(operands: Operands, default: str | None) -> str | None:
    """What `dtype=` says."""
    if "dtype" not in operands:
        return default
    value = operands["dtype"]
    return value.dtype if value.dtype is not None or value.kind != OTHER else default


def is_given(operands: Operands, name: str) -> bool:
    """Whether an argument is there, and not None."""
    return name in operands and operands[name].kind != OTHER


def is_on(operands: Operands, name: str) -> bool:
    """Whether a flag is given, and may be true."""
    return is_given(operands, name) and operands.number(name) != 0


def picked(value: Value, **changes: object) -> Value:
    """Some of the elements: what made them goes on, but they are not all of them."""
    number = fresh_number()
    return value.but(number=number, root=number, **changes)


def reordered(value: Value, **changes: object) -> Value:
    """All elements in another order or shape."""
    return value.but(number=fresh_number(), **changes)


def recomputed(value: Value, operands: Operands, name: str, *inputs: Value) -> Value:
    """The value with another origin."""
    return picked(value, made=Made(name, operands.node, inputs))


def hull(values: Iterable[Value]) -> Value:
    """What the elements of all values are together, as in `cat`: each is there, so that evidence stays as it is."""
    found = list(values)
    if not found:
        return Value(kind=TENSOR)
    if len(found) == 1:
        return found[0]
    low, high = min(each.low for each in found), max(each.high for each in found)
    dtypes = {each.dtype for each in found if each.kind != NUMBER}
    dtype = dtypes.pop() if len(dtypes) == 1 else None
    zero = either(*(each.zero for each in found))
    return Value(
        low,
        high,
        either(*(each.at_low for each in found if each.low == low)),
        either(*(each.at_high for each in found if each.high == high)),
        zero,
        all(each.is_nonzero or not each.low <= 0 <= each.high for each in found),
        either(*(each.nan for each in found)),
        None,
        dtype,
        TENSOR,
        any(each.has_gradient for each in found),
        is_count=all(each.is_count for each in found),
    )


def elements(value: Value) -> Value:
    """The elements of a tuple or list of tensors, or of a tensor."""
    if value.items:
        return hull(elements(each) for each in value.items)
    if value.kind != SEQUENCE:
        return value
    made = value.made
    if made is not None and made.operation == "list" and made.inputs and value.is_unknown:
        # Of a list that was written as a comprehension, or filled in a loop.
        return elements(made.inputs[0]).but(kind=TENSOR, empty=value.empty)
    return value.but(kind=TENSOR)


def is_square(value: Value) -> bool:
    """Whether a value is a square or an absolute value: 0 where what it is of is 0."""
    made = value.made
    if made is None:
        return False
    if made.operation in ("square", "abs"):
        return True
    if made.operation == "mul" and len(made.inputs) == 2:
        one, other = made.inputs
        # `2 * x ** 2` as well.
        if one.is_constant or other.is_constant:
            return is_square(other if one.is_constant else one)
        return same(one, other) or (is_square(one) and is_square(other))
    if made.operation == "div" and len(made.inputs) == 2:
        return is_square(made.inputs[0]) and made.inputs[1].is_constant
    if made.operation in ("pow", "float_power") and len(made.inputs) == 2:
        exponent = made.inputs[1]
        return exponent.is_constant and exponent.low > 0 and exponent.low % 2 == 0
    return False


def is_difference(value: Value) -> bool:
    """Whether a square or absolute value is one of a difference."""
    made = value.made
    while made is not None and made.operation in ("square", "abs", "pow", "mul"):
        if not made.inputs:
            return False
        made = made.inputs[0].made
    return made is not None and made.operation in ("sub", "mse_loss", "l1_loss")


def is_mask(value: Value) -> bool:
    """Whether a value tells true and false."""
    if value.dtype == "bool":
        return True
    made = value.made
    return made is not None and (made.operation in COMPARISONS or made.operation in LOGICAL)


def without_epsilon(value: Value) -> Value:
    """What a small constant was added to, or what was kept from falling below one."""
    for _ in range(_DEEPEST):
        made = value.made
        if made is None or not made.inputs:
            break
        inputs = made.inputs
        if made.operation == "add" and len(inputs) == 2:
            one, other = inputs
            if other.is_constant and other.low >= 0:
                value = one
            elif one.is_constant and one.low >= 0:
                value = other
            else:
                break
        elif (made.operation in ("clamp", "clamp_min") and (len(inputs) < 3 or made.operation == "clamp_min")) or (
            made.operation == "maximum" and len(inputs) == 2 and inputs[1].is_constant
        ):
            value = inputs[0]
        else:
            break
    return value


def is_unit(value: Value) -> bool:
    """Whether a value was divided by its norm: dot products of such vectors are cosines."""
    made = value.made
    if made is None:
        return False
    if made.operation == "normalize":
        return True
    if made.operation == "div" and len(made.inputs) == 2:
        norm = without_epsilon(made.inputs[1]).made
        return (
            norm is not None
            and norm.operation in NORMS
            and bool(norm.inputs)
            and same_elements(norm.inputs[0], made.inputs[0])
        )
    return False


def are_related(one: Value, other: Value) -> bool:
    """Whether two values were computed from a common one, so that their ends need not be reached together."""
    first = _ancestors(one)
    return bool(first) and not first.isdisjoint(_ancestors(other))


def _ancestors(value: Value) -> set[int]:
    found: set[int] = set()
    level = [value]
    for _ in range(_DEEPEST):
        following: list[Value] = []
        for each in level:
            if each.is_constant or each is UNKNOWN or each.root in found:
                continue
            found.add(each.root)
            if each.made is not None:
                following.extend(each.made.inputs)
        level = following
    return found


def reached_together(one: Value, one_end: Evidence | None, other: Value, other_end: Evidence | None) -> Evidence | None:
    """Evidence that two operands reach an end at the same time."""
    found = both(one_end, other_end)
    if found is None or one.is_constant or other.is_constant:
        # The witness of the one that varies.
        return one_end if found is not None and other.is_constant else other_end if found is not None else None
    if are_related(one, other) and not (is_reduced(one) and is_reduced(other)):
        return None
    return weakened(found)


def is_reduced(value: Value) -> bool:
    """Whether a value stands for many elements together."""
    return value.made is not None and value.made.operation in _REDUCTIONS


def cosine(operands: Operands, name: str, *inputs: Value, dtype: str | None) -> Value:
    """The dot product of unit vectors, which rounding takes a little beyond 1."""
    limit = 1.0 + 4 * limits_of(dtype).eps
    return computed(operands, name, -limit, limit, *inputs, at_low=OPPOSITE, at_high=PARALLEL, dtype=dtype, kind=TENSOR)


def reached_certainly(call: str, result: str, dtype: str | None) -> Evidence:
    """Evidence that a call gives a number exactly: `sigmoid(17.0) is exactly 1.0 in float32`."""
    return Evidence(CERTAIN, f"{call} is exactly {result} in {dtype or floats.DEFAULT_DTYPE}")


def hazards_of_logarithm(operand: str = "input") -> Callable[[Operands], tuple[Hazard, ...]]:
    """0 gives -inf, what is below it NaN."""

    def hazards(operands: Operands) -> tuple[Hazard, ...]:
        smallest = limits_of(operands[operand].dtype).smallest
        return (
            Hazard(operand, 0.0, 0.0, "inf", "inf"),
            Hazard(operand, -INFINITY, -smallest, "nan", "finite"),
        )

    return hazards
