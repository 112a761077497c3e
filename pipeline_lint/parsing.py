"""From a document to a source, whatever the document holds: errors with a place, and no crash on deep nesting.

LibCST's parser recurses natively, 5 kB of stack a nested parenthesis and 1 kB a term of a sum, and a stack overflow
there kills the process. So parsing, and whatever walks a tree afterwards, runs in a thread with room for any program
that Python itself would compile (`with_deep_stack`), and a file that looks deeper than that is given to Python's own
parser first, which refuses what it would not compile.
"""

from __future__ import annotations

import ast
import re
import sys
import threading
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import libcst as cst

from pipeline_lint.diagnostic import Location
from pipeline_lint.document import Document
from pipeline_lint.source import Source

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")

_STACK_BYTES = 512 << 20
_RECURSION_LIMIT = 1_000_000
_DEEPEST_BRACKETS = 1000
"""Brackets nested deeper than this are looked at twice. CPython compiles 200."""
_LARGE_CHARACTERS = 1_000_000
_BRACKET = re.compile(r"[()\[\]{}]")


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
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise UnparsableSource("source code cannot contain null bytes", Location(row, 1))
    if _looks_deep(text):
        _refuse_what_python_refuses(text)
    try:
        return Source(document, cst.parse_module(text))
    except cst.ParserSyntaxError as error:
        _refuse_what_python_refuses(text)
        raise UnparsableSource(error.message, Location(error.raw_line, error.raw_column + 1)) from None
    except RecursionError:
        raise UnparsableSource("nested too deeply to be analysed", Location(1, 1)) from None


def with_deep_stack(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Calls `function` in a thread whose stack holds the deepest program that Python compiles.

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


def looks_compilable(text: str) -> bool:
    """Whether the running Python compiles the text: ten times cheaper than parsing it, for files no rule looks at."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<unknown>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _looks_deep(text: str) -> bool:
    if len(text) > _LARGE_CHARACTERS:
        return True
    if text.count("(") + text.count("[") + text.count("{") < _DEEPEST_BRACKETS:
        return False
    depth = 0
    for match in _BRACKET.finditer(text):
        depth += 1 if match.group() in "([{" else -1
        if depth > _DEEPEST_BRACKETS:
            return True
    return False


def _refuse_what_python_refuses(text: str) -> None:
    """Raises `UnparsableSource` where the running Python's parser finds an error.

    An older Python refuses newer syntax, which is why LibCST is asked first.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        location = Location(max(error.lineno or 1, 1), max(error.offset or 1, 1))
        raise UnparsableSource(error.msg, location) from None
    except (RecursionError, MemoryError, ValueError):
        raise UnparsableSource("nested too deeply to be analysed", Location(1, 1)) from None
