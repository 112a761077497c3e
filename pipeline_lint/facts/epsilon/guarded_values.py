"""Values that their author has already kept from an edge, in ways that a range does not show."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.ranges.value import NUMBER, Evidence, Value

_LOWER_BOUNDS = frozenset({"clamp", "clamp_min", "maximum", "max"})
_REPLACEMENTS = frozenset({"masked_fill", "where", "nan_to_num"})
_PASSED_THROUGH = frozenset({"div", "mul", "neg", "abs", "softplus", "exp", "sqrt", "masked_select"})
_NOT_COMPUTED = frozenset({"call", "attribute", "parameter"})
_CREATED = frozenset({"tensor", "as_tensor", "scalar_tensor", "full", "full_like", "zeros", "zeros_like", "eye"})
_CONSTRUCTORS = frozenset({"Tensor", "FloatTensor", "DoubleTensor", "HalfTensor"})
_WRITTEN_OUT = frozenset({"it is 0", "eye has zeros", "a condition that holds nowhere"})
_DEEPEST = 4


def is_opaque(value: Value) -> bool:
    """Whether nothing is known of a value, neither its size nor how it was computed, but that it is a quotient."""
    made = value.made
    if not value.is_unknown or (made is not None and made.operation not in {*_NOT_COMPUTED, "div"}):
        return False
    if made is not None and isinstance(made.node, cst.Call) and called_name(made.node) in _CONSTRUCTORS:
        return False
    return made is None or made.operation != "div" or is_opaque(made.inputs[0])


def is_written_out(evidence: Evidence) -> bool:
    """Whether a 0 is reached because the code writes it: as a fill, a start that is filled later, as `x == y`."""
    return evidence.witness in _WRITTEN_OUT


def is_guarded(value: Value, depth: int = 0) -> bool:
    """Whether a value has a bound that is not known, or had elements replaced, or is a number that is written out.

    A tensor that begins as zeros and is filled has an infinite logarithm on purpose where it stays so.
    """
    made = value.made
    if made is None or depth > _DEEPEST or not made.inputs:
        return False
    name, inputs = made.operation, made.inputs
    if name in _LOWER_BOUNDS and len(inputs) > 1 and not any(each.is_constant for each in inputs[1:]):
        return True
    if name in _REPLACEMENTS and any(_is_safe_number(each) for each in inputs[1:]):
        return True
    if name == "diag" or (name == "diagonal" and inputs[0].made is not None and inputs[0].made.operation == "cholesky"):
        # The diagonal of a triangular matrix, which is positive.
        return True
    if name in _CREATED:
        return True
    return name in _PASSED_THROUGH and any(is_guarded(each, depth + 1) for each in inputs[:1])


def has_epsilon(value: Value) -> bool:
    """Whether a positive constant was added to a value, which keeps it from 0 if it is not negative."""
    made = value.made
    return (
        made is not None and made.operation == "add" and any(each.is_constant and each.low > 0 for each in made.inputs)
    )


def is_signed_sum(value: Value, depth: int = 0) -> bool:
    """Whether a value is a sum of elements of either sign: who takes its logarithm knows that they are positive."""
    made = value.made
    if made is None or depth > _DEEPEST or not made.inputs:
        return False
    if made.operation in ("sum", "cumsum"):
        return value.low < 0
    return made.operation in _PASSED_THROUGH and is_signed_sum(made.inputs[0], depth + 1)


def _is_safe_number(value: Value) -> bool:
    return value.kind == NUMBER and not (value.is_constant and value.low == 0)
