"""The text of a document as an editor has it: positions in the units that the editor counts, edits as small as can be.

The checker counts characters (code points); editors count UTF-16 code units unless another unit was agreed on.
"""

from __future__ import annotations

import bisect
import difflib
import re
from collections.abc import Iterator

from lsprotocol import types

from pipeline_lint.diagnostic import Location

BYTE_ORDER_MARK = "\ufeff"

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def num_units(text: str, encoding: str) -> int:
    """Length of a text in the units of a position encoding: `utf-8`, `utf-16` or `utf-32`."""
    if encoding == types.PositionEncodingKind.Utf32 or text.isascii():
        return len(text)
    if encoding == types.PositionEncodingKind.Utf8:
        return len(text.encode("utf-8", "surrogatepass"))
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


class EditorText:
    """The text of one version of a document, without its byte order mark."""

    def __init__(self, text: str, encoding: str, *, has_mark: bool = False) -> None:
        self.text = text
        self._encoding = encoding
        self._lines = _LINE.findall(text)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))
        self._has_mark = has_mark

    def line(self, row: int) -> str:
        """A line, counted from 1, without its ending; empty past the end."""
        return self._lines[row - 1].rstrip("\r\n") if row <= len(self._lines) else ""

    def position(self, location: Location) -> types.Position:
        """Where a place of the checker is for the editor."""
        return self._position(location.row - 1, self.line(location.row)[: location.column - 1])

    def edits_to(self, after: str) -> list[types.TextEdit]:
        """The edits that turn this text into another one, leaving alone what stays, and so cursors and folds there."""
        edits = []
        for start, end, text in _changes(self._lines, _LINE.findall(after)):
            first, last = self._starts[start], self._starts[end]
            before, kept = _common_ends(self.text[first:last], text)
            edit_range = types.Range(self._position_at(first + before), self._position_at(last - kept))
            edits.append(types.TextEdit(edit_range, text[before : len(text) - kept]))
        return edits

    def _position_at(self, offset: int) -> types.Position:
        index = bisect.bisect_right(self._starts, offset) - 1
        if index == len(self._lines) and index and not self._lines[-1].endswith(("\r", "\n")):
            index -= 1
        return self._position(index, self.text[self._starts[index] : offset])

    def _position(self, index: int, before: str) -> types.Position:
        mark = BYTE_ORDER_MARK if self._has_mark and index == 0 else ""
        return types.Position(index, num_units(mark + before, self._encoding))


def _changes(before: list[str], after: list[str]) -> Iterator[tuple[int, int, str]]:
    """Ranges of lines to replace, each with its new text."""
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, before, after).get_opcodes():
        if tag != "equal":
            yield i1, i2, "".join(after[j1:j2])


def _common_ends(before: str, after: str) -> tuple[int, int]:
    """Lengths of what two texts begin and end with alike; no line ending is cut in two."""
    limit = min(len(before), len(after))
    start = next((i for i in range(limit) if before[i] != after[i]), limit)
    if before[:start].endswith("\r"):
        start -= 1
    limit -= start
    end = next((i for i in range(1, limit + 1) if before[-i] != after[-i]), limit + 1) - 1
    if before[len(before) - end :].startswith("\n") and "\r" in (before[-end - 1 : -end], after[-end - 1 : -end]):
        end -= 1
    return start, end
