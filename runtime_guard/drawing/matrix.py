"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runtime_guard.drawing.canvas import BLUE, FAINT, GREY, INK, RED, WHITE, Canvas, blend, fitted, text_width

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_LABELLED = 40
_MAX_COUNTED = 24


def draw_confusion(counts: Sequence[Sequence[float]], names: Sequence[str], title: str) -> NDArray[Any]:
    """Rows are true classes, columns predicted ones: blue where they agree, red where they do not; the darker, the
    larger a part of the row. Up to 24 classes have their counts written in them, up to 40 their names beside them."""
    num = len(counts)
    side = max(2, min(64, 560 // num)) if num > 3 else 96
    is_labelled = num <= _MAX_LABELLED
    size = max(9, min(13, side - 3))
    margin = min(150, max(map(text_width, names), default=0)) + 12 if is_labelled else 20
    left, top = int(margin) + 34, 64
    width = left + max(side * num + 84, int(text_width(title, 16)) + 24)
    canvas = Canvas(width, top + side * num + int(margin) + 44)
    canvas.text(left, 14, title, size=16)
    canvas.upright(16, top + side * num / 2, "true class", colour=GREY)
    canvas.text(left + side * num / 2, canvas.height - 14, "predicted class", colour=GREY, anchor="mm")
    if num <= _MAX_COUNTED:
        canvas.text(left + side * num + 10, top - 8, "recall", size=12, colour=GREY, anchor="ls")
    for row, line in enumerate(counts):
        total = sum(line)
        y = top + row * side
        for column, count in enumerate(line):
            x = left + column * side
            part = count / total if total else 0.0
            # The root makes a few confusions among thousands visible.
            colour = blend(WHITE, BLUE if row == column else RED, part**0.6 * 0.92)
            canvas.box((x, y, x + side, y + side), fill=colour)
            if num <= _MAX_COUNTED and count:
                _write_count(canvas, (x + side / 2, y + side / 2), side, count, is_dark=part > 0.4)
        if is_labelled:
            canvas.text(left - 8, y + side / 2, fitted(names[row], margin, size), size=size, anchor="rm")
            below = top + side * num + 8
            canvas.upright(left + (row + 0.5) * side, below, fitted(names[row], margin, size), size=size, is_below=True)
        if num <= _MAX_COUNTED:
            recall = f"{line[row] / total:.1%}" if total else "–"
            canvas.text(left + side * num + 10, y + side / 2, recall, size=12, colour=INK, anchor="lm")
    if num <= _MAX_LABELLED:
        for index in range(num + 1):
            canvas.line([(left + index * side, top), (left + index * side, top + side * num)], colour=FAINT, width=0.5)
            canvas.line([(left, top + index * side), (left + side * num, top + index * side)], colour=FAINT, width=0.5)
    canvas.box((left, top, left + side * num, top + side * num), outline=GREY, width=0.5)
    return canvas.pixels()


def _write_count(canvas: Canvas, middle: tuple[float, float], side: int, count: float, *, is_dark: bool) -> None:
    text = f"{int(count)}" if count < 1e4 else f"{count / 1e3:.3g}k" if count < 1e6 else f"{count / 1e6:.3g}M"
    size = next((s for s in (13, 11, 9, 8) if text_width(text, s) <= side - 3), None)
    if size is not None:
        canvas.text(*middle, text, size=size, colour=WHITE if is_dark else INK, anchor="mm")
