"""What changes a value where it lies (in-place operations, `out=`, methods of lists), and the names that share it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.syntax import path_of
from pipeline_lint.facts.ranges.value import (
    NUMBER,
    OTHER,
    SEQUENCE,
    Made,
    Value,
    element_in,
    fresh_number,
    join,
    rounded_ends,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run

_VIEWS = frozenset(
    """view view_as reshape squeeze unsqueeze transpose permute flatten expand expand_as t swapaxes swapdims movedim
    unflatten contiguous detach ravel""".split()
)
"""Methods that give all elements of a tensor, in its memory or in a copy."""
_PARTS = frozenset("select narrow diagonal unfold index_select chunk split unbind".split())
_VIEW_ATTRIBUTES = frozenset({"data", "T", "mT", "H", "mH", "real"})
_MOST_STEPS = 100
_ADDING = frozenset({"append", "add", "appendleft", "insert"})
_CHANGING = frozenset({"extend", "pop", "popleft", "remove", "clear", "sort", "reverse", "update"})


def store(run: Run, receiver: cst.BaseExpression, value: Value, state: State) -> None:
    """What an in-place operation on `receiver`, which now holds `value`, does to all names of its memory."""
    node, is_part = receiver, False
    while True:
        match node:
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value=name))):
                if name not in _VIEWS and name not in _PARTS and not is_inplace_name(name):
                    return
                is_part |= name in _PARTS
                node = inner
            case cst.Attribute(value=inner, attr=cst.Name(value=name)) if name in _VIEW_ATTRIBUTES:
                node = inner
            case cst.Subscript(value=inner):
                is_part = True
                node = inner
            case cst.Name() | cst.Attribute():
                break
            case _:
                return
    path = path_of(node)
    if path is None:
        return
    old = run.silently(node, state)
    if old.kind in (OTHER, SEQUENCE):
        state.names[path] = old.but(items=None, made=None, choices=(), number=fresh_number(), root=0)
        return
    if value.made is None or value.made.operation != "detach":
        # Under `no_grad`, and through `.data`, the history of the tensor stays.
        value = value.but(has_gradient=value.has_gradient or old.has_gradient)
    if value.dtype != old.dtype:
        # What is put into a tensor takes its dtype.
        low, high = rounded_ends(value.low, value.high, old.dtype)
        value = value.but(low=low, high=high, dtype=old.dtype)
    if is_part:
        value = join(old, value).but(kind=old.kind, dtype=old.dtype)
    new = value.but(number=fresh_number(), root=0)
    state.names[path] = new
    share(old, path, new, state)


def share(old: Value, path: str, new: Value, state: State) -> None:
    """Tells the other names of a tensor's memory that some of its elements are others now."""
    for name in _aliases(old, path, state):
        state.names[name] = join(state.names[name], new)


def change_list(node: cst.Call, arguments: list[Value], state: State) -> None:
    """`values.append(x)` and its like, which change a list that a name holds."""
    match node.func:
        case cst.Attribute(value=receiver, attr=cst.Name(value=method)) if method in _ADDING | _CHANGING:
            path = path_of(receiver)
        case _:
            return
    known = state.names.get(path) if path is not None else None
    if path is None or known is None or known.kind != SEQUENCE:
        return
    changed = known.but(number=fresh_number(), root=0, items=None, made=None, empty=None)
    added = arguments[-1] if arguments and method in _ADDING else None
    if added is not None:
        changed.has_gradient = known.has_gradient or added.has_gradient
        if method == "append" and known.items is not None:
            changed.items = (*known.items, added)
        else:
            element = element_in(known)
            changed.made = Made("list", node, (join(element, added),)) if element is not None else None
    elif method in ("sort", "reverse") and known.items:
        element = element_in(known)
        changed.made = Made("list", node, (element,)) if element is not None else None
    state.names[path] = changed


def forget(path: str, state: State) -> None:
    """What a name or path held is changed by code that is not followed."""
    known = state.names.get(path)
    if known is not None and known.kind != NUMBER:
        new = state.names[path] = Value(kind=known.kind, has_gradient=known.has_gradient)
        share(known, path, new, state)


def is_inplace_name(name: str) -> bool:
    """Whether a method or function changes what it is given: `add_`, `constant_`."""
    return name.endswith("_") and not name.endswith("__")


def _aliases(old: Value, path: str, state: State) -> Iterator[str]:
    """The other names of a tensor's memory: views of it, and what was assigned without a copy."""
    if old.kind == NUMBER:
        return
    places = _places(old)
    for name, value in list(state.names.items()):
        if name != path and value.kind not in (NUMBER, OTHER, SEQUENCE) and not places.isdisjoint(_places(value)):
            yield name


def _places(value: Value) -> set[int]:
    """What tells memory apart: equal for a tensor and its views, and for what may be the one after branches.

    What was computed in the same way elsewhere has the same elements, but not the same node. Numbers have no memory:
    two totals that start at 0 do not share it.
    """
    if value.kind == NUMBER:
        return set()
    found: set[int] = set()
    waiting, seen = [value], set[int]()
    while waiting and len(seen) < _MOST_STEPS:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if current.kind not in (NUMBER, OTHER, SEQUENCE):
            found.add(id(current.made.node) if current.made is not None else current.root)
        waiting.extend(current.choices)
    return found
