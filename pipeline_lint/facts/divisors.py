"""Why a divisor is 0 at times where its range alone does not tell: from what is divided by it, and from names.

`x / x.sum()` is 0 / 0 for a row of zeros, whatever `x` is; `overlap / (a + b - overlap)` for two empty boxes;
`n / (n - 1)` for one element. A sum of unknown numbers as such is a divisor like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.array_divisors import why_array_zero
from pipeline_lint.facts.calls import Calls
from pipeline_lint.facts.divisor_guards import has_guard, is_constant_setup
from pipeline_lint.facts.masks import is_mask_like
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.attributes import Attributes
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import last_name, path_of
from pipeline_lint.facts.ranges.value import NUMBER, OTHER, SEQUENCE, Evidence, Made, Value, weakened
from pipeline_lint.facts.selections import is_of_padding, is_over_batch, is_padding_mask
from pipeline_lint.facts.unwrapping import unwrapped
from pipeline_lint.source import Source

_REDUCTIONS = frozenset({"sum", "mean", "max", "amax", "nansum", "count_nonzero", "dot", *results.NORMS})
_PASSED = frozenset({"abs", "sqrt", "square", "neg", "mul", "div", "pow", "float", "int", "item", "round"})
"""Operations that are 0 where their input is."""
_JOINED = frozenset({"add", "stack", "cat", "hypot"})
"""Operations that are 0 where all their inputs are."""
_CHOSEN = frozenset({"where", "masked_fill"})
"""How authors keep something from being 0 where it would be."""
_RUNNING = frozenset({"cumsum", "diff"})
"""What is computed along the elements of grids and sorted values, and 0 for degenerate ones only."""
_NEVER_ALL_ZERO = frozenset(
    """arange bincount cos cosh eye exp exp2 full hamming_window hann_window linspace logspace ones ones_like rand
    randint randn rand_like randn_like sigmoid softmax softmin softplus tensor gumbel_softmax unique cumsum sinc
    blackman_window bartlett_window kaiser_window reciprocal rsample sample""".split()
)
"""What makes values of which not all are 0 in practice."""
_GRIDS = frozenset({"arange", "linspace", "logspace", "meshgrid"})
_POSITIVE_NAME = re.compile(
    r"(^|_)(kernel|kernels|window|filter|filters|gauss|gaussian|blur|hann|hamming|taps|fan|stride|sizes?|shape|dims?"
    r"|temperature|tau|class_weights?)\d*(_|$|\d)",
    re.IGNORECASE,
)
"""Names of what is never 0 altogether."""
_KERNEL_CODE = re.compile(r"kernel|window|gauss|filter_?bank|fbank|mel_|blur", re.IGNORECASE)
_EMPTY_NAME = re.compile(
    r"(^|_)(areas?\d*|unions?|volumes?|vol|area_?[a-z]?|num_?pos(itives?)?|n_?pos|num_?fg|num_?foreground"
    r"|num_?valid|n_?valid|degrees?|deg|row_?sum|rowsum|mask_?sum|pos_?num|num_?matche[sd]|num_?masked)$",
    re.IGNORECASE,
)
"""Names of what is 0 for an empty region or selection."""
_EPSILON = re.compile(r"eps|smooth|tiny|stabili[sz]|jitter|delta|reg(_|$|ular)", re.IGNORECASE)
_LARGEST_EPSILON = 0.1
_BOUNDING = frozenset({"clamp", "clamp_min", "maximum", "max", "fmax"})
_SPREAD_NAME = re.compile(r"^(std|stddev|sigma|scale|var|variance)s?$", re.IGNORECASE)
_COUNTED = frozenset({results.NOTHING_SELECTED.witness, "a list from which everything was filtered out"})
_CANCELLED = "elements that add up to 0"
"""What `sum` says of numbers of which nothing is known: too little for a divisor."""
_SELECTION = re.compile("^it is |selects nothing")
"""What a total says that starts at 0, or of masks that are counted."""
_OF_LENGTHS = re.compile(r"`\w*(non_pad|length|sequence_mask)\w*`|`(max|min|target|current|image|img|pixel)_area`")
"""Masks that are made of lengths, and areas of no region."""
_INITIAL = "it is "
"""How a constant speaks of itself; that what was filled or counted since is still 0 takes more."""
_NOTHING_KNOWN = Evidence(Confidence.POSSIBLE, "nothing in the code rules it out")
_DEEPEST = 6
_MOST_ORIGINS = 200


def why_zero(source: Source, site: Site, name: str) -> Evidence | None:
    """Why the operand `name`, a divisor, is 0 at times; None where it never is."""
    value = site.values.get(name)
    found = value.reaches(0.0, 0.0) if value is not None else None
    if value is None or found is None or value.kind == SEQUENCE:
        return None
    if value.kind == OTHER:
        return _of_array(source, site, name)
    if _is_bounded(value) or not _may_vanish(source, value):
        return None
    node, numerator = site.operands[name], site.values.get("input") if name == "other" else None
    if is_constant_setup(source, site.node, node):
        return None
    if value.kind == NUMBER:
        found = _of_number(source, node, value, found, numerator)
    elif found.confidence is Confidence.POSSIBLE or found.witness == _CANCELLED or _is_initial(value, found):
        found = _of_form(source, site, name, numerator) or _NOTHING_KNOWN
    if found.confidence is Confidence.POSSIBLE or _is_exponent(site, node):
        return _NOTHING_KNOWN
    if _sums_padding(source, value):
        return _NOTHING_KNOWN
    if _OF_LENGTHS.search(found.witness) or (_is_total(value) and _SELECTION.search(found.witness)):
        return _NOTHING_KNOWN
    return None if has_guard(source, site.node, node) else found


def _sums_padding(source: Source, value: Value) -> bool:
    """Whether a divisor counts, over the whole batch, what is no padding."""
    for made in _made(value):
        if made.operation == "sum" and made.inputs and is_mask_like(made.inputs[0]):
            site = source.fact(Ranges).site(made.node)
            if site is not None and is_over_batch(site) and is_padding_mask(source, made.node, made.inputs[0]):
                return True
    return False


def _of_array(source: Source, site: Site, name: str) -> Evidence | None:
    numerator, divisor = site.operands.get("input"), site.operands[name]
    if numerator is None or name == "input" or has_guard(source, site.node, divisor):
        return None
    if is_constant_setup(source, site.node, divisor):
        return None
    if not isinstance(numerator, cst.Name | cst.Attribute | cst.Subscript):
        return None
    found = why_array_zero(source, divisor, numerator)
    is_shaped = any(_POSITIVE_NAME.search(each) for each in _names_in(divisor))
    return None if is_shaped else found


def is_mean_over_mask(site: Site) -> bool:
    """Whether a quotient is the mean of what a mask selects: `(x * mask).sum() / mask.sum()`."""
    numerator, divisor = site.values.get("input"), site.values.get("other")
    if numerator is None or divisor is None or numerator.is_count:
        return False
    totals = [made for made in _made(divisor) if made.operation in ("sum", "count_nonzero")]
    if any(made.operation == "add" for made in _made(divisor)) and len(totals) > 1:
        return False
    mask = next((each for made in totals for each in made.inputs), None)
    if mask is None or not is_mask_like(mask):
        return False
    return any(made.operation == "sum" and _are_related(made.inputs[0], mask) for made in _made(numerator))


def _is_initial(value: Value, found: Evidence) -> bool:
    return value.is_constant or found.witness.startswith(_INITIAL)


def _of_form(source: Source, site: Site, name: str, numerator: Value | None) -> Evidence | None:
    value, node = site.values[name], site.operands[name]
    return (
        _of_accumulated(value)
        or _of_whole(value, numerator)
        or _of_overlap(value, numerator)
        or _of_one_element(value, numerator)
        or _of_sine(value)
        or _of_coordinate(site, node)
        or _of_density(value, node, numerator)
        or _of_name(value, node)
        or _of_running_total(source, unwrapped(node))
    )


def _is_total(value: Value, depth: int = 0) -> bool:
    """Whether a value starts at 0 and grows in a loop."""
    if depth > 2:
        return False
    if value.made is not None and value.made.operation == "add":
        return any(each.is_constant or _is_total(each, depth + 1) for each in value.made.inputs)
    return any(choice.is_constant or _is_total(choice, depth + 1) for choice in value.choices)


def _of_accumulated(value: Value, depth: int = 0) -> Evidence | None:
    """A total that starts at 0, of parts that are 0 at times and never negative; of counts it hardly stays there."""
    made = value.made
    if value.low < 0 or value.is_count or depth > _DEEPEST:
        return None
    if made is None:
        found = (_of_accumulated(choice, depth + 1) for choice in value.choices)
        return next((each for each in found if each is not None), None)
    evidence = value.zero
    if made.operation != "add" or evidence is None or _SELECTION.search(evidence.witness):
        return None
    return weakened(evidence)


def _of_number(
    source: Source, node: cst.BaseExpression, value: Value, found: Evidence, numerator: Value | None
) -> Evidence:
    """Python's numbers: counts of elements that meet a condition are 0 at times; sizes and totals hardly ever."""
    if found.confidence > Confidence.POSSIBLE and found.witness in _COUNTED:
        return _NOTHING_KNOWN if is_of_padding(source, value) else found
    one = _of_one_element(value, numerator)
    if one is not None:
        return one
    return _of_running_total(source, unwrapped(node)) or _NOTHING_KNOWN


