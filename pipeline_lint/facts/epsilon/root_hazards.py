"""Roots whose argument reaches 0, or falls below it: what the rules about roots agree on."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.algebra.variances import Variances
from pipeline_lint.facts.code.value_history import names_in
from pipeline_lint.facts.division.value_leaves import history
from pipeline_lint.facts.epsilon.never_vanishing import may_vanish
from pipeline_lint.facts.epsilon.vanishing import is_kept_off, why_zero
from pipeline_lint.facts.gradient_reach import is_given
from pipeline_lint.facts.operations.row import Hazard
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import Evidence, Value, either, weakened
from pipeline_lint.facts.trained_code import is_model_or_loss, is_named_for_another_purpose
from pipeline_lint.source import Source

ROOTS = ("sqrt", "rsqrt", "pow", "float_power", "hypot")
"""Operations that are roots, or may be."""
_LARGEST = 1e30
_SIZE = re.compile(r"(shape|size)s?$")
_CANCELLED = Evidence(Confidence.LIKELY, "the difference of two means that are equal but for rounding")
_PRODUCTS = frozenset({"matmul", "mm", "bmm", "einsum"})
_PASSING = frozenset({"sum", "mean", "reshape", "view", "squeeze", "unsqueeze", "flatten", "mul"})


def is_root(site: Site) -> bool:
    """Whether the operation is a root: of a power, whether its exponent is no whole number."""
    if site.name not in ("pow", "float_power"):
        return True
    exponent = site.values.get("exponent")
    return any(hazard.value == "nan" for hazard in site.hazards) and not (exponent is not None and exponent.is_integer)


def why_reached(source: Source, site: Site, hazard: Hazard) -> Evidence | None:
    """Why an operand lies in a hazard; names and squares tell more than ranges."""
    value = site.values.get(hazard.operand)
    # An infinity in the operand was put there, as a mark; a root never meets it.
    found = value.reaches(max(hazard.low, -_LARGEST), hazard.high) if value is not None else None
    if found is None or value is None:
        return None
    if hazard.low <= 0 <= hazard.high:
        node = site.operands[hazard.operand]
        found = either(found, why_zero(value, node))
        is_doubtful = _is_any_power(site) or is_kept_off(source, node, value) or not may_vanish(source, value)
        is_doubtful = is_doubtful or _is_area(node) or _is_of_matrix(value)
        if site.name == "hypot" and not is_model_or_loss(source, site.node):
            # Both sides have to be exactly 0.
            is_doubtful = True
        is_trained = is_model_or_loss(source, site.node) and not is_named_for_another_purpose(source, site.node)
        if hazard.value == "inf" and (value.low < 0 or not is_trained):
            # A normalized vector of a geometry is not 0, and a sum of any signs rarely comes to 0 exactly.
            is_doubtful = True
        if any(operation == "eye" for _, operation in history(value)):
            # A covariance to which the unit matrix was added has a determinant.
            is_doubtful = True
        if hazard.value == "inf" and is_given(node):
            # Degrees of nodes, which mostly have loops to themselves.
            is_doubtful = True
        return weakened(found, Confidence.POSSIBLE) if is_doubtful else found
    return either(found, _CANCELLED) if _is_variance(source, value) else found


def _is_area(node: cst.CSTNode) -> bool:
    """`torch.prod(shape)`."""
    names = [*names_in(node)]
    return "prod" in names and any(map(_SIZE.search, names))


def _is_of_matrix(value: Value) -> bool:
    """Whether a sum is of several means of squares over all that is in a matrix of products."""
    made = value.made
    while made is not None and made.operation in ("mul", "div") and any(each.is_constant for each in made.inputs):
        made = next(each for each in made.inputs if not each.is_constant).made if made.inputs else None
    if made is None or made.operation != "add" or len(made.inputs) != 2:
        return False
    return all(any(operation in _PRODUCTS for _, operation in history(each)) for each in made.inputs)


def _is_any_power(site: Site) -> bool:
    """Whether the exponent may be below 1 or not: only then is 0 as the base of a power at fault."""
    exponent = site.values.get("exponent")
    return exponent is not None and not exponent.is_constant and exponent.high >= 1


def _is_variance(source: Source, value: Value) -> bool:
    """Whether a value is `mean(x ** 2) - mean(x) ** 2`, which rounding may take below 0."""
    made = value.made
    if made is None or made.operation != "sub":
        return False
    return any(variance.node is made.node for variance in source.fact(Variances).all)


def is_below_relu(value: Value) -> bool:
    """Whether a relu, which has no gradient where it is 0, is all that the root's argument is made by."""
    made = value.made
    while made is not None and made.operation in _PASSING and made.inputs:
        varying = [each for each in made.inputs if not each.is_constant]
        if made.operation == "mul" and len(varying) != 1:
            return False
        made = (varying[0] if made.operation == "mul" else made.inputs[0]).made
    return made is not None and made.operation in ("relu", "relu6")
