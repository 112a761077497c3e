"""What a fix changes, as far as the source lines that came with the finding can show it."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline_lint.diagnostic import Edit, Excerpt, Place
from pipeline_lint.reporters.parts.cells import visible, window
from pipeline_lint.reporters.parts.excerpt import Frame

_MOST_LINES = 16
_MOST_PLACES = 4


@dataclass(frozen=True, slots=True)
class _Change:
    """Lines that give way to others."""

    row: int
    """Of the first old line in the file as it is; of the line that the new ones come before, where none is old."""
    new_row: int
    """Of the first new line, if nothing above these edits changed."""
    old: Sequence[str]
    new: Sequence[str]


def preview_lines(place: Place, edits: Sequence[Edit], frame: Frame) -> Iterator[str]:
    """The changed lines near the finding, then where else the fix changes something."""
    here: list[Edit] = []
    hidden: list[Edit] = []
    for edit in edits:
        (here if (edit.path, edit.cell) == (place.path, place.cell) else hidden).append(edit)
    shown: list[str] = []
    added_before = last_row = 0
    for group in _by_rows(here):
        changes = _changes(place.excerpt, group)
        if not changes:
            hidden.extend(group)
        for change in changes:
            if shown and change.row > last_row + 1:
                shown.append(frame.line("..."))
            shown.extend(_change_lines(change, added_before, frame))
            last_row = change.row + len(change.old)
        added_before += sum(
            _normal(edit.text).count("\n") - (edit.end_location.row - edit.location.row) for edit in group
        )
    if shown:
        yield frame.line()
        yield from _shortened(shown, frame)
        yield frame.line()
    if hidden:
        label = frame.palette.paint("note", "also changes:" if shown else "changes:")
        yield f"{label} {_places(hidden)}"


def _by_rows(edits: Iterable[Edit]) -> Iterator[list[Edit]]:
    """Edits in the order of the text, those that share a row together."""
    group: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if group and edit.location.row > group[-1].end_location.row:
            yield group
            group = []
        group.append(edit)
    if group:
        yield group


def _changes(excerpt: Excerpt | None, group: Sequence[Edit]) -> list[_Change]:
    """What the edits do to the rows that they touch; nothing where the excerpt does not have these."""
    first, last = group[0].location.row, max(edit.end_location.row for edit in group)
    if excerpt is None or first < excerpt.first_row:
        return _inserted(group)
    rows = excerpt.lines[first - excerpt.first_row : last + 1 - excerpt.first_row]
    if len(rows) != last + 1 - first:
        return _inserted(group)
    text = "\n".join(rows)
    starts = list(itertools.accumulate((len(row) + 1 for row in rows), initial=0))
    pieces = []
    done = 0
    for edit in group:
        start = starts[edit.location.row - first] + edit.location.column - 1
        pieces += [text[done:start], _normal(edit.text)]
        done = starts[edit.end_location.row - first] + edit.end_location.column - 1
    pieces.append(text[done:])
    new = "".join(pieces).split("\n")
    return _differences(first, rows, new)


def _inserted(group: Sequence[Edit]) -> list[_Change]:
    """Whole lines that are added where no source line is at hand, in the first column or behind the indentation."""
    edit = group[0]
    *lines, last = _normal(edit.text).split("\n")
    if len(group) > 1 or edit.start != edit.end or not lines:
        return []
    if last.strip() or len(last) != edit.location.column - 1:
        return []
    return [_Change(edit.location.row, edit.location.row, (), [last + lines[0], *lines[1:]])]


def _differences(first: int, old: Sequence[str], new: Sequence[str]) -> list[_Change]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return [
        _Change(first + old_start, first + new_start, old[old_start:old_end], new[new_start:new_end])
        for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes()
        if tag != "equal"
    ]


def _change_lines(change: _Change, added_before: int, frame: Frame) -> Iterator[str]:
    palette = frame.palette
    room = frame.room - 2
    for index, line in enumerate(change.old):
        text = f"- {_around_difference(line, change.new, index, room)}".rstrip()
        yield _marked(frame, palette.paint("old", text), "")
    for index, line in enumerate(change.new):
        text = f"+ {_around_difference(line, change.old, index, room)}".rstrip()
        yield _marked(frame, palette.paint("new", text), str(change.new_row + added_before + index))


def _marked(frame: Frame, text: str, row: str) -> str:
    number = frame.palette.paint("frame", f"{row:>{frame.digits}}")
    return f"{number} {text}"


def _around_difference(line: str, others: Sequence[str], index: int, room: int) -> str:
    """The line, cut so that where it differs from the one it replaces, or is replaced by, can be seen."""
    other = others[index] if index < len(others) else ""
    same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(line, other, strict=False)))
    return window(line, same, same, room).text


def _shortened(lines: Sequence[str], frame: Frame) -> Iterator[str]:
    if len(lines) <= _MOST_LINES:
        yield from lines
        return
    kept = _MOST_LINES - 1
    yield from lines[:kept]
    yield f"{' ' * frame.digits} ... {len(lines) - kept} more lines"


def _places(edits: Iterable[Edit]) -> str:
    rows = list(dict.fromkeys(_place(edit) for edit in edits))
    left_out = len(rows) - _MOST_PLACES
    if left_out <= 1:
        return ", ".join(rows)
    return f"{', '.join(rows[:_MOST_PLACES])} and {left_out} more places"


def _place(edit: Edit) -> str:
    cell = f":cell {edit.cell}" if edit.cell is not None else ""
    return f"{visible(edit.path)}{cell}:{edit.location.row}"


def _normal(text: str) -> str:
    """A replacement with the line endings that an excerpt's lines were split at."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