def _of_running_total(source: Source, node: cst.BaseExpression) -> Evidence | None:
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
    wholes = _wholes(value)
    if numerator is None or not wholes or not all(_are_related(numerator, whole) for whole, _ in wholes):
        return None
    return Evidence(Confidence.LIKELY, "elements that are all 0")


def _wholes(value: Value, depth: int = 0) -> list[tuple[Value, cst.CSTNode]]:
    """What a divisor is a sum, mean, maximum or norm of, if it is 0 just where all of these are."""
    if depth > _DEEPEST or value.is_constant:
        return []
    made = value.made
    if made is None or not made.inputs:
        # One of several values: the first that is such a reduction.
        return next(filter(None, (_wholes(choice, depth + 1) for choice in value.choices)), [])
    if made.operation in _REDUCTIONS:
        return [(made.inputs[0], made.node)]
    if made.operation == "add":
        parts = [_wholes(each, depth + 1) for each in made.inputs]
        return [whole for part in parts for whole in part] if all(parts) else []
    if made.operation in _PASSED:
        return _wholes(next((each for each in made.inputs if not each.is_constant), made.inputs[0]), depth + 1)
    return []


def _may_vanish(source: Source, value: Value) -> bool:
    """Whether all that a divisor is a reduction of may be 0, as far as how it was made, and its name, tell."""
    for whole, node in _wholes(value):
        if whole.kind == OTHER or _is_in_kernel_code(source, node):
            return False
        operation = source.fact(Calls).operation(node)
        operand = operation.input if operation is not None else None
        if operand is not None and any(_POSITIVE_NAME.search(name) for name in _names_in(operand)):
            return False
        if not _vanishes(whole):
            return False
    return True


