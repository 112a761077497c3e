"""What assignments do to what is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.facts.ranges.conditions import effects, mask_kind
from pipeline_lint.facts.ranges.memory import share, store
from pipeline_lint.facts.ranges.priors import is_telling, value_named
from pipeline_lint.facts.ranges.site import Mask
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.syntax import path_of
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    OTHER,
    SEQUENCE,
    TENSOR,
    Made,
    Value,
    fresh_number,
    join,
    narrowed,
    rounded_ends,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run


def bind(run: Run, target: cst.BaseExpression, value: Value, state: State) -> None:
    """Gives a target of an assignment its value: a name, an attribute, an item, or several at once."""
    match target:
        case cst.Name(value=name):
            if name in run.owners:
                _drop_attributes(name, state)
            state.names[name] = _named(value, name)
        case cst.Attribute():
            path = path_of(target)
            if path is not None:
                if path in run.owners:
                    _drop_attributes(path, state)
                run.owners.add(path.rpartition(".")[0])
                state.names[path] = _named(value, target.attr.value)
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            _unpack(run, elements, value, state)
        case cst.Subscript():
            _assign_item(run, target, value, state)
        case cst.StarredElement(value=inner):
            bind(run, inner, Value(kind=SEQUENCE), state)


def _drop_attributes(path: str, state: State) -> None:
    """What the attributes of another object held says nothing of the new one's."""
    for name in [name for name in state.names if name.startswith(f"{path}.")]:
        del state.names[name]


def _named(value: Value, name: str) -> Value:
    """The value, or what its new name says of one of which nothing is known."""
    if value.kind in (OTHER, SEQUENCE) or not value.is_unknown or value.at_low or value.at_high:
        return value
    made = value.made
    if (value.zero or (made is not None and made.operation not in ("call", "attribute"))) and not is_telling(name):
        return value
    prior = value_named(name)
    if prior is None:
        return value
    # What a name tells against the arithmetic behind it stands for itself.
    prior.number, prior.root, prior.made = value.number, value.root, None if is_telling(name) else value.made
    prior.choices = (value,) if is_telling(name) else value.choices
    prior.dtype = prior.dtype or value.dtype
    prior.kind = TENSOR if value.kind == TENSOR else prior.kind
    return prior


def _unpack(run: Run, elements: Sequence[cst.BaseElement], value: Value, state: State) -> None:
    items = value.items
    starred = next((i for i, each in enumerate(elements) if isinstance(each, cst.StarredElement)), None)
    if items is not None and starred is not None and len(items) >= len(elements) - 1:
        last = starred + len(items) - len(elements) + 1
        rest = Value(kind=SEQUENCE, items=items[starred:last], has_gradient=value.has_gradient)
        items = (*items[:starred], rest, *items[last:])
    if items is not None and len(items) == len(elements):
        for element, item in zip(elements, items, strict=True):
            bind(run, element.value, item, state)
        return
    made = value.made
    is_extreme = made is not None and made.operation in ("max", "min", "median", "nanmedian", "topk", "sort")
    for position, element in enumerate(elements):
        if is_extreme:
            part = value if position == 0 else Value(kind=TENSOR, dtype="int64", has_gradient=False)
        elif value.kind == SEQUENCE and value.is_count:
            part = Value(0.0, INFINITY, kind=NUMBER, is_count=True, has_gradient=False)
        elif made is not None and made.operation in ("split", "chunk", "unbind", "tensor_split"):
            part = value.but(number=fresh_number(), root=0)
        else:
            part = Value(has_gradient=value.has_gradient, made=Made("call", made.node, made.inputs) if made else None)
        bind(run, element.value, part, state)


def _assign_item(run: Run, target: cst.Subscript, value: Value, state: State) -> None:
    """`x[i] = v` adds to what the elements can be; `x[x == 0] = 1` takes something away as well."""
    path = path_of(target.value)
    if path is None:
        store(run, target, value, state)
        return
    old = run.silently(target.value, state)
    if old.kind in (OTHER, SEQUENCE):
        return
    if value.kind == NUMBER and old.kind == TENSOR:
        low, high = rounded_ends(value.low, value.high, old.dtype)
        value = value.but(low=low, high=high)
    kept = old
    filled = value
    match target.slice:
        case [cst.SubscriptElement(slice=cst.Index(value=index))]:
            mask = run.silently(index, state)
            if mask.kind != NUMBER and (mask.dtype == "bool" or (mask.low == 0 and mask.high == 1)):
                filled = value.but(made=Made("masked_fill", target, (old, value, mask)))
            if mask.dtype == "bool" or mask.made is not None:
                known = effects(mask, is_met=False)
                bounds = known.bounds.get(old.number)
                if bounds is not None:
                    kept = narrowed(old, bounds[0], bounds[1], is_nonzero=bounds[2])
                run.recorder.mask(old, Mask(target, mask_kind("masked_fill", mask, old), known.bounds))
    changed = join(kept, value).but(
        number=fresh_number(), root=0, kind=old.kind, dtype=old.dtype, empty=old.empty, is_count=old.is_count
    )
    changed.choices = (old, filled)
    changed.made = old.made if kept is old else None
    if kept is old:
        # A few elements were changed; what was reached before still is.
        changed.at_low = changed.at_low or (old.at_low if changed.low == old.low else None)
        changed.at_high = changed.at_high or (old.at_high if changed.high == old.high else None)
    state.names[path] = changed
    share(old, path, changed, state)
