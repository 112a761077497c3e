"""The source lines of a finding, numbered, with carets under what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline_lint.diagnostic import Edit, Excerpt, Location, Place
from pipeline_lint.reporters.parts.cells import visible, window
from pipeline_lint.reporters.parts.palette import Palette

_MOST_SPAN_ROWS = 8
_FIRST_SPAN_ROWS = 4
_LAST_SPAN_ROWS = 2
_LEAST_WIDTH = 20


@dataclass(frozen=True, slots=True)
class Frame:
    """The column of line numbers, and how much room is right of it."""

    digits: int
    width: int
    palette: Palette

    def line(self, text: str = "", *, row: int | str = "") -> str:
        """A line of code, or of what stands below it, behind its number."""
        edge = self.palette.paint("frame", f"{row:>{self.digits}} |")
        return f"{edge} {text}" if text.strip() else edge

    def arrow(self, place: Place) -> str:
        """The line that says where the code below it is."""
        return " " * self.digits + self.palette.paint("frame", "-->") + " " + visible(str(place))

    def caret(self, text: str) -> str:
        """What points at the span."""
        return self.palette.paint("code", text)

    @property
    def room(self) -> int:
        """Columns for code."""
        return max(_LEAST_WIDTH, self.width - self.digits - 3)


def frame_of(place: Place, edits: Sequence[Edit], *, width: int, palette: Palette) -> Frame:
    """A frame as wide as the largest row number needs that is shown of `place` and of the `edits` around it."""
    excerpt = place.excerpt
    rows = [place.location.row, 0 if excerpt is None else excerpt.first_row + len(excerpt.lines) - 1]
    rows += [edit.end_location.row + edit.text.count("\n") for edit in edits if edit.path == place.path]
    return Frame(len(str(max(rows))), width, palette)


def excerpt_lines(place: Place, frame: Frame) -> Iterator[str]:
    """The lines around a place as they are shown; none where the place brings no excerpt."""
    excerpt = place.excerpt
    start, end = place.location, _last_character(place)
    if excerpt is None or not 0 <= start.row - excerpt.first_row < len(excerpt.lines):
        return
    yield frame.line()
    excerpt = _without_blank_edges(excerpt, start.row, end.row)
    if end.row == start.row:
        yield from _around_one_row(excerpt, start, end, frame)
    else:
        yield from _around_several_rows(excerpt, start, end, frame)


def _last_character(place: Place) -> Location:
    """The end of the span, in the row that its last character is in."""
    start, end = place.location, place.end_location
    excerpt = place.excerpt
    if end < start:
        return start
    if excerpt is not None and end.column == 1 and end.row > start.row:
        index = end.row - 1 - excerpt.first_row
        length = len(excerpt.lines[index]) if 0 <= index < len(excerpt.lines) else 0
        return Location(end.row - 1, max(length + 1, start.column if end.row - 1 == start.row else 1))
    return end


def _without_blank_edges(excerpt: Excerpt, first: int, last: int) -> Excerpt:
    """The excerpt without empty lines at its ends, of which the rows `first` to `last` are never dropped."""
    start, stop = 0, len(excerpt.lines)
    while excerpt.first_row + start < first and not excerpt.lines[start].strip():
        start += 1
    while excerpt.first_row + stop - 1 > last and not excerpt.lines[stop - 1].strip():
        stop -= 1
    return Excerpt(excerpt.first_row + start, excerpt.lines[start:stop])


def _around_one_row(excerpt: Excerpt, start: Location, end: Location, frame: Frame) -> Iterator[str]:
    for row, line in enumerate(excerpt.lines, excerpt.first_row):
        if row != start.row:
            yield frame.line(window(line, 0, 0, frame.room).text.rstrip(), row=row)
            continue
        shown = window(line, start.column - 1, end.column - 1, frame.room)
        yield frame.line(shown.text.rstrip(), row=row)
        carets = "^" * max(1, shown.end - shown.start)
        yield frame.line(" " * shown.start + frame.caret(carets))


def _around_several_rows(excerpt: Excerpt, start: Location, end: Location, frame: Frame) -> Iterator[str]:
    """The span has a line drawn along its left side, from its first character to its last."""
    caret = frame.caret
    room = frame.room - 2
    last_row = excerpt.first_row + len(excerpt.lines) - 1
    left_out = _left_out(start.row, end.row, last_row)
    for row, line in enumerate(excerpt.lines, excerpt.first_row):
        if row in left_out:
            if row == left_out.start:
                yield frame.line(caret("|") + " ...")
            continue
        if row < start.row or row > end.row:
            if row < start.row or end.row <= last_row:
                yield frame.line(f"  {window(line, 0, 0, room).text}".rstrip(), row=row)
        elif row == start.row:
            yield from _first_row(line, start, room, frame)
        elif row == end.row:
            shown = window(line, max(0, end.column - 2), end.column - 1, room)
            yield frame.line(f"{caret('|')} {shown.text}".rstrip(), row=row)
            yield frame.line(caret("|" + "_" * max(1, shown.end) + "^"))
        else:
            yield frame.line(f"{caret('|')} {window(line, 0, 0, room).text}".rstrip(), row=row)
    if end.row > last_row:
        yield frame.line(caret("|_") + f" up to row {end.row}, column {end.column - 1}")


def _first_row(line: str, start: Location, room: int, frame: Frame) -> Iterator[str]:
    caret = frame.caret
    if not line[: start.column - 1].strip():
        yield frame.line(f"{caret('/')} {window(line, 0, 0, room).text.rstrip()}", row=start.row)
        return
    shown = window(line, start.column - 1, start.column, room)
    yield frame.line(f"  {shown.text.rstrip()}", row=start.row)
    yield frame.line(" " + caret("_" * (shown.start + 1) + "^"))


def _left_out(first: int, last: int, last_shown: int) -> range:
    """Rows in the middle of a span that has too many."""
    if last - first + 1 <= _MOST_SPAN_ROWS and last <= last_shown:
        return range(0)
    until = last - _LAST_SPAN_ROWS + 1 if last <= last_shown else last_shown + 1
    return range(first + _FIRST_SPAN_ROWS, until)