def _is_in_kernel_code(source: Source, node: cst.CSTNode) -> bool:
    """Whether a function makes a kernel or window, whose weights are not all 0."""
    function = source.enclosing(node, cst.FunctionDef)
    return function is not None and _KERNEL_CODE.search(function.name.value) is not None


def _vanishes(value: Value, depth: int = 0) -> bool:
    if value.is_constant:
        return value.low == 0
    if not value.may_be_zero or depth > _DEEPEST:
        return value.may_be_zero
    made = value.made
    if made is None:
        return not value.choices or any(_vanishes(choice, depth + 1) for choice in value.choices)
    name = last_name(made.node.func) if made.operation == "call" and isinstance(made.node, cst.Call) else made.operation
    if name in _NEVER_ALL_ZERO or name in _CHOSEN:
        return False
    if name == "mul":
        return any(_vanishes(each, depth + 1) for each in made.inputs)
    if name == "sub":
        # Differences of the positions of a grid; others are 0 where both sides are equal.
        return not all(map(_is_grid, made.inputs))
    if name in _JOINED:
        return all(_vanishes(each, depth + 1) for each in made.inputs)
    if name in _PASSED and made.inputs:
        return _vanishes(made.inputs[0], depth + 1)
    return True


def _is_grid(value: Value) -> bool:
    return value.is_constant or (value.made is not None and value.made.operation in _GRIDS)


def _is_bounded(value: Value) -> bool:
    """Whether the code keeps a divisor, or what it is made of, from 0 in a way that its range does not show.

    By `torch.where`, an epsilon or a bound that is not known, or beside values of which nothing is known.
    """
    for made in _made(value):
        if made.operation in _CHOSEN or made.operation in _RUNNING:
            return True
        if made.operation == "sum" and made.inputs and _is_support(made.inputs[0]):
            return True
        if made.operation in _BOUNDING and any(not each.is_constant for each in made.inputs[1:]):
            return True
        if made.operation == "add" and _is_of_complements(made):
            return True
        if made.operation == "add" and (_has_small_constant(made) or any(map(_EPSILON.search, _names_in(made.node)))):
            return True
    return False


def _is_of_complements(made: Made) -> bool:
    """Whether a sum is one of parts that are 0 at different times: `t ** 2 + (1 - t) ** 2`."""
    one, other = made.inputs[0], made.inputs[1]
    if not (results.is_square(one) and results.is_square(other)):
        return False
    return any(each.made is not None and each.made.operation == "sub" for each in _bases(made)) and _are_related(
        one, other
    )


def _bases(made: Made) -> Iterator[Value]:
    for square in made.inputs:
        if square.made is not None:
            yield from square.made.inputs


def _has_small_constant(made: Made) -> bool:
    return any(each.is_constant and 0 < each.low <= _LARGEST_EPSILON for each in made.inputs)


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


