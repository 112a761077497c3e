"""What was written over masked scores on their way to a softmax, wherever that stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from pipeline_lint.facts.masking.masks import is_mask_like
from pipeline_lint.facts.ranges.value import Value

_LEAST_ADDED = 1000.0
"""A term that is scaled by this much is a mask, whatever its name is."""
_MOST_STEPS = 60


class Fill(NamedTuple):
    """One place where masked scores get a constant."""

    node: cst.CSTNode
    """`x.masked_fill(mask, c)`, `torch.where(mask, x, c)`, the target of `x[mask] = c`, or the product of
    `x + (1 - mask) * c`."""
    scores: Value
    mask: Value
    constant: float
    """What a masked score is at the softmax, apart from its scale."""
    is_negated: bool
    """Whether the code writes the constant with the other sign, as in `softmax(-x.masked_fill(mask, 1e9))`."""
    is_added: bool
    """Whether the constant is added to the score instead of taking its place."""
    is_moved: bool
    """Whether something is added, multiplied or divided between here and the softmax."""
    is_whole: bool
    """Whether the softmax is over what the mask covers alone, with nothing appended to it."""


class _Step(NamedTuple):
    value: Value
    sign: float
    is_term: bool
    is_moved: bool
    is_whole: bool


def fills(scores: Value) -> Iterator[Fill]:
    """The fills behind the argument of a softmax, through names, branches, helpers, reshapes, sums and scales."""
    waiting, seen = [_Step(scores, 1.0, is_term=False, is_moved=False, is_whole=True)], set[int]()
    num_steps = 0
    while waiting and num_steps < _MOST_STEPS:
        step = waiting.pop()
        if id(step.value) in seen:
            continue
        seen.add(id(step.value))
        num_steps += 1
        fill = fill_of(step.value, step.sign, is_moved=step.is_moved, is_whole=step.is_whole)
        if fill is None and step.is_term:
            fill = _added(step)
        if fill is not None:
            yield fill
        waiting.extend(_before(step, fill))


def fill_of(value: Value, sign: float = 1.0, *, is_moved: bool = False, is_whole: bool = True) -> Fill | None:
    """The fill that made a value; None where nothing was filled, or not with one constant."""
    made = value.made
    if made is None or len(made.inputs) != 3:
        return None
    one, other, mask = made.inputs
    if made.operation == "where":
        mask, one, other = made.inputs
        if one.is_constant and not (other.is_constant and other.low < one.low):
            one, other = other, one
    elif made.operation != "masked_fill":
        return None
    if not other.is_constant or is_limit(other):
        return None
    constant, is_negated = sign * other.low, sign < 0
    return Fill(made.node, one, mask, constant, is_negated, is_added=False, is_moved=is_moved, is_whole=is_whole)


def is_limit(value: Value, depth: int = 0) -> bool:
    """Whether a number, or a tensor of it, comes from a limit of a dtype that the code does not say."""
    made = value.made
    if made is None or depth > 4:
        return False
    return made.operation == "finfo" or any(is_limit(each, depth + 1) for each in made.inputs if each.is_constant)


def _added(step: _Step) -> Fill | None:
    """`(1 - mask) * c` as a term of a sum."""
    made = step.value.made
    if made is None or made.operation != "mul" or len(made.inputs) != 2:
        return None
    for mask, factor in (made.inputs, made.inputs[::-1]):
        if not factor.is_constant or mask.is_constant or is_limit(factor):
            continue
        if not is_mask_like(mask) and not _is_negative_mask(mask) and abs(factor.low) < _LEAST_ADDED:
            continue
        constant = step.sign * factor.low * (-1.0 if _is_negative_mask(mask) else 1.0)
        return Fill(made.node, step.value, mask, constant, False, is_added=True, is_moved=True, is_whole=step.is_whole)
    return None


def _is_negative_mask(mask: Value) -> bool:
    """`mask - 1`."""
    made = mask.made
    return made is not None and made.operation == "sub" and made.inputs[1].is_constant and made.inputs[1].low == 1


def _before(step: _Step, fill: Fill | None) -> Iterator[_Step]:
    """What a value was computed from, as far as it keeps the order of the scores."""
    for choice in step.value.choices:
        yield step._replace(value=choice)
    made = step.value.made
    if made is None:
        return
    inputs = made.inputs
    match made.operation:
        case "masked_fill" | "where":
            if fill is not None:
                yield step._replace(value=fill.scores)
            elif inputs:
                yield from (
                    step._replace(value=each) for each in inputs if not each.is_constant and each.dtype != "bool"
                )
        case "add" if len(inputs) >= 2:
            yield from (step._replace(value=each, is_term=True, is_moved=True) for each in inputs[:2])
        case "sub" if len(inputs) >= 2:
            yield step._replace(value=inputs[0], is_term=True, is_moved=True)
            yield step._replace(value=inputs[1], is_term=True, is_moved=True, sign=-step.sign)
        case "mul" | "div" if len(inputs) == 2 and fill is None:
            scaled = [inputs] if made.operation == "div" else [inputs, inputs[::-1]]
            for scores, scale in scaled:
                sign = -step.sign if scale.high < 0 else step.sign
                yield step._replace(value=scores, is_moved=True, sign=sign)
        case "neg" if inputs:
            yield step._replace(value=inputs[0], sign=-step.sign)
        case "cat" | "stack" | "pad":
            yield from (step._replace(value=each, is_whole=False) for each in inputs)
        case "dropout" | "clone" | "tensor" | "to" if inputs:
            yield step._replace(value=inputs[0])
