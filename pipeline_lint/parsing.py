"""From a document to a source, whatever the document holds: errors with a place, no crash and no hang.

What is too large for LibCST's parser is refused before it gets there (`nesting.py`). What remains still nests thousands
deep, in the parser's native stack and in the calls of whatever walks a tree afterwards, so all of that runs in a thread
with room for it (`with_deep_stack`).
"""

from __future__ import annotations

import ast
import gc
import sys
import threading
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import libcst as cst

from pipeline_lint.diagnostic import Location
from pipeline_lint.document import Document
from pipeline_lint.nesting import find_excess
from pipeline_lint.source import Source

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")

_STACK_BYTES = 512 << 20
_RECURSION_LIMIT = 200_000
"""Fifty calls for each of the deepest levels; their frames fit into the stack also where they lie on it."""


class UnparsableSource(Exception):
    """The text is not Python."""

    def __init__(self, reason: str, location: Location) -> None:
        super().__init__(reason)
        self.reason = reason
        self.location = location


def parse(document: Document) -> Source:
    """Parses and walks a document.

    Raises `UnparsableSource` with the place that Python's own parser names, which is better than LibCST's.
    """
    text = document.text
    null = text.find("\0")
    if null >= 0:
        raise _unparsable(document, "source code cannot contain null bytes", null)
    excess = find_excess(text)
    if excess is not None:
        raise _unparsable(document, excess.reason, excess.offset)
    try:
        return Source(document, cst.parse_module(text))
    except cst.ParserSyntaxError as error:
        _refuse_what_python_refuses(document)
        reason = f"Python, but not understood by LibCST: {error.message}"
        raise UnparsableSource(reason, _within(document, error.raw_line, error.raw_column + 1)) from None
    except UnicodeEncodeError as error:
        raise _unparsable(document, "half a character (a lone surrogate), which is not text", error.start) from None
    except RecursionError:
        raise UnparsableSource("nested too deeply to be analyzed", Location(1, 1)) from None


def with_deep_stack(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Calls `function` in a thread whose stack holds the deepest program that is parsed.

    The memory is reserved, not used, until something recurses that far.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(function(*args, **kwargs))
        except BaseException as error:
            errors.append(error)

    old_limit = sys.getrecursionlimit()
    old_size = threading.stack_size(_STACK_BYTES)
    try:
        sys.setrecursionlimit(max(old_limit, _RECURSION_LIMIT))
        # A daemon, so that Ctrl-C in the waiting main thread ends the program at once.
        thread = threading.Thread(target=run, name="pipeline-lint", daemon=True)
        thread.start()
    finally:
        threading.stack_size(old_size)
    try:
        thread.join()
    finally:
        sys.setrecursionlimit(old_limit)
    if errors:
        raise errors[0]
    return results[0]


def without_collector(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Calls `function` without garbage collections: while trees are built, nodes are many and all of them alive."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return function(*args, **kwargs)
    finally:
        if was_enabled:
            gc.enable()


def looks_compilable(text: str) -> bool:
    """Whether the running Python compiles the text: ten times cheaper than parsing it, for files no rule looks at."""
    if find_excess(text) is not None:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<unknown>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _refuse_what_python_refuses(document: Document) -> None:
    """Raises `UnparsableSource` where the running Python's parser finds an error.

    An older Python refuses newer syntax, which is why LibCST is asked first.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(document.text)
    except SyntaxError as error:
        raise UnparsableSource(error.msg, _within(document, error.lineno or 1, error.offset or 1)) from None
    except (RecursionError, MemoryError, ValueError):
        raise UnparsableSource("nested too deeply to be analyzed", Location(1, 1)) from None


def _unparsable(document: Document, reason: str, offset: int) -> UnparsableSource:
    row = document.row_of(offset)
    return UnparsableSource(reason, Location(row, offset - document.line_starts[row - 1] + 1))


def _within(document: Document, row: int, column: int) -> Location:
    """The place, or the nearest that the text has: parsers name the row after the last, or a column after its end."""
    row = min(max(row, 1), len(document.line_starts))
    return Location(row, min(max(column, 1), len(document.line(row)) + 1))
