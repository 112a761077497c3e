"""Why a divisor is 0 at times where its range alone does not tell: from what is divided by it, and from names.

`x / x.sum()` is 0 / 0 for a row of zeros, whatever `x` is; `overlap / (a + b - overlap)` for two empty boxes;
`n / (n - 1)` for one element. A sum of unknown numbers as such is a divisor like any other.
"""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.unwrapping import unwrapped
from pipeline_lint.facts.code.value_history import are_related, names_in, ways_made
from pipeline_lint.facts.division.array_divisors import is_column, why_array_zero
from pipeline_lint.facts.division.bounded_values import is_bounded
from pipeline_lint.facts.division.divisor_forms import SELECTION, of_one_element, of_running_total, why_by_form
from pipeline_lint.facts.division.divisor_guards import has_guard, is_constant_setup
from pipeline_lint.facts.division.selecting_masks import is_checked_afterwards, is_telling, meaning_in_code
from pipeline_lint.facts.division.selections import is_of_padding, is_over_batch, is_padding_mask
from pipeline_lint.facts.division.vanishing_wholes import POSITIVE_NAME, may_vanish
from pipeline_lint.facts.masking.masks import is_mask_like
from pipeline_lint.facts.masking.meanings import NEVER_EMPTY
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import NUMBER, OTHER, SEQUENCE, Evidence, Made, Value, weakened
from pipeline_lint.source import Source

_COUNTED = frozenset({results.NOTHING_SELECTED.witness, "a list from which everything was filtered out"})
_CANCELLED = "elements that add up to 0"
"""What `sum` says of numbers of which nothing is known: too little for a divisor."""
_OF_LENGTHS = re.compile(r"`\w*(non_pad|length|sequence_mask)\w*`|`(max|min|target|current|image|img|pixel)_area`")
"""Masks that are made of lengths, and areas of no region."""
_INITIAL = "it is "
"""How a constant speaks of itself; that what was filled or counted since is still 0 takes more."""
_NOTHING_KNOWN = Evidence(Confidence.POSSIBLE, "nothing in the code rules it out")


def why_zero(source: Source, site: Site, name: str) -> Evidence | None:
    """Why the operand `name`, a divisor, is 0 at times; None where it never is."""
    value = site.values.get(name)
    found = value.reaches(0.0, 0.0) if value is not None else None
    if value is None or found is None or value.kind == SEQUENCE:
        return None
    if value.kind == OTHER:
        return _of_array(source, site, name)
    if is_bounded(value) or not may_vanish(source, value) or is_column(source, site.node):
        return None
    node, numerator = site.operands[name], site.values.get("input") if name == "other" else None
    if is_constant_setup(source, site.node, node):
        return None
    if value.kind == NUMBER:
        found = _of_number(source, node, value, found, numerator)
    elif found.confidence is Confidence.POSSIBLE or found.witness == _CANCELLED or _is_initial(value, found):
        found = why_by_form(source, site, name, numerator) or _NOTHING_KNOWN
    if found.confidence is Confidence.POSSIBLE or _is_exponent(site, node):
        return _NOTHING_KNOWN
    if _sums_padding(source, value):
        return _NOTHING_KNOWN
    if _OF_LENGTHS.search(found.witness) or (_is_total(value) and SELECTION.search(found.witness)):
        return _NOTHING_KNOWN
    return None if has_guard(source, site.node, node) else found


def is_mean_over_mask(site: Site) -> bool:
    """Whether a quotient is the mean of what a mask selects: `(x * mask).sum() / mask.sum()`."""
    numerator, divisor = site.values.get("input"), site.values.get("other")
    if numerator is None or divisor is None or numerator.is_count:
        return False
    total = _total_of_mask(divisor)
    if total is None:
        return False
    mask = total.inputs[0]
    return any(made.operation == "sum" and are_related(made.inputs[0], mask) for made in ways_made(numerator))


def why_mean_of_none(source: Source, site: Site) -> Evidence | None:
    """Why the mask of a mean over a mask, which is written as a quotient, selects nothing at times."""
    evidence, total = why_zero(source, site, "other"), _total_of_mask(site.values["other"])
    if evidence is None or total is None:
        return evidence
    operation = source.fact(Calls).operation(total.node)
    node = operation.input if operation is not None and operation.input is not None else total.node
    meaning = meaning_in_code(source, total.inputs[0], node)
    if meaning == NEVER_EMPTY:
        return None
    is_weak = not is_telling(source, site, meaning) or is_checked_afterwards(source, site.node)
    return weakened(evidence, Confidence.POSSIBLE) if is_weak else evidence


def _total_of_mask(divisor: Value) -> Made | None:
    """The sum of a mask that a divisor is."""
    totals = [made for made in ways_made(divisor) if made.operation in ("sum", "count_nonzero")]
    if any(made.operation == "add" for made in ways_made(divisor)) and len(totals) > 1:
        return None
    total = next((made for made in totals if made.inputs), None)
    return total if total is not None and is_mask_like(total.inputs[0]) else None


def _is_initial(value: Value, found: Evidence) -> bool:
    return value.is_constant or found.witness.startswith(_INITIAL)


def _is_total(value: Value, depth: int = 0) -> bool:
    """Whether a value starts at 0 and grows in a loop."""
    if depth > 2:
        return False
    if value.made is not None and value.made.operation == "add":
        return any(each.is_constant or _is_total(each, depth + 1) for each in value.made.inputs)
    return any(choice.is_constant or _is_total(choice, depth + 1) for choice in value.choices)


def _of_number(
    source: Source, node: cst.BaseExpression, value: Value, found: Evidence, numerator: Value | None
) -> Evidence:
    """Python's numbers: counts of elements that meet a condition are 0 at times; sizes and totals hardly ever."""
    if found.confidence > Confidence.POSSIBLE and found.witness in _COUNTED:
        return _NOTHING_KNOWN if is_of_padding(source, value) else found
    one = of_one_element(value, numerator)
    if one is not None:
        return one
    return of_running_total(source, unwrapped(node)) or _NOTHING_KNOWN


def _of_array(source: Source, site: Site, name: str) -> Evidence | None:
    numerator, divisor = site.operands.get("input"), site.operands[name]
    if numerator is None or name == "input" or has_guard(source, site.node, divisor):
        return None
    if is_constant_setup(source, site.node, divisor):
        return None
    if not isinstance(numerator, cst.Name | cst.Attribute | cst.Subscript):
        return None
    found = why_array_zero(source, divisor, numerator)
    is_shaped = any(POSITIVE_NAME.search(each) for each in names_in(divisor))
    return None if is_shaped else found


def _sums_padding(source: Source, value: Value) -> bool:
    """Whether a divisor counts, over the whole batch, what is no padding."""
    for made in ways_made(value):
        if made.operation == "sum" and made.inputs and is_mask_like(made.inputs[0]):
            site = source.fact(Ranges).site(made.node)
            if site is not None and is_over_batch(site) and is_padding_mask(source, made.node, made.inputs[0]):
                return True
    return False


def _is_exponent(site: Site, node: cst.BaseExpression) -> bool:
    """`1 / p` of the order of a norm or mean, which only its name makes a probability."""
    value = site.values["other" if "other" in site.values else "input"]
    numerator = site.values.get("input")
    return (
        last_name(unwrapped(node)) == "p"
        and value.made is None
        and not value.choices
        and numerator is not None
        and numerator.is_constant
        and numerator.kind == NUMBER
    )
