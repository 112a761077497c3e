"""Edits of a notebook cell as splices of its JSON: everything outside the edited characters stays as it is written.

Notebooks keep a source as one string or as one string for each line; the latter are joined and split so that an edited
source is again one string for each line, with the separator that the file uses between them.
"""

from __future__ import annotations

import bisect
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline_lint.document import UnencodableEdit
from pipeline_lint.documents.notebook_json import CellSource

_ESCAPED_LETTER = re.compile(r"\\u(?!00[01])")
"""Shows that a file escapes letters which could stand as they are; control characters have to be escaped."""


class CellEdit(NamedTuple):
    """Replaces characters of a cell's source."""

    start: int
    end: int
    text: str


class Splice(NamedTuple):
    """Replaces characters of the JSON."""

    start: int
    end: int
    text: str


def splice_source(json_text: str, cell: CellSource, edits: Sequence[CellEdit], *, separator: str) -> list[Splice]:
    """The splices that make `edits`, which are in order and do not overlap.

    `separator` stands between the lines of a source, from the quote that ends one to the quote that begins the next.
    """
    if not cell.literals:
        raise UnencodableEdit(f"cell {cell.number} is empty: there is nothing to edit")
    ascii_only = json_text.isascii() and _ESCAPED_LETTER.search(json_text) is not None
    if not cell.is_list:
        (literal,) = cell.literals
        return [
            Splice(literal.raw_offset(json_text, start), literal.raw_offset(json_text, end), _escaped(text, ascii_only))
            for start, end, text in edits
        ]
    lines = _Lines(json_text, cell, separator, ascii_only)
    return [lines.splice(first, last, group) for first, last, group in lines.groups(edits)]


class _Lines:
    """A source that is a list of strings."""

    def __init__(self, json_text: str, cell: CellSource, separator: str, ascii_only: bool) -> None:
        self._json = json_text
        self._literals = cell.literals
        self._separator = separator
        self._ascii_only = ascii_only
        self._starts = [0, *itertools.accumulate(len(literal.value) for literal in cell.literals)]

    def groups(self, edits: Sequence[CellEdit]) -> Iterator[tuple[int, int, list[CellEdit]]]:
        """Edits that touch the same strings, with the first and the last of these strings."""
        group: list[CellEdit] = []
        first = last = -1
        for edit in edits:
            edit_first, edit_last = self._index_of(edit.start), self._last_touched(edit)
            if group and edit_first <= last:
                group.append(edit)
                last = max(last, edit_last)
                continue
            if group:
                yield first, last, group
            first, last, group = edit_first, edit_last, [edit]
        if group:
            yield first, last, group

    def splice(self, first: int, last: int, edits: Sequence[CellEdit]) -> Splice:
        """The strings `first` to `last` written anew."""
        lines = _LineWriter()
        done = self._starts[first]
        for edit in edits:
            self._keep(lines, done, edit.start)
            for part in edit.text.split("\n")[:-1]:
                lines.write(_escaped(part + "\n", self._ascii_only))
                lines.end()
            lines.write(_escaped(edit.text.rpartition("\n")[2], self._ascii_only))
            done = edit.end
        self._keep(lines, done, self._starts[last + 1])
        written = lines.finish()
        if written:
            return Splice(self._literals[first].start, self._literals[last].end, self._separator.join(written))
        if last + 1 < len(self._literals):
            return Splice(self._literals[first].start, self._literals[last + 1].start, "")
        if first > 0:
            return Splice(self._literals[first - 1].end, self._literals[last].end, "")
        return Splice(self._literals[first].start, self._literals[last].end, "")

    def _keep(self, lines: _LineWriter, start: int, end: int) -> None:
        """Copies characters of the source as they are written, each string a line of its own."""
        while start < end:
            index = self._index_of(start)
            literal, offset = self._literals[index], self._starts[index]
            stop = min(end, self._starts[index + 1])
            first = literal.raw_offset(self._json, start - offset)
            lines.write(self._json[first : literal.raw_offset(self._json, stop - offset)])
            if stop == self._starts[index + 1] and (stop < end or literal.value.endswith("\n")):
                lines.end()
            start = stop

    def _last_touched(self, edit: CellEdit) -> int:
        """The last string to write anew: the one after, too, where the edit takes the end of a line away."""
        index = self._index_of(max(edit.end - 1, edit.start))
        joins = edit.end == self._starts[index + 1] and edit.end > edit.start and not edit.text.endswith("\n")
        is_whole = edit.text == "" and edit.start in self._starts
        return min(index + 1, len(self._literals) - 1) if joins and not is_whole else index

    def _index_of(self, offset: int) -> int:
        """The string that holds a character; empty strings hold none, and the end belongs to the last."""
        return min(bisect.bisect_right(self._starts, offset) - 1, len(self._literals) - 1)


class _LineWriter:
    """Collects what is written and cuts it into lines; a line of nothing is none."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []

    def write(self, raw: str) -> None:
        if raw:
            self._line.append(raw)

    def end(self) -> None:
        if self._line:
            self._lines.append("".join(self._line))
            self._line.clear()

    def finish(self) -> list[str]:
        self.end()
        return self._lines


def _escaped(text: str, ascii_only: bool) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]
