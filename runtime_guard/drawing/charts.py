"""Curves between 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime_guard.drawing.canvas import BLUE, FAINT, GREY, INK, RED, SERIES, Canvas, Point, blend, fitted

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEFT, _TOP, _SIDE = 62, 48, 380


@dataclass(frozen=True, slots=True)
class Line:
    """A curve and what the legend says of it."""

    label: str
    points: Sequence[Point]


def draw_curves(lines: Sequence[Line], *, title: str, x_label: str, y_label: str) -> NDArray[Any]:
    """Over the unit square, with the diagonal that chance gives, and a legend beside it."""
    canvas = Canvas(_LEFT + _SIDE + 250, _TOP + _SIDE + 56)
    _frame(canvas, title, x_label, y_label)
    _dashed(canvas, (0, 0), (1, 1))
    for index, line in enumerate(lines):
        colour = SERIES[index % len(SERIES)]
        canvas.line([_at(*point) for point in line.points], colour=colour, width=2)
        y = _TOP + 12 + 22 * index
        canvas.line([(_LEFT + _SIDE + 18, y), (_LEFT + _SIDE + 40, y)], colour=colour, width=3)
        canvas.text(_LEFT + _SIDE + 48, y, fitted(line.label, 196), anchor="lm")
    return canvas.pixels()


def draw_calibration(
    bins: Sequence[tuple[float, float, float]], *, title: str, x_label: str, y_label: str, note: str
) -> NDArray[Any]:
    """What was predicted, what came true, and of how many, for each bin of equal width. Red is the gap between them;
    below it stands how many predictions there were."""
    below = 78
    canvas = Canvas(_LEFT + _SIDE + 190, _TOP + _SIDE + below + 56)
    _frame(canvas, title, "", y_label)
    num = len(bins)
    most = max((count for _, _, count in bins), default=0) or 1
    for index, (predicted, true, count) in enumerate(bins):
        if not count:
            continue
        left, right = (index + 0.08) / num, (index + 0.92) / num
        base, top = sorted((predicted, true))
        canvas.box((*_at(left, true), *_at(right, 0)), fill=blend((255, 255, 255), BLUE, 0.78))
        canvas.box((*_at(left, top), *_at(right, base)), fill=blend((255, 255, 255), RED, 0.45))
        canvas.line([_at(left, true), _at(right, true)], colour=BLUE, width=2)
        height = max(1.5, (below - 18) * count / most)
        floor = _TOP + _SIDE + below
        canvas.box((_at(left, 0)[0], floor - height, _at(right, 0)[0], floor), fill=blend((255, 255, 255), GREY, 0.7))
    _dashed(canvas, (0, 0), (1, 1))
    floor = _TOP + _SIDE + below
    canvas.line([(_LEFT, floor), (_LEFT + _SIDE, floor)], colour=GREY)
    canvas.text(_LEFT + _SIDE / 2, floor + 30, x_label, colour=GREY, anchor="mm")
    x = _LEFT + _SIDE + 18
    for index, (text, colour) in enumerate((("came true", BLUE), ("gap", RED), ("how many", GREY))):
        y = _TOP + 12 + 22 * index
        canvas.box((x, y - 6, x + 12, y + 6), fill=blend((255, 255, 255), colour, 0.7))
        canvas.text(x + 20, y, text, anchor="lm")
    for index, text in enumerate(note.splitlines()):
        canvas.text(x, _TOP + 12 + 22 * (3.5 + index), text, anchor="lm", colour=INK)
    return canvas.pixels()


def _at(x: float, y: float) -> Point:
    return _LEFT + x * _SIDE, _TOP + (1 - y) * _SIDE


def _frame(canvas: Canvas, title: str, x_label: str, y_label: str) -> None:
    canvas.text(_LEFT, 14, title, size=16)
    for index in range(6):
        value = index / 5
        canvas.line([_at(value, 0), _at(value, 1)], colour=FAINT)
        canvas.line([_at(0, value), _at(1, value)], colour=FAINT)
        canvas.text(*_at(value, -0.022), f"{value:.1f}", size=12, colour=GREY, anchor="mt")
        canvas.text(*_at(-0.018, value), f"{value:.1f}", size=12, colour=GREY, anchor="rm")
    canvas.line([_at(0, 1), _at(0, 0), _at(1, 0)], colour=GREY)
    canvas.text(_LEFT + _SIDE / 2, _TOP + _SIDE + 38, x_label, colour=GREY, anchor="mm")
    canvas.upright(16, _TOP + _SIDE / 2, y_label, colour=GREY)


def _dashed(canvas: Canvas, start: Point, end: Point) -> None:
    for index in range(0, 60, 2):
        pair = [
            _at(*(a + (b - a) * part for a, b in zip(start, end, strict=True)))
            for part in (index / 60, (index + 1) / 60)
        ]
        canvas.line(pair, colour=GREY)
