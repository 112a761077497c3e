"""Places of the expressions in f-strings, which Python before 3.12 reports wrongly."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator

from pipeline_lint.document import Document

_QUOTES = ("'''", '"""', "'", '"')
UNPLACED = "unplaced"
"""The attribute of nodes of which no place is known."""


def place_format_strings(document: Document, strings: Iterable[ast.JoinedStr]) -> None:
    """Gives the expressions of f-strings their places; those that are not found are marked `UNPLACED`."""
    if sys.version_info >= (3, 12):
        return
    for node in strings:
        _place(document, node)


def _place(document: Document, string: ast.JoinedStr) -> None:
    values = [value for value in string.values if isinstance(value, ast.FormattedValue)]
    found = list(_fields(document, string)) if values else []
    trees = [_expression(text) for _, text in found]
    matches = len(found) == len(values) and all(
        tree is not None and ast.dump(tree) == ast.dump(value.value) for tree, value in zip(trees, values, strict=False)
    )
    for index, value in enumerate(values):
        if not matches:
            _mark(value)
            continue
        tree, (start, _) = trees[index], found[index]
        assert tree is not None
        _move(document, tree, start)
        value.value = tree
        if value.format_spec is not None:
            _mark(value.format_spec)


def _mark(root: ast.AST) -> None:
    for node in ast.walk(root):
        setattr(node, UNPLACED, True)


def _expression(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _move(document: Document, tree: ast.expr, start: int) -> None:
    """From places within the expression's own text to those in the file; only for expressions of one row."""
    row = document.row_of(start)
    shift = len(document.text[document.line_starts[row - 1] : start].encode("utf-8", "surrogatepass"))
    for node in ast.walk(tree):
        if isinstance(node, ast.expr | ast.arg | ast.keyword):
            if node.lineno != 1 or node.end_lineno != 1:
                setattr(node, UNPLACED, True)
            node.lineno = node.end_lineno = row
            node.col_offset += shift
            node.end_col_offset = (node.end_col_offset or 0) + shift


def _fields(document: Document, string: ast.JoinedStr) -> Iterator[tuple[int, str]]:
    """The expressions in braces, each with the offset of its first character; nothing where the text is unusual."""
    line = document.line(string.lineno).encode("utf-8", "surrogatepass")
    start = document.line_starts[string.lineno - 1] + len(line[: string.col_offset].decode("utf-8", "surrogatepass"))
    text, position = document.text, start
    while position < len(text) and text[position] in "fFrRbBuU":
        position += 1
    quote = next((each for each in _QUOTES if text.startswith(each, position)), None)
    if quote is None:
        return
    position += len(quote)
    while not text.startswith(quote, position):
        if position >= len(text):
            return
        if text.startswith(("{{", "}}", "\\"), position):
            position += 2
        elif text[position] == "{":
            end = _end_of_field(text, position + 1, quote)
            expression = text[position + 1 : end]
            blanks = len(expression) - len(expression.lstrip())
            yield (
                position + 1 + blanks,
                expression.rstrip().removesuffix("=") if text[end - 1 : end] == "=" else expression,
            )
            position = _closing(text, end, quote)
        else:
            position += 1


def _end_of_field(text: str, position: int, quote: str) -> int:
    """Where the expression ends: at its brace, its conversion or its format."""
    depth = 0
    while position < len(text) and not text.startswith(quote, position):
        character = text[position]
        if character in "([{":
            depth += 1
        elif character in ")]}" and depth:
            depth -= 1
        elif depth == 0 and (character in "}:" or (character == "!" and text[position + 1 : position + 2] != "=")):
            return position
        elif character in "'\"":
            position = text.find(character, position + 1)
            if position < 0:
                return len(text)
        position += 1
    return position


def _closing(text: str, position: int, quote: str) -> int:
    """The offset after the field's closing brace."""
    depth = 1
    while position < len(text) and depth and not text.startswith(quote, position):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        position += 1
    return position
