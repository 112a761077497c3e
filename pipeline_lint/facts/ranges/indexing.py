"""The values of subscripts: items, slices and masks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.ranges.conditions import effects, mask_kind
from pipeline_lint.facts.ranges.containers import element_of
from pipeline_lint.facts.ranges.priors import value_named
from pipeline_lint.facts.ranges.site import Mask
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.syntax import is_word, last_name
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    OTHER,
    SEQUENCE,
    TENSOR,
    UNKNOWN_KIND,
    Evidence,
    Made,
    Value,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run

_POSITIONS = frozenset({"nonzero", "argwhere", "where"})
_PAIRS = re.compile(r"(pairs?|triplets?)(_|$)")
"""Names of functions that give positions of pairs: a batch may have none."""


def subscript(run: Run, node: cst.Subscript, state: State) -> Value:
    """An item, a slice, or what a mask selects."""
    owner = run.evaluate(node.value, state)
    parts = [element.slice for element in node.slice]
    key: list[object] = []
    mask: Value | None = None
    index: Value | None = None
    indices: list[Value] = []
    for part in parts:
        if isinstance(part, cst.Index):
            value = run.evaluate(part.value, state)
            key.append(_word(part.value) or value.number)
            if _is_mask(value):
                mask = value
            index = value
            indices.append(value)
        elif isinstance(part, cst.Slice):
            bounds = (part.lower, part.upper, part.step)
            key += [run.evaluate(bound, state).number if bound is not None else None for bound in bounds]
            key.append(":")
    number = run.numbers.of(("item", owner.number, *key))
    if (
        owner.items is not None
        and len(parts) == 1
        and index is not None
        and index.is_constant
        and index.low == int(index.low)
    ):
        position = int(index.low)
        if -len(owner.items) <= position < len(owner.items):
            return owner.items[position]
    if owner.kind == SEQUENCE and owner.is_count and index is None:
        return owner.but(items=None, number=number, root=number)
    if owner.kind == SEQUENCE and owner.is_count:
        return Value(0.0, INFINITY, kind=NUMBER, is_count=True, has_gradient=False, number=number, made=owner.made)
    if owner.kind == SEQUENCE and gives_positions(owner):
        # `torch.where(mask)[0]`
        return Value(kind=TENSOR, dtype="int64", has_gradient=False, made=owner.made, number=number, root=number)
    if owner.made is not None and owner.made.operation in ("max", "min") and index is not None and index.is_constant:
        # `x.max(dim)[0]`
        return owner if index.low == 0 else Value(dtype="int64", kind=TENSOR, has_gradient=False)
    if owner.kind in (OTHER, SEQUENCE):
        return _keyed_item(node, owner, number)
    if owner.kind == UNKNOWN_KIND and owner.is_unknown and len(parts) == 1 and mask is None:
        keyed = _keyed_item(node, owner, number)
        if not keyed.is_unknown:
            return keyed
    result = owner.but(number=number, root=number, is_count=owner.is_count and owner.kind == TENSOR)
    if mask is not None:
        return _selected(run, node, owner, mask, result, state)
    if owner.kind == NUMBER:
        result.kind = UNKNOWN_KIND
    positions = next(filter(gives_positions, indices), None)
    if positions is not None and result.kind != NUMBER:
        return _picked_at(run, owner, positions, result, node, state)
    return result


def _keyed_item(node: cst.Subscript, owner: Value, number: int) -> Value:
    """`batch["mask"]`: what the key says."""
    element = element_of(owner) if owner.kind == SEQUENCE else Value()
    if not element.is_unknown:
        return element.but(number=number, root=number)
    match node.slice:
        case [cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as text))]:
            key = text.evaluated_value
            found = value_named(key) if isinstance(key, str) else None
            if found is not None:
                found.number = found.root = number
                return found
    return Value(number=number)


def _selected(run: Run, node: cst.Subscript, owner: Value, mask: Value, result: Value, state: State) -> Value:
    """`x[mask]`: fewer elements, perhaps none."""
    known = effects(mask, is_met=True)
    run.recorder.mask(owner, Mask(node, mask_kind("index", mask, owner), known.bounds))
    inner = state.copy()
    inner.learn(known)
    if owner.number in known.bounds:
        refined = inner.refined(owner)
        result = refined.but(number=result.number, root=result.number)
    if mask.root not in state.nonempty:
        result.empty = Evidence(Confidence.LIKELY, "a mask that selects nothing")
        result.made = Made("masked_select", node, (owner, mask))
    return result


def _picked_at(run: Run, owner: Value, index: Value, result: Value, node: cst.CSTNode, state: State) -> Value:
    """`x[mask.nonzero()]`: what stands at positions, of which there may be none."""
    sources = [index]
    if index.made is not None:
        sources += index.made.inputs
        if isinstance(index.made.node, cst.Call) and isinstance(index.made.node.func, cst.Attribute):
            sources.append(run.silently(index.made.node.func.value, state))
    if any(each.root in state.nonempty for each in sources):
        return result
    return result.but(
        empty=Evidence(Confidence.LIKELY, "a condition that holds nowhere"),
        made=Made("masked_select", node, (owner, index)),
    )


def gives_positions(value: Value) -> bool:
    """Whether a value holds the positions at which a condition holds, or pairs of them that were looked for."""
    made = value.made
    if made is None or value.kind == NUMBER:
        return False
    if made.operation in _POSITIONS:
        return len(made.inputs) == 1
    if made.operation != "call" or not isinstance(made.node, cst.Call):
        return False
    name = last_name(made.node.func)
    return name in _POSITIONS or _PAIRS.search(name) is not None


def _word(node: cst.BaseExpression) -> str:
    """`...` and `None`, which are the same wherever they stand, so that `x[..., 0]` is one value; empty for others."""
    if isinstance(node, cst.Ellipsis):
        return "..."
    return "None" if is_word(node, "None") else ""


def _is_mask(value: Value) -> bool:
    """Whether an index selects by a condition."""
    if value.kind == NUMBER or value.is_constant:
        return False
    # What is named a mask is one, whatever made it.
    is_named = value.made is None and value.kind == TENSOR and (value.low, value.high) == (0.0, 1.0)
    return value.dtype == "bool" or (is_named and not value.has_gradient)
