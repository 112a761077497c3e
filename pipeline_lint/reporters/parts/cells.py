"""Text as a terminal shows it: how wide each character is, and what stands for one that must not be printed."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

TAB_WIDTH = 4

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_MARK = "…"
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_WITHOUT_WIDTH = frozenset({"Mn", "Me", "Cf"})
_TURNS_TEXT_AROUND = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Shown as they are, these make a line read otherwise than Python reads it."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of a line that fits, and the columns (from 0, the end excluded) of the characters asked about."""

    text: str
    start: int
    end: int


def visible(text: str) -> str:
    """The text on one line, with stand-ins for characters that would steer the terminal."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(" " if character == "\t" else _cell(character)[0] for character in text)


def window(line: str, start: int, end: int, width: int) -> Window:
    """At most `width` columns of `line` around its characters `start` to `end`, marked where it is cut."""
    # A minified line can have a million characters; those that cannot be shown are not measured.
    first = max(0, start - 2 * width)
    last = min(len(line), start + 4 * width)
    cells = _cells(line[first:last])
    columns = _columns(cells)
    total = columns[-1]
    left = columns[min(start - first, len(cells))]
    right = max(left, columns[min(max(end - first, 0), len(cells))])
    if first == 0 and last == len(line) and total <= width:
        return Window("".join(text for text, _ in cells), left, right)
    return _cropped(cells, left, right, width, cut=(first > 0, last < len(line)))


def _cropped(cells: list[tuple[str, int]], left: int, right: int, width: int, *, cut: tuple[bool, bool]) -> Window:
    """The span in the middle of the window, or at its start where it is longer than that.

    `cut` says whether characters before and after these have been left out already.
    """
    cut_before, cut_after = cut
    total = sum(size for _, size in cells)
    offset = 0
    if cut_before or right > width - 1:
        room = max(1, width - 2)
        # A caret can stand after the last character, so the line counts as one column longer.
        offset = max(0, min(left - max(0, room - (right - left)) // 2, total + 2 - width))
    opening = _MARK if offset or cut_before else ""
    room = max(1, width - len(opening))
    closing = _MARK if cut_after or total - offset > room else ""
    room -= len(closing)
    shift = len(opening) - offset
    end = max(left, min(right, offset + room))
    return Window(f"{opening}{_slice(cells, offset, offset + room)}{closing}", left + shift, end + shift)


def _slice(cells: list[tuple[str, int]], left: int, right: int) -> str:
    """The columns `left` to `right`; half of a wide character becomes a space, so that carets stay aligned."""
    pieces = []
    column = 0
    for text, size in cells:
        if left <= column and column + size <= right and (size or column > left):
            pieces.append(text)
        else:
            pieces.append(" " * max(0, min(column + size, right) - max(column, left)))
        column += size
    return "".join(pieces)


def _cells(line: str) -> list[tuple[str, int]]:
    """Each character as it is shown, and the columns that it takes."""
    cells = []
    column = 0
    for character in line:
        size = TAB_WIDTH - column % TAB_WIDTH
        cell = (" " * size, size) if character == "\t" else _cell(character)
        cells.append(cell)
        column += cell[1]
    return cells


def _columns(cells: list[tuple[str, int]]) -> list[int]:
    """The column at which each cell begins, and the one after the last."""
    columns = [0]
    for _, size in cells:
        columns.append(columns[-1] + size)
    return columns


def _cell(character: str) -> tuple[str, int]:
    if " " <= character <= "~":
        return character, 1
    if character < " ":
        return chr(0x2400 + ord(character)), 1
    category = unicodedata.category(character)
    if category in _UNPRINTABLE or character in _TURNS_TEXT_AROUND:
        return _REPLACEMENT, 1
    # The second and third parts of a Hangul syllable join the first.
    if category in _WITHOUT_WIDTH or "\u1160" <= character <= "\u11ff":
        return character, 0
    return character, 2 if unicodedata.east_asian_width(character) in "WF" else 1
