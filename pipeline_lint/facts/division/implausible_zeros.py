"""Divisors that may be 0 and are not in practice: what a network gives, what it learns, draws, sums of positive shares.

A divisor that floating point lets be 0 is no defect as long as nothing makes it 0: the norm of an embedding, the spread
of samples, the sum of an attention. Zeros do come from data (silence, a constant image, equal points), from masks, from
what rounds or is cut to 0, and from what is empty.
"""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.value_history import names_in, ways_made
from pipeline_lint.facts.division.full_counts import (
    counts_padding,
    is_hardly_one,
    is_never_empty,
    is_of_degrees,
    is_of_diagonal,
)
from pipeline_lint.facts.division.full_reductions import is_full, reduction
from pipeline_lint.facts.division.known_zeros import (
    function_code,
    is_asked,
    is_in_metrics,
    is_nan_handled,
    is_of_table,
    is_printed,
    is_reported,
    is_shown_or_tested,
    is_value_of_metric,
)
from pipeline_lint.facts.division.value_leaves import history, is_cut, is_of_extreme, is_of_parameters
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.ranges.attributes import Attributes
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import OTHER, TENSOR, Evidence, Value
from pipeline_lint.facts.trained_code import is_named_for_another_purpose
from pipeline_lint.source import Source

_NAMED_ALONE = re.compile(
    r"a probability such as|a variance is 0|`sigma` that is 0|a size of 1|(eye|one_hot) has zeros|by default$"
    r"|a condition that (is not met|holds nowhere)|squares that are all 0|`[\w.]*mask\w*` is 0 where it selects"
    r"|`(\w+\.)?((total|num|n)_)?(total|counts?|n|num|obs|observations|points|images|samples|examples|tokens?)` is 0 w"
    r"|`\w+_(total|true_count)` is 0 where|`(total|num|n|sum|pixel|region|pred|target)_\w+` is 0 for"
    r"|`self\.\w*(update|step|iter|frame|call)\w*` is 0 before"
)
"""Reasons that rest on a name alone, which mostly says something else, or says what is never 0."""
_SELECTED_NAME = re.compile(r"`\w*(speech|weight|valid|pos|match)\w*` is 0")
"""Of these the name tells that few are counted."""
_OF_ACTIVATIONS = re.compile(r"^(sigmoid|softplus|exp|softmax|relu|tanh)\(")
_ONE_ELEMENT, _COORDINATE, _BEFORE = "a count of 1", "a coordinate that is 0", "before anything was counted"
_COUNTED = results.NOTHING_SELECTED.witness
_NOTHING_KNOWN = Evidence(Confidence.POSSIBLE, "nothing in the code rules it out")


def in_practice(source: Source, site: Site, name: str, found: Evidence) -> Evidence:
    """The reason `found` why a divisor, the operand `name`, is 0, or one that is only possible."""
    if found.confidence is Confidence.POSSIBLE:
        return found
    if site.values[name].kind == OTHER:
        return _NOTHING_KNOWN if _is_implausible_array(source, site, site.operands[name]) else found
    if _is_implausible(source, site, name, found):
        return _NOTHING_KNOWN
    # What a clamp lets through is where a hazard lies, and no proof that a value gets there.
    is_clamped = found.witness.startswith("clamp gives")
    return Evidence(min(found.confidence, Confidence.LIKELY), found.witness) if is_clamped else found


def _is_implausible(source: Source, site: Site, name: str, found: Evidence) -> bool:
    """Whether a divisor that `found` says to be 0 at times is so in theory only."""
    value, node, witness = site.values[name], site.operands[name], found.witness
    if _NAMED_ALONE.search(witness) and not _SELECTED_NAME.search(witness):
        return True
    if is_shown_or_tested(source, node) or is_of_table(source, node):
        return True
    if (is_reported(source, site.node) and not site.has_gradient) or is_printed(source, site.node):
        return True
    if _OF_ACTIVATIONS.search(witness):
        return _is_learned(source, node, value) or (witness.startswith("relu") and _is_of_largest(value))
    if site.unguarded is not None or any(mask.kind == "where" for mask in site.masks) or is_asked(source, site, node):
        return True
    if _is_absorbed(source, site):
        return True
    decided = _by_reason(source, site, node, value, witness)
    if decided is not None:
        return decided
    if counts_padding(source, node, value) or is_of_diagonal(value):
        return True
    made = reduction(value)
    if made is not None and made.operation == "sum" and is_of_extreme(made.inputs[0]):
        return True
    if witness == _COUNTED:
        return is_never_empty(value) or (made is not None and made.operation in results.NORMS)
    if made is None:
        return witness in (results.EQUAL.witness, results.ZEROS.witness)
    if is_nan_handled(source, site) and not is_cut(made.inputs[0]):
        return True
    return is_full(source, site, name, made, witness)


