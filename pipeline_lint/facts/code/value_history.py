"""How a value was computed, in any of the ways that it may have been, and from what."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.ranges.value import NUMBER, Made, Value

PASSED = frozenset({"abs", "sqrt", "square", "neg", "mul", "div", "pow", "float", "int", "item", "round"})
"""Operations that are 0 where their input is."""
DEEPEST = 6
"""How many operations back a value is followed."""
_MOST_ORIGINS = 200


def ways_made(value: Value) -> Iterator[Made]:
    """How a value was made, in any of the ways that it may have been, through what is 0 where its input is."""
    waiting, seen = [(value, 0)], set[int]()
    while waiting and len(seen) < _MOST_ORIGINS:
        each, depth = waiting.pop()
        if id(each) in seen or depth > DEEPEST:
            continue
        seen.add(id(each))
        made = each.made
        if made is None:
            waiting.extend((choice, depth + 1) for choice in reversed(each.choices))
            continue
        yield made
        if made.operation in PASSED or made.operation in ("add", "where"):
            waiting.extend((source, depth + 1) for source in reversed(made.inputs) if not source.is_constant)


def are_related(one: Value, other: Value) -> bool:
    """Whether two values were computed from a common one."""
    return not _origins(one).isdisjoint(_origins(other))


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


def names_in(node: cst.CSTNode) -> Iterator[str]:
    """All names in a piece of code, those of attributes and keywords included."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, cst.Name):
            yield current.value
        waiting.extend(current.children)
