"""Edits of many files while they are collected."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline_lint.diagnostic import Edit, Place
from pipeline_lint.refactor.format_strings import UNPLACED
from pipeline_lint.refactor.program import ModuleCode

LONGEST_LINE = 100
_INDENT = re.compile(r"[ \t]*")


class CannotRewrite(Exception):
    """Why a place cannot be rewritten, in words that follow its file and line."""


class Rewriting:
    """The edits of one fix."""

    def __init__(self) -> None:
        self._edits: dict[ModuleCode, list[tuple[int, int, str]]] = defaultdict(list)

    def replace(self, code: ModuleCode, start: int, end: int, text: str) -> None:
        if '"' in text and code.quote_around(start) == '"':
            text = text.replace('"', "'")
        edit = (start, end, text)
        if edit not in self._edits[code]:
            self._edits[code].append(edit)

    @contextmanager
    def undone_on_refusal(self) -> Iterator[None]:
        """Takes back what was collected within, where `CannotRewrite` ends it."""
        before = {code: len(edits) for code, edits in self._edits.items()}
        try:
            yield
        except CannotRewrite:
            for code, edits in self._edits.items():
                del edits[before.get(code, 0) :]
            raise

    def replace_node(self, code: ModuleCode, node: ast.AST, text: str) -> None:
        require_placed(node)
        self.replace(code, *code.span(node), text)

    def insert(self, code: ModuleCode, offset: int, text: str) -> None:
        self.replace(code, offset, offset, text)

    def wrap(self, code: ModuleCode, node: ast.AST, before: str, after: str) -> None:
        require_placed(node)
        start, end = code.span(node)
        if before:
            self.insert(code, start, before)
        self.insert(code, end, after)

    def after_statement(self, code: ModuleCode, statement: ast.stmt, lines: list[str]) -> None:
        """Adds statements behind one: on lines of their own, or on its line where others stand there, too."""
        if not lines:
            return
        _, end = code.span(statement)
        first = code.document.line_starts[statement.lineno - 1]
        start, _ = code.span(statement)
        line_end = end_of_line(code.text, end)
        rest = code.text[end:line_end].strip()
        if code.text[first:start].strip() or (rest and not rest.startswith("#")):
            self.insert(code, end, "; " + "; ".join(lines))
            return
        indent = code.text[first:start]
        newline = newline_of(code)
        self.insert(code, line_end, "".join(newline + indent + line for line in lines))

    def at_start(self, code: ModuleCode, body: list[ast.stmt], lines: list[str]) -> None:
        """Adds statements in front of those of a block."""
        if not lines:
            return
        start, _ = code.span(_first_of(body[0]))
        first = code.document.line_starts[_first_of(body[0]).lineno - 1]
        before = code.text[first:start]
        if before.strip():
            self.insert(code, start, "; ".join(lines) + "; ")
            return
        self.insert(code, start, "".join(line + newline_of(code) + before for line in lines))

    @property
    def codes(self) -> list[ModuleCode]:
        return [code for code, edits in self._edits.items() if edits]

    def edits(self) -> tuple[Edit, ...]:
        """All edits, by file and in the order of the text. Raises `CannotRewrite` where two are at the same place."""
        return tuple(self._all())

    def _all(self) -> Iterator[Edit]:
        for code, edits in sorted(self._edits.items(), key=lambda item: item[0].path):
            done = -1
            for start, end, text in sorted(edits, key=lambda edit: (edit[0], edit[1])):
                if start < done:
                    raise CannotRewrite(f"{code.path}:{code.document.row_of(start)} would have to change twice")
                done = max(done, end)
                yield code.document.edit(start, end, text)


def _first_of(statement: ast.stmt) -> ast.stmt | ast.expr:
    decorators: list[ast.expr] | None = getattr(statement, "decorator_list", None)
    return decorators[0] if decorators else statement


def require_placed(node: ast.AST) -> None:
    """Raises `CannotRewrite` for what stands in an f-string whose places are not known, and for what is not written."""
    if getattr(node, UNPLACED, False):
        is_handed = isinstance(node, ast.Constant)
        raise CannotRewrite(
            "a function of a library gets it" if is_handed else "it stands in an f-string that cannot be edited"
        )


def end_of_line(text: str, offset: int) -> int:
    """The offset of the newline that ends the line, or of the end of the text."""
    ends = [position for mark in "\r\n" if (position := text.find(mark, offset)) >= 0]
    return min(ends, default=len(text))


def newline_of(code: ModuleCode) -> str:
    """The newline that the file uses first."""
    match = re.search(r"\r\n?|\n", code.text)
    return match[0] if match else "\n"


def outer_span(code: ModuleCode, node: ast.AST) -> tuple[int, int]:
    """The node with the parentheses around it that belong to it alone."""
    start, end = code.span(node)
    text = code.text
    while True:
        left, right = start, end
        while left > 0 and text[left - 1] in " \t\r\n\\":
            left -= 1
        while right < len(text) and text[right] in " \t\r\n\\":
            right += 1
        if not (left > 0 and text[left - 1] == "(" and right < len(text) and text[right] == ")"):
            return start, end
        before = text[: left - 1].rstrip(" \t")[-1:]
        if before.isidentifier() or before in (")", "]") or before.isdigit():
            # The parentheses of a call, unless the word before them is a keyword.
            word = re.search(r"\w+$", text[: left - 1].rstrip(" \t"))
            if word is None or word[0] not in _KEYWORDS:
                return start, end
        start, end = left - 1, right + 1


_KEYWORDS = frozenset("return yield in not and or if else elif while assert await lambda is for from".split())


def place_of(code: ModuleCode, node: ast.AST) -> Place:
    """Where a node stands; of a long one the first row, and of one in an unusual f-string the start of its row."""
    start, end = (
        code.span(node) if not getattr(node, UNPLACED, False) else (code.offset(node.__dict__["lineno"], 0),) * 2
    )
    return code.document.place(start, min(end, end_of_line(code.text, start)) if end - start > 200 else end)
