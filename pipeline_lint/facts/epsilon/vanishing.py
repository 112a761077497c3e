"""Why a value that is never negative is 0 at times: squares of zeros, variances of constants, errors of a perfect fit.

Ranges alone do not say so: of `x` nothing is known, and of `x * x` only that it is not negative. That a vector of zeros
comes along is what usual code and data say.
"""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.epsilon.epsilons import is_epsilon
from pipeline_lint.facts.epsilon.guarded_values import is_guarded
from pipeline_lint.facts.gradient_reach import is_given
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import NUMBER, Evidence, Value, same
from pipeline_lint.source import Source

_ZEROS = Evidence(Confidence.LIKELY, "a vector of zeros")
_EQUAL = Evidence(Confidence.LIKELY, "two equal values")
_CONSTANT = Evidence(Confidence.LIKELY, "a row of equal values")
_PERFECT = Evidence(Confidence.LIKELY, "a prediction that equals its target")
_SUMS = frozenset({"sum", "mean", "nansum", "nanmean", "amax", "max", "cumsum", "median"})
_ERRORS = frozenset({"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"})
_KEEPING = frozenset({"relu", "clamp", "clamp_min", "abs", "list", "masked_select", "add_", "mul_"})
_SCATTERED = re.compile(r"scatter|segment|index_add|(^|_)pool|(^|_)sum$", re.IGNORECASE)
_DOT = re.compile(r"(^|_)(dot|inner|inner_product|dot_product|batched_dot)(_|$)", re.IGNORECASE)
_VARIANCE_NAME = re.compile(
    r"(^|_)(var|vars|variance|variances|mse|msd|sq_?dist(ance)?s?|dist(ance)?s?_?(sq|squared|2)|squared_dist(ance)?s?"
    r"|sq_?norm|norm_?(sq|squared|2)|squared_norm|sum_?of_?squares|sum_?sq)$",
    re.IGNORECASE,
)
_LOGARITHM_NAME = re.compile(r"log", re.IGNORECASE)
_SAFE_NAME = re.compile(r"(^|\W|_)safe_?", re.IGNORECASE)
_PLAIN = frozenset({"add", "sum", "mean"})
_DEEPEST = 8


def why_zero(value: Value, node: cst.BaseExpression | None = None, depth: int = 0) -> Evidence | None:
    """Why the value, which `node` spells, is 0 at times; None where nothing says so or a bound rules it out."""
    if not value.may_be_zero or value.kind == NUMBER or depth > _DEEPEST:
        return None
    if value.zero is not None and value.zero.confidence >= Confidence.LIKELY:
        return value.zero
    made = value.made
    if made is None or made.operation in ("call", "attribute", "item"):
        return _of_unknown(value, node, depth)
    name, inputs = made.operation, made.inputs
    if name == "var":
        return _CONSTANT
    if name in _ERRORS:
        return _PERFECT
    if results.is_square(value):
        if results.is_difference(value):
            return _EQUAL
        if depth == 0 and name == "abs":
            # One number of any size, which is rarely exactly 0.
            return None
        return None if inputs and _is_shifted(inputs[0]) else _ZEROS
    if not inputs:
        return None
    if name in _SUMS or name in _KEEPING:
        return why_zero(inputs[0], None, depth + 1)
    if name in ("mul", "div") and len(inputs) == 2:
        if inputs[1].is_constant or name == "div":
            return why_zero(inputs[0], None, depth + 1)
        return why_zero(inputs[1], None, depth + 1) if inputs[0].is_constant else None
    if name == "add" and len(inputs) == 2 and all(each.low >= 0 for each in inputs):
        one, other = (why_zero(each, None, depth + 1) for each in inputs)
        return one if one is not None and other is not None else None
    return None


def _of_unknown(value: Value, node: cst.BaseExpression | None, depth: int) -> Evidence | None:
    """What names say of a value that nothing is known of: `posterior.variance`, `scatter_add(squares, index)`."""
    made = value.made
    called = made.node if made is not None and isinstance(made.node, cst.Call) else None
    if called is not None and is_given(called.func):
        return None
    if called is not None and made is not None:
        function = last_name(called.func)
        inputs = made.inputs
        if _DOT.search(function) and len(inputs) >= 2 and same(inputs[0], inputs[1]):
            return _ZEROS
        if _SCATTERED.search(function) and inputs and inputs[0].low >= 0:
            return why_zero(inputs[0], called.args[0].value, depth + 1)
        if _says_variance(function):
            return _CONSTANT
    if made is None and isinstance(node, cst.Name):
        # A parameter, which whoever passes it keeps positive.
        return None
    if isinstance(node, cst.Name | cst.Attribute) and _says_variance(last_name(node)):
        is_of_distribution = isinstance(node, cst.Attribute) and node.attr.value == "variance"
        # Its class keeps it off 0.
        return None if is_of_distribution else _CONSTANT
    return None


def is_kept_off(source: Source, node: cst.BaseExpression, value: Value) -> bool:
    """Whether an author has kept a value off 0 by means that its range does not show.

    A name that says so, an epsilon that is not known, zeros that were replaced, `self.variance`, which its class keeps
    positive.
    """
    match node:
        case cst.Attribute(value=cst.Name(value="self")):
            return True
        case cst.BinaryOperation(operator=cst.Add(), left=left, right=right):
            if is_epsilon(_receiver(left)) or is_epsilon(_receiver(right)):
                return True
    return bool(_SAFE_NAME.search(source.code(node))) or is_guarded(value) or _is_replaced(value)


def _receiver(node: cst.BaseExpression) -> cst.BaseExpression:
    """`self.eps` of `self.eps.abs()`."""
    match node:
        case cst.Call(func=cst.Attribute(value=value)):
            return _receiver(value)
    return node


def _is_replaced(value: Value, depth: int = 0) -> bool:
    """Whether elements were replaced by a number that is not 0, here or in what a sum of squares is made of."""
    made = value.made
    if made is None or depth > _DEEPEST:
        return False
    if made.operation in ("where", "masked_fill"):
        return any((each.is_constant and each.low != 0) or _is_identity(each) for each in made.inputs)
    is_square = made.operation in _PLAIN or results.is_square(value)
    return is_square and any(_is_replaced(each, depth + 1) for each in made.inputs)


def _is_identity(value: Value) -> bool:
    """Whether a value is the unit matrix, which takes the place of a matrix of zeros."""
    made = value.made
    while made is not None and made.operation in ("expand", "expand_as", "to", "repeat") and made.inputs:
        made = made.inputs[0].made
    return made is not None and made.operation == "eye"


def _is_shifted(value: Value) -> bool:
    """Whether a constant was added, so that zeros in what it was added to are none."""
    made = value.made
    if made is None or made.operation not in ("add", "sub"):
        return False
    return any(each.is_constant and each.low != 0 for each in made.inputs)


def _says_variance(name: str) -> bool:
    return bool(_VARIANCE_NAME.search(name)) and not _LOGARITHM_NAME.search(name)