def _is_support(mask: Value) -> bool:
    """Whether a mask compares with a running sum, as the support of a sparsemax does, which is never empty."""
    made = mask.made
    if made is None or made.operation not in results.COMPARISONS:
        return False
    return any(
        each.made is not None and each.made.operation in _RUNNING for side in made.inputs for each in _sides(side)
    )


def _sides(value: Value) -> Iterator[Value]:
    yield value
    if value.made is not None and value.made.operation in ("add", "sub"):
        yield from value.made.inputs


def _names_in(node: cst.CSTNode) -> Iterator[str]:
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, cst.Name):
            yield current.value
        waiting.extend(current.children)


def _made(value: Value) -> Iterator[Made]:
    """How a value was made, in any of the ways that it may have been, through what is 0 where its input is."""
    waiting, seen = [(value, 0)], set[int]()
    while waiting and len(seen) < _MOST_ORIGINS:
        each, depth = waiting.pop()
        if id(each) in seen or depth > _DEEPEST:
            continue
        seen.add(id(each))
        made = each.made
        if made is None:
            waiting.extend((choice, depth + 1) for choice in reversed(each.choices))
            continue
        yield made
        if made.operation in _PASSED or made.operation in ("add", "where"):
            waiting.extend((source, depth + 1) for source in reversed(made.inputs) if not source.is_constant)


def _origins(value: Value) -> set[int]:
    """Roots of the values that a value was computed from, in any of the ways that it may have been."""
    found: set[int] = set()
    seen: set[int] = set()
    waiting = [value]
    while waiting and len(seen) < _MOST_ORIGINS:
        each = waiting.pop()
        if (each.is_constant and each.made is None) or id(each) in seen or (each.kind == NUMBER and not each.is_count):
            continue
        seen.add(id(each))
        found.add(each.root)
        waiting.extend(each.choices)
        if each.made is not None:
            waiting.extend(each.made.inputs)
    return found


def _are_related(one: Value, other: Value) -> bool:
    return not _origins(one).isdisjoint(_origins(other))


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


def _of_one_element(value: Value, numerator: Value | None) -> Evidence | None:
    """`n / (n - 1)` of a count `n`, and `a - b / a` of sums of weights and of their squares."""
    made = value.made
    while made is not None and made.operation in ("pow", "mul", "square", "float") and made.inputs:
        value = made.inputs[0]
        made = value.made
    if made is None or made.operation != "sub" or len(made.inputs) != 2:
        return None
    count, less = made.inputs
    if less.is_constant and less.low == 1:
        is_correction = numerator is not None and _are_related(numerator, count)
        return Evidence(Confidence.LIKELY, "a count of 1") if count.is_count and is_correction else None
    if less.made is not None and less.made.operation == "div" and less.made.inputs[1].number == count.number:
        return Evidence(Confidence.LIKELY, "one weight alone")
    return None


def _of_sine(value: Value) -> Evidence | None:
    if any(made.operation == "sin" for made in _made(value)):
        return Evidence(Confidence.LIKELY, "the sine of 0, and of pi")
    return None


def _of_coordinate(site: Site, node: cst.BaseExpression) -> Evidence | None:
    """`points / points[..., 2:]`: a perspective projection, whose depth is 0 for a point beside the camera."""
    numerator = site.operands.get("input")
    if numerator is None or not isinstance(node, cst.Subscript):
        return None
    base = numerator.value if isinstance(numerator, cst.Subscript) else numerator
    if not node.value.deep_equals(base) or not _picks_last_coordinate(node):
        return None
    return Evidence(Confidence.LIKELY, "a coordinate that is 0")


def _picks_last_coordinate(node: cst.Subscript) -> bool:
    parts = [element.slice for element in node.slice]
    while parts and isinstance(parts[-1], cst.Index) and _is_none(parts[-1].value):
        parts.pop()
    if len(parts) < 2:
        return False
    match parts[-1]:
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
    names = [name for name in _names_in(node) if _SPREAD_NAME.search(name)]
    if not names or any(made.operation in ("exp", "softplus") for made in _made(value)):
        return None
    return Evidence(Confidence.LIKELY, f"`{names[0]}` that is 0")


def _of_name(value: Value, node: cst.BaseExpression) -> Evidence | None:
    """A divisor whose name says that it is 0 for what is empty."""
    name = last_name(unwrapped(node))
    if (
        _POSITIVE_NAME.search(name)
        or not _EMPTY_NAME.search(name)
        or any(made.operation in _NEVER_ALL_ZERO for made in _made(value))
    ):
        return None
    return Evidence(Confidence.LIKELY, f"`{name}` is 0 for what is empty")
