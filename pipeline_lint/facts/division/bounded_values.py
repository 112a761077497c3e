"""What keeps a value from 0 in a way that its range does not show."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline_lint.facts.code.value_history import are_related, names_in, ways_made
from pipeline_lint.facts.division.vanishing_wholes import CHOSEN
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.ranges.value import Made, Value

_RUNNING = frozenset({"cumsum", "diff"})
"""What is computed along the elements of grids and sorted values, and 0 for degenerate ones only."""
_EPSILON = re.compile(r"eps|smooth|tiny|stabili[sz]|jitter|delta|reg(_|$|ular)", re.IGNORECASE)
_LARGEST_EPSILON = 0.1
_NOT = frozenset({"bitwise_not", "logical_not"})
_BOUNDING = frozenset({"clamp", "clamp_min", "maximum", "max", "fmax"})


def is_bounded(value: Value) -> bool:
    """Whether the code keeps a divisor, or what it is made of, from 0 in a way that its range does not show.

    By `torch.where`, an epsilon or a bound that is not known, or beside values of which nothing is known.
    """
    for made in ways_made(value):
        if made.operation in CHOSEN or made.operation in _RUNNING:
            return True
        if made.operation == "sub" and _is_overlap(made.inputs[-1]) and any(map(_has_small_constant, _whole(made))):
            return True
        if made.operation in _BOUNDING and _is_of_hull(made.inputs[0]):
            return True
        if made.operation == "sum" and made.inputs and _is_support(made.inputs[0]):
            return True
        if made.operation in _BOUNDING and any(not each.is_constant for each in made.inputs[1:]):
            return True
        if made.operation == "add" and _is_of_complements(made):
            return True
        if made.operation == "add" and (_has_small_constant(made) or any(map(_EPSILON.search, names_in(made.node)))):
            return True
    return False


def _is_overlap(value: Value) -> bool:
    return value.made is None or value.made.operation != "div"


def _whole(made: Made) -> Iterator[Made]:
    """What is subtracted from, such as the `(a + 1e-16) + b` of an overlap that an epsilon keeps from 0."""
    return ways_made(made.inputs[0])


def _is_of_hull(value: Value) -> bool:
    """Whether a clamp has nothing to do, as that of `max - min + 1`, the width of the hull of two boxes."""
    made = value.made
    if made is not None and made.operation == "add" and any(each.is_constant and each.low > 0 for each in made.inputs):
        made = made.inputs[0].made
    if made is None or made.operation != "sub":
        return False
    high, low = (each.made.operation if each.made is not None else "" for each in made.inputs)
    return high in ("max", "maximum") and low in ("min", "minimum")


def _is_of_complements(made: Made) -> bool:
    """Whether a sum is one of parts that are 0 at different times: `t ** 2 + (1 - t) ** 2`, counts of `m` and `~m`."""
    one, other = made.inputs[0], made.inputs[1]
    if _counts_others(one) != _counts_others(other) and are_related(one, other):
        return True
    if not (results.is_square(one) and results.is_square(other)):
        return False
    return any(each.made is not None and each.made.operation == "sub" for each in _bases(made)) and are_related(
        one, other
    )


def _counts_others(value: Value) -> bool:
    """Whether a mask is summed of what another mask leaves."""
    return any(
        made.operation == "sum" and made.inputs[0].made is not None and made.inputs[0].made.operation in _NOT
        for made in ways_made(value)
    )


def _bases(made: Made) -> Iterator[Value]:
    for square in made.inputs:
        if square.made is not None:
            yield from square.made.inputs


def _has_small_constant(made: Made) -> bool:
    return made.operation == "add" and any(
        each.is_constant and 0 < each.low <= _LARGEST_EPSILON for each in made.inputs
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
