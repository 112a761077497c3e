"""A Jupyter notebook: its code cells as one text, and edits as splices of the JSON around them."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Sequence

from pipeline_lint.diagnostic import Edit, Location
from pipeline_lint.document import Document, UnencodableEdit, UnreadableDocument
from pipeline_lint.documents.magics import blank_magics
from pipeline_lint.documents.notebook_json import CellSource, read_sources
from pipeline_lint.documents.source_splice import CellEdit, splice_source


class Notebook(Document):
    """The code cells of a notebook of format 4, each ending in a newline, IPython's own syntax blanked out.

    Rows count within the cell that they stand in; cells that are no Python are left out and keep their numbers.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self._json = _decode(data)
        self._cells: list[CellSource] = []
        self._starts: list[int] = []
        shown: list[str] = []
        blanked: list[str] = []
        length = 0
        for cell in read_sources(self._json):
            code = blank_magics(cell.value)
            if code is None or not code.strip():
                continue
            ending = "" if code.endswith("\n") else "\n"
            self._cells.append(cell)
            self._starts.append(length)
            shown.append(cell.value + ending)
            blanked.append(code + ending)
            length += len(code) + len(ending)
        self._shown = "".join(shown)
        super().__init__(path, data, "".join(blanked))

    def location(self, offset: int) -> tuple[Location, int | None]:
        if not self._cells:
            return Location(1, 1), None
        return self._location_in(self._index_of(offset), offset), self._cells[self._index_of(offset)].number

    def end_location(self, start: int, end: int) -> Location:
        return self._location_in(self._index_of(start), end) if self._cells else Location(1, 1)

    def excerpt_rows(self, row: int) -> range:
        if not self._cells:
            return range(1, 2)
        index = self._index_of(self.line_starts[row - 1])
        return range(self._first_row(index), self.row_of(self._end_of(index)))

    def shown_line(self, row: int) -> str:
        starts = self.line_starts
        end = starts[row] if row < len(starts) else len(self.text)
        return self._shown[starts[row - 1] : end].rstrip("\r\n")

    def splice(self, edits: Sequence[Edit]) -> bytes:
        pieces: list[str] = []
        done = 0
        for index, group in itertools.groupby(edits, key=lambda edit: self._index_of(edit.start)):
            cell = self._cells[index]
            within = [self._within_cell(index, edit) for edit in group]
            for start, end, text in splice_source(self._json, cell, within, separator=self._separator_of(cell)):
                pieces += [self._json[done:start], text]
                done = end
        pieces.append(self._json[done:])
        try:
            return "".join(pieces).encode()
        except UnicodeEncodeError as error:
            raise UnencodableEdit("a replacement holds half a character, which UTF-8 has no bytes for") from error

    def _within_cell(self, index: int, edit: Edit) -> CellEdit:
        """The edit in offsets of the cell as the notebook has it, which may lack the final newline of the text."""
        start, end, text = edit.start - self._starts[index], edit.end - self._starts[index], edit.text
        last = len(self._cells[index].value)
        if edit.end > self._end_of(index):
            raise UnencodableEdit(f"an edit that spans more than cell {self._cells[index].number} cannot be applied")
        if self._shown[edit.start : edit.end] != self.text[edit.start : edit.end]:
            number = self._cells[index].number
            raise UnencodableEdit(
                f"an edit of what is not Python but IPython's own, in cell {number}, cannot be applied"
            )
        if end > last:
            # It reaches beyond the final newline that only the text has, so what follows that is the end of the cell.
            if start > last:
                start, text = last, self._newline + text
            end, text = last, re.sub(r"\r?\n\Z", "", text)
        return CellEdit(start, end, text)

    def _separator_of(self, cell: CellSource) -> str:
        """What stands between two lines of a cell's source, the quotes included: as in this cell or else another."""
        for other in (cell, *self._cells):
            if len(other.literals) > 1:
                return self._json[other.literals[0].end : other.literals[1].start]
        before = re.search(r"\n[ \t]*\Z", self._json[: cell.literals[0].start - 1]) if cell.literals else None
        return f'",{before[0]}"' if before else '", "'

    @property
    def _newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    def _index_of(self, offset: int) -> int:
        """Which of the cells a character lies in; the end of the text belongs to the last."""
        if not self._cells:
            raise UnencodableEdit("the notebook has no Python cell to edit")
        return max(bisect.bisect_right(self._starts, min(offset, max(len(self.text) - 1, 0))) - 1, 0)

    def _end_of(self, index: int) -> int:
        return self._starts[index + 1] if index + 1 < len(self._starts) else len(self.text)

    def _first_row(self, index: int) -> int:
        return self.row_of(self._starts[index])

    def _location_in(self, index: int, offset: int) -> Location:
        row = self.row_of(offset)
        return Location(row - self._first_row(index) + 1, offset - self.line_starts[row - 1] + 1)


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise UnreadableDocument(
            f"not utf-8: byte 0x{data[error.start]:02x} {error.reason}", row=row, column=column
        ) from error
