"""One file as bytes and as the text that is parsed: the only place that knows how the two correspond.

A document never changes a byte outside the edits it is given: an edit of the text becomes a splice of the bytes, so
encodings, byte order marks, line endings and a notebook's outputs survive untouched.
"""

from __future__ import annotations

import bisect
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence

from pipeline_lint.diagnostic import Edit, Excerpt, Location, Place

_CONTEXT_ROWS = 2
_LONGEST_EXCERPT_ROWS = 12
_LINE_END = re.compile(r"\r\n?|\n")


class UnreadableDocument(Exception):
    """The bytes are not a document of the kind that the file's name promises.

    `row` and `column` count from 1 and say where reading failed; 1, 1 where the whole file is at fault.
    """

    def __init__(self, reason: str, *, row: int = 1, column: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.location = Location(row, column)


class Document(ABC):
    """The text of a file, and the way back to its bytes."""

    def __init__(self, path: str, data: bytes, text: str) -> None:
        self.path = path
        self.data = data
        self.text = text
        self._line_starts: list[int] | None = None

    @abstractmethod
    def splice(self, edits: Sequence[Edit]) -> bytes:
        """The file's bytes with `edits` applied; they do not overlap and come in the order of the text.

        Raises `UnencodableEdit` when the file's encoding has no bytes for a replacement.
        """

    @property
    def line_starts(self) -> list[int]:
        """Offset of each line's first character. Lines end at \\n, \\r\\n or \\r, as Python's do; not at form feeds."""
        if self._line_starts is None:
            self._line_starts = _line_starts(self.text)
        return self._line_starts

    def row_of(self, offset: int) -> int:
        """Row, from 1, of a character of the text."""
        return bisect.bisect_right(self.line_starts, offset)

    def line(self, row: int) -> str:
        """A line of the text without its ending."""
        starts = self.line_starts
        end = starts[row] if row < len(starts) else len(self.text)
        return self.text[starts[row - 1] : end].rstrip("\r\n")

    def location(self, offset: int) -> tuple[Location, int | None]:
        """Row and column of a character, and the notebook cell that they count in."""
        row = self.row_of(offset)
        return Location(row, offset - self.line_starts[row - 1] + 1), None

    def end_location(self, start: int, end: int) -> Location:
        """Row and column of the end of a stretch, counted in the cell that the stretch begins in."""
        return self.location(end)[0]

    def excerpt_rows(self, row: int) -> range:
        """Rows of the text that may be shown around `row`: those of the same cell."""
        return range(1, len(self.line_starts) + 1)

    def shown_line(self, row: int) -> str:
        """A line as its author sees it, which in a notebook is not always the Python that is checked."""
        return self.line(row)

    def place(self, start: int, end: int, *, noqa_offset: int | None = None) -> Place:
        """The stretch from `start` to `end`, with the lines to show."""
        location, cell = self.location(start)
        end_location = self.end_location(start, end)
        noqa_row = location.row if noqa_offset is None else self.location(noqa_offset)[0].row
        first, last = self.row_of(start), self.row_of(end)
        allowed = self.excerpt_rows(first)
        shown = range(
            max(allowed.start, first - _CONTEXT_ROWS),
            min(allowed.stop, min(last, first + _LONGEST_EXCERPT_ROWS) + _CONTEXT_ROWS + 1),
        )
        excerpt = Excerpt(location.row - (first - shown.start), tuple(self.shown_line(row) for row in shown))
        return Place(self.path, start, end, location, end_location, noqa_row, cell, excerpt)

    def edit(self, start: int, end: int, text: str) -> Edit:
        """The replacement of a stretch of the text."""
        location, cell = self.location(start)
        return Edit(self.path, start, end, text, location, self.end_location(start, end), cell)


class UnencodableEdit(Exception):
    """A replacement has a character that the file's declared encoding cannot hold."""


def _line_starts(text: str) -> list[int]:
    starts = [0]
    find = text.find
    if "\r" not in text:
        position = find("\n")
        while position >= 0:
            starts.append(position + 1)
            position = find("\n", position + 1)
        return starts
    starts += [match.end() for match in _LINE_END.finditer(text)]
    return starts
