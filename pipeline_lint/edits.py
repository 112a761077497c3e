"""The characters that change when a rule replaces, removes or adds a piece of syntax.

Rules name nodes and give the new code as text; nothing else of the file is rendered again, so comments, spacing and
line endings around an edit stay as they were.
"""

from __future__ import annotations

import libcst as cst

from pipeline_lint.diagnostic import Applicability, Edit, Fix
from pipeline_lint.source import Source


def safe_fix(message: str, *edits: Edit) -> Fix:
    """A fix after which the program computes the same wherever it computed something finite."""
    return Fix(Applicability.SAFE, message, edits)


def unsafe_fix(message: str, *edits: Edit) -> Fix:
    """A fix that may change results or interfaces."""
    return Fix(Applicability.UNSAFE, message, edits)


def replace(source: Source, node: cst.CSTNode, code: str) -> Edit:
    """Puts `code` where `node` stands, its own parentheses included.

    Whoever gives the code answers for its precedence; a space is added where it would run into a word: `return(x)`.
    """
    start, end = source.span(node)
    text = source.text
    before = " " if _joins_words(text[max(start - 1, 0) : start], code[:1]) else ""
    after = " " if _joins_words(code[-1:], text[end : end + 1]) else ""
    return source.document.edit(start, end, before + code + after)


def insert_before(source: Source, statement: cst.CSTNode, code: str) -> Edit:
    """Adds lines of code before a statement and its decorators, below its leading comments, at its indentation.

    `statement` stands in a block of its own line, see `Source.statement_of`; of an `elif` the whole `if` is meant.
    """
    start, _ = source.span(_beginning_of(source, statement))
    indent = _indent_of(source, start)
    return source.document.edit(start, start, _lines(source, code, indent) + source.module.default_newline + indent)


def insert_after(source: Source, statement: cst.CSTNode, code: str) -> Edit:
    """Adds lines of code after a statement and its trailing comment, at its indentation."""
    start, end = source.span(statement)
    indent = _indent_of(source, start)
    newline = source.module.default_newline
    line_end = _end_of_line(source, end)
    return source.document.edit(line_end, line_end, newline + indent + _lines(source, code, indent))


def remove_statement(source: Source, statement: cst.BaseSmallStatement) -> Edit:
    """Takes a small statement away: its whole line if it stands alone, `pass` in its place if its block needs one."""
    line = source.parent(statement)
    start, end = source.span(statement)
    if not isinstance(line, cst.SimpleStatementLine | cst.SimpleStatementSuite):
        raise ValueError(f"{type(statement).__name__} is no small statement of a line")
    block = source.parent(line)
    if isinstance(line, cst.SimpleStatementSuite) and len(line.body) == 1:
        return source.document.edit(start, end, "pass")
    if len(line.body) > 1:
        return _remove_from_line(source, line, statement)
    if isinstance(block, cst.IndentedBlock) and len(block.body) == 1:
        return source.document.edit(start, end, "pass")
    first, last = _whole_line(source, start, end)
    return source.document.edit(first, last, "")


def _remove_from_line(
    source: Source, line: cst.SimpleStatementLine | cst.SimpleStatementSuite, statement: cst.BaseSmallStatement
) -> Edit:
    """`a; b; c` without one of them, and without the semicolon that joined it."""
    statements = list(line.body)
    index = next(i for i, other in enumerate(statements) if other is statement)
    if index + 1 < len(statements):
        start, _ = source.span(statement)
        end, _ = source.span(statements[index + 1])
    else:
        _, start = source.span(statements[index - 1])
        _, end = source.span(statement)
    return source.document.edit(start, end, "")


def _beginning_of(source: Source, statement: cst.CSTNode) -> cst.CSTNode:
    """The node that a statement begins with: its first decorator, or the `if` that it is a branch of."""
    above = source.parent(statement)
    while isinstance(statement, cst.If) and isinstance(above, cst.If):
        if statement is not above.orelse:
            break
        statement, above = above, source.parent(above)
    if isinstance(statement, cst.FunctionDef | cst.ClassDef) and statement.decorators:
        return statement.decorators[0]
    return statement


def _joins_words(left: str, right: str) -> bool:
    return all(character.isalnum() or character == "_" for character in (left, right) if character) and bool(
        left and right
    )


def _whole_line(source: Source, start: int, end: int) -> tuple[int, int]:
    """From the line's first column to the next line's; of a last line without newline, from the line before's end."""
    text = source.text
    first = source.document.line_starts[source.document.row_of(start) - 1]
    last = _end_of_line(source, end)
    if last == len(text):
        first -= text.endswith("\r\n", 0, first) + (first > 0)
        return max(first, 0), last
    return first, last + (2 if text.startswith("\r\n", last) else 1)


def _end_of_line(source: Source, offset: int) -> int:
    text = source.text
    ends = [position for mark in "\r\n" if (position := text.find(mark, offset)) >= 0]
    return min(ends, default=len(text))


def _indent_of(source: Source, offset: int) -> str:
    """The white space between the line's first column and `offset`."""
    first = source.document.line_starts[source.document.row_of(offset) - 1]
    before = source.text[first:offset]
    return before[: len(before) - len(before.lstrip(" \t\f"))]


def _lines(source: Source, code: str, indent: str) -> str:
    first, *others = code.split("\n")
    return source.module.default_newline.join([first, *(indent + line if line else "" for line in others)])