def _by_reason(source: Source, site: Site, node: cst.BaseExpression, value: Value, witness: str) -> bool | None:
    """What the reason alone decides; None where it takes more."""
    if witness.endswith("for an empty region") and not _is_region(source, node, value):
        return True
    if "empty region" in witness and site.values["input"].kind != TENSOR and _is_evaluation(source, node):
        return True
    if {"tp", "tn", "fp", "fn"} <= {name.lower() for name in names_in(node)}:
        # All that was classified.
        return True
    if witness.endswith("for what is empty") and (is_in_metrics(source, node) or "np." in function_code(source, node)):
        return True
    if witness == _ONE_ELEMENT:
        return is_hardly_one(source, node, value)
    if witness == _COORDINATE:
        # A point of numpy's is prepared by an affine map.
        return "np." in function_code(source, node) or is_nan_handled(source, site)
    if witness.endswith("that is 0"):
        # `other.var` is the exponential of something.
        return not any(made.operation in ("pow", "square") for made in ways_made(value))
    if is_of_degrees(value, node) or _is_mask_asked(source, node, value):
        return True
    if _BEFORE in witness or (witness.endswith("where nothing was counted") and is_in_metrics(source, node)):
        return not is_value_of_metric(source, node)
    if value.made is not None and value.made.operation in ("mse_loss", "l1_loss"):
        return True
    return None


def _is_mask_asked(source: Source, node: cst.CSTNode, value: Value) -> bool:
    """Whether the function asks elsewhere whether the mask of a masked sum selects anything."""
    made = reduction(value)
    factors = made.inputs[0].made if made is not None and made.operation == "sum" else None
    while factors is not None and factors.operation in ("to", "float", "double", "type"):
        factors = factors.inputs[0].made
    if factors is None or factors.operation != "mul" or not isinstance(factors.node, cst.BinaryOperation):
        return False
    names = [side.value for side in (factors.node.left, factors.node.right) if isinstance(side, cst.Name)]
    code = function_code(source, node)
    return any(re.search(rf"\b(if|while|assert)\b[^\n]*\b{name}\.(sum|any)\(", code) for name in names)


def _is_implausible_array(source: Source, site: Site, node: cst.BaseExpression) -> bool:
    """Whether a divisor of numpy's is no peak of a signal, or its NaN is taken care of."""
    code = source.module.code_for_node(node)
    is_peak = re.search(r"\.a?max\(\s*(np|numpy)\.(abs|fabs|absolute)\(|\.mean\(.*\*\* ?2", code) is not None
    if not is_peak or is_shown_or_tested(source, node):
        return True
    return is_nan_handled(source, site)


def _is_region(source: Source, node: cst.BaseExpression, value: Value) -> bool:
    """Whether areas are added up to a union, or one is divided by that is not of an image or a cell of a program."""
    if value.made is not None and value.made.operation in ("add", "sub"):
        return True
    code = source.module.code_for_node(node)
    return re.match(r"\(?(\w*unions?\w*|areas?|volumes?)\b(?!\()", code) is not None


def _is_evaluation(source: Source, node: cst.CSTNode) -> bool:
    """Whether numpy evaluates what was predicted, with masks and offsets that the interpreter does not follow."""
    return is_named_for_another_purpose(source, node) and "np." in function_code(source, node)


def _is_absorbed(source: Source, site: Site) -> bool:
    """Whether the quotient is the tangent of an angle, which may be infinite."""
    argument = source.parent(site.node)
    call = source.parent(argument) if isinstance(argument, cst.Arg) else None
    return isinstance(call, cst.Call) and last_name(call.func) in ("atan", "arctan")


def _is_learned(source: Source, node: cst.BaseExpression, value: Value) -> bool:
    """Whether what an activation is applied to is learned, or shares its name with a parameter of the class."""
    if is_of_parameters(value, alone=False):
        return True
    owner = source.enclosing(node, cst.ClassDef)
    if owner is None:
        return False
    attributes = source.fact(Attributes)
    assigned = (each for name in names_in(node) for each in attributes.assigned(owner, name) if each is not None)
    return any("Parameter(" in source.module.code_for_node(each) for each in assigned)


def _is_of_largest(value: Value) -> bool:
    """Whether elements are taken relative to the largest, which is not cut."""
    return any(operation in results.MAXIMA for _, operation in history(value))
