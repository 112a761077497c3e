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
    """Puts `code` where `node` stands, its own parentheses included."""
    start, end = source.span(node)
    return source.document.edit(start, end, code)


def insert_before(source: Source, statement: cst.CSTNode, code: str) -> Edit:
    """Adds lines of code before a statement, below its leading comments, at its indentation.

    `statement` stands in a block of its own line, see `Source.statement_of`.
    """
    start, _ = source.span(statement)
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


def _whole_line(source: Source, start: int, end: int) -> tuple[int, int]:
    """From the line's first column to the next line's, or of the last line of a file from the line before's end."""
    text = source.text
    first = source.document.line_starts[source.document.row_of(start) - 1]
    last = _end_of_line(source, end)
    if text.startswith("\r\n", last):
        return first, last + 2
    return first, min(last + 1, len(text))


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
    return (source.module.default_newline + indent).join(code.splitlines())
