"""Why a divisor is 0 at times, by the form of the quotient: shares of a whole, overlaps, corrections, projections."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.unwrapping import unwrapped
from pipeline_lint.facts.code.value_history import DEEPEST, are_related, names_in, ways_made
from pipeline_lint.facts.division.vanishing_wholes import NEVER_ALL_ZERO, POSITIVE_NAME, wholes
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.ranges.attributes import Attributes
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import last_name, path_of
from pipeline_lint.facts.ranges.value import Evidence, Value, weakened
from pipeline_lint.source import Source

_EMPTY_NAME = re.compile(
    r"(^|_)(areas?\d*|unions?|volumes?|vol|area_?[a-z]?|num_?pos(itives?)?|n_?pos|num_?fg|num_?foreground"
    r"|num_?valid|n_?valid|degrees?|deg|row_?sum|rowsum|mask_?sum|pos_?num|num_?matche[sd]|num_?masked)$",
    re.IGNORECASE,
)
"""Names of what is 0 for an empty region or selection."""
_SPREAD_NAME = re.compile(r"^(std|stddev|sigma|scale|var|variance)s?$", re.IGNORECASE)
SELECTION = re.compile("^it is |selects nothing")
"""What a total says that starts at 0, or of masks that are counted."""


def why_by_form(source: Source, site: Site, name: str, numerator: Value | None) -> Evidence | None:
    """Why the operand `name`, a divisor of which its own range tells nothing, is 0 at times."""
    value, node = site.values[name], site.operands[name]
    return (
        _of_accumulated(value)
        or _of_whole(value, numerator)
        or _of_overlap(value, numerator)
        or of_one_element(value, numerator)
        or _of_sine(value, numerator)
        or _of_coordinate(site, node)
        or _of_density(value, node, numerator)
        or _of_name(value, node)
        or of_running_total(source, unwrapped(node))
    )


def _of_accumulated(value: Value, depth: int = 0) -> Evidence | None:
    """A total that starts at 0, of parts that are 0 at times and never negative; of counts it hardly stays there."""
    made = value.made
    if value.low < 0 or value.is_count or depth > DEEPEST:
        return None
    if made is None:
        found = (_of_accumulated(choice, depth + 1) for choice in value.choices)
        return next((each for each in found if each is not None), None)
    evidence = value.zero
    if made.operation != "add" or evidence is None or SELECTION.search(evidence.witness):
        return None
    return weakened(evidence)


def of_running_total(source: Source, node: cst.BaseExpression) -> Evidence | None:
    """`self.total`, which starts at 0 and is counted up by another method."""
    path = path_of(node)
    if path is None or not path.startswith("self.") or path.count(".") > 1:
        return None
    owner, function = source.enclosing(node, cst.ClassDef), source.enclosing(node, cst.FunctionDef)
    if owner is None or function is None:
        return None
    assigned = source.fact(Attributes).assigned(owner, path.removeprefix("self."))
    numbers = [each for each in assigned if isinstance(each, cst.Integer | cst.Float)]
    starts_at_zero = any(number.evaluated_value == 0 for number in numbers)
    is_counted_here = re.compile(rf"{re.escape(path)}\s*\+?=[^=]")
    if not starts_at_zero or None not in assigned or is_counted_here.search(source.module.code_for_node(function)):
        return None
    return Evidence(Confidence.LIKELY, f"`{path}` is 0 before anything was counted")


def _of_whole(value: Value, numerator: Value | None) -> Evidence | None:
    """`x / x.sum()`, `x / x.abs().max()`, `2 * (a * b).sum() / (a.sum() + b.sum())`: 0 / 0 where all are 0."""
    parts = wholes(value)
    if numerator is None or not parts or not all(are_related(numerator, part) for part, _ in parts):
        return None
    return Evidence(Confidence.LIKELY, "elements that are all 0")


def _of_overlap(value: Value, numerator: Value | None) -> Evidence | None:
    """`overlap / (a + b - overlap)`, the intersection over the union; it is 0 for two empty regions."""
    for choice in (value, *value.choices):
        made = choice.made
        if numerator is None or made is None or made.operation != "sub" or len(made.inputs) != 2:
            continue
        whole, overlap = made.inputs
        if whole.made is not None and whole.made.operation == "add" and overlap.number == numerator.number:
            return Evidence(Confidence.LIKELY, "two empty regions")
    return None


def of_one_element(value: Value, numerator: Value | None) -> Evidence | None:
    """`n / (n - 1)` of a count `n`, and `a - b / a` of sums of weights and of their squares."""
    made = value.made
    while made is not None and made.operation in ("pow", "mul", "square", "float") and made.inputs:
        value = made.inputs[0]
        made = value.made
    if made is None or made.operation != "sub" or len(made.inputs) != 2:
        return None
    count, less = made.inputs
    if less.is_constant and less.low == 1:
        is_correction = numerator is not None and are_related(numerator, count)
        return Evidence(Confidence.LIKELY, "a count of 1") if count.is_count and is_correction else None
    if less.made is not None and less.made.operation == "div" and less.made.inputs[1].number == count.number:
        return Evidence(Confidence.LIKELY, "one weight alone")
    return None


def _of_sine(value: Value, numerator: Value | None) -> Evidence | None:
    """`x / sin(x)`: of other sines the angles are mostly far from 0."""
    for made in ways_made(value):
        if made.operation == "sin" and numerator is not None and made.inputs[0].root == numerator.root:
            return Evidence(Confidence.LIKELY, "the sine of 0, and of pi")
    return None


def _of_coordinate(site: Site, node: cst.BaseExpression) -> Evidence | None:
    """`points / points[..., 2:]`: a perspective projection, whose depth is 0 for a point beside the camera."""
    numerator = site.operands.get("input")
    if numerator is None or not isinstance(node, cst.Subscript):
        return None
    base = numerator.value if isinstance(numerator, cst.Subscript) else numerator
    is_of_several = not isinstance(numerator, cst.Subscript) or isinstance(numerator.slice[-1].slice, cst.Slice)
    if not is_of_several or not node.value.deep_equals(base) or not _picks_last_coordinate(node):
        return None
    return Evidence(Confidence.LIKELY, "a coordinate that is 0")


def _picks_last_coordinate(node: cst.Subscript) -> bool:
    parts = [element.slice for element in node.slice]
    while parts and isinstance(parts[-1], cst.Index) and _is_none(parts[-1].value):
        parts.pop()
    # `m[..., 2, 2]` is an entry of a matrix.
    return len(parts) >= 2 and _is_at_end(parts[-1]) and not _is_at_end(parts[-2])


def _is_at_end(part: cst.BaseSlice) -> bool:
    match part:
        case cst.Slice(lower=lower, step=None) if lower is not None:
            return _is_last(lower)
        case cst.Index(value=index):
            return _is_last(index)
    return False


def _is_none(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"


def _is_last(node: cst.BaseExpression) -> bool:
    match node:
        case cst.Integer(value="2" | "3"):
            return True
        case cst.UnaryOperation(operator=cst.Minus(), expression=cst.Integer(value="1")):
            return True
    return False


def _of_density(value: Value, node: cst.BaseExpression, numerator: Value | None) -> Evidence | None:
    """`(x - mean) ** 2 / (2 * std ** 2)`: a density whose spread is a parameter."""
    while numerator is not None and numerator.made is not None and numerator.made.operation == "neg":
        numerator = numerator.made.inputs[0]
    if numerator is None or not results.is_square(numerator) or not results.is_difference(numerator):
        return None
    names = [name for name in names_in(node) if _SPREAD_NAME.search(name)]
    if not names or any(made.operation in ("exp", "softplus") for made in ways_made(value)):
        return None
    return Evidence(Confidence.LIKELY, f"`{names[0]}` that is 0")


def _of_name(value: Value, node: cst.BaseExpression) -> Evidence | None:
    """A divisor whose name says that it is 0 for what is empty."""
    name = last_name(unwrapped(node))
    if (
        POSITIVE_NAME.search(name)
        or not _EMPTY_NAME.search(name)
        or any(made.operation in NEVER_ALL_ZERO for made in ways_made(value))
    ):
        return None
    return Evidence(Confidence.LIKELY, f"`{name}` is 0 for what is empty")
