"""Small questions about syntax."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst


def path_of(node: cst.BaseExpression) -> str | None:
    """`self.a.b` as text; None for what is more than names and dots."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        before = path_of(node.value)
        return f"{before}.{node.attr.value}" if before is not None else None
    return None


def last_name(function: cst.BaseExpression) -> str:
    """The last name of what is called."""
    if isinstance(function, cst.Attribute):
        return function.attr.value
    return function.value if isinstance(function, cst.Name) else ""


def is_word(node: cst.BaseExpression, word: str) -> bool:
    """Whether an expression is this name."""
    return isinstance(node, cst.Name) and node.value == word


def target_names(target: cst.BaseExpression) -> Iterator[str]:
    """The names and paths that an assignment to a target binds or changes."""
    if isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from target_names(element.value)
    else:
        path = path_of(target.value if isinstance(target, cst.Subscript) else target)
        if path is not None:
            yield path


def pattern_names(pattern: cst.CSTNode) -> Iterator[str]:
    """The names that a `case` pattern binds."""
    waiting: list[cst.CSTNode] = [pattern]
    while waiting:
        node = waiting.pop()
        if isinstance(node, cst.MatchAs | cst.MatchStar) and node.name is not None:
            yield node.name.value
        waiting.extend(node.children)
