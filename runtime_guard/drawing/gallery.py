"""Samples beside each other, with what is to be said of each below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime_guard.drawing.canvas import GREY, INK, WHITE, Canvas, Colour, fitted, text_width

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIDE = 168
_GAP = 18


@dataclass(frozen=True, slots=True)
class Box:
    """Corners are parts of the picture's width and height."""

    corners: tuple[float, float, float, float]
    colour: Colour
    label: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """One sample."""

    pictures: Sequence[NDArray[Any]]
    """uint8, `(H, W, 3)`, side by side."""
    lines: Sequence[str]
    """The first is its heading."""
    boxes: Sequence[Box] = ()
    """On the first picture."""
    names: Sequence[str] = ()
    """What stands above each picture."""


def draw_gallery(
    tiles: Sequence[Tile], title: str, legend: Sequence[tuple[str, Colour]] = (), *, note: str = ""
) -> NDArray[Any]:
    """About four columns of samples, or fewer where each has several pictures. The note stands in place of a legend."""
    num_pictures = max(len(tile.pictures) for tile in tiles)
    num_lines = max(len(tile.lines) for tile in tiles)
    columns = max(1, min(len(tiles), 6 // num_pictures if num_pictures > 1 else 4))
    width = num_pictures * _SIDE + (num_pictures - 1) * 6
    above = 20 if any(tile.names for tile in tiles) else 0
    height = above + _SIDE + 10 + 19 * num_lines + 12
    top = 48 + (26 if legend or note else 0)
    key_width = sum(30 + text_width(text) + 16 for text, _ in legend) + text_width(note)
    total = max(columns * (width + _GAP) + _GAP, text_width(title, 16) + 2 * _GAP, key_width + 2 * _GAP)
    canvas = Canvas(math.ceil(total), top + math.ceil(len(tiles) / columns) * height + 4)
    canvas.text(_GAP, 14, title, size=16)
    if note:
        canvas.text(_GAP, 53, note, colour=GREY, anchor="lm")
    x = float(_GAP)
    for text, colour in legend:
        canvas.box((x, 46, x + 14, 60), fill=colour)
        canvas.text(x + 20, 53, text, anchor="lm")
        x += 30 + text_width(text) + 16
    for number, tile in enumerate(tiles):
        left = _GAP + number % columns * (width + _GAP)
        upper = top + number // columns * height
        for index, pixels in enumerate(tile.pictures):
            corner = left + index * (_SIDE + 6), upper + above
            if index < len(tile.names):
                canvas.text(corner[0], upper, fitted(tile.names[index], _SIDE, 12), size=12, colour=GREY)
            placed = _place(canvas, pixels, corner)
            if index == 0:
                _draw_boxes(canvas, tile.boxes, placed)
        for index, line in enumerate(tile.lines):
            y = upper + above + _SIDE + 10 + 19 * index
            canvas.text(left, y, fitted(line, width), colour=INK if index == 0 else GREY)
    return canvas.pixels()


def _place(canvas: Canvas, pixels: NDArray[Any], corner: tuple[int, int]) -> tuple[int, int, int, int]:
    """In the middle of its place, as large as fits; where that is: left, top, width, height."""
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    shown = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = corner[0] + (_SIDE - shown[0]) // 2, corner[1] + (_SIDE - shown[1]) // 2
    canvas.picture(left, top, pixels, *shown)
    return left, top, *shown


def _draw_boxes(canvas: Canvas, boxes: Sequence[Box], placed: tuple[int, int, int, int]) -> None:
    left, top, width, height = placed
    for box in boxes:
        x1, y1, x2, y2 = (min(max(value, 0.0), 1.0) for value in box.corners)
        corners = left + x1 * width, top + y1 * height, left + x2 * width, top + y2 * height
        canvas.box(corners, outline=box.colour, width=2)
        if box.label:
            # Within the picture, also where the box begins above it.
            y = max(corners[1] - 15, float(top))
            label = fitted(box.label, 90, 11)
            canvas.box((corners[0], y, corners[0] + text_width(label, 11) + 6, y + 15), fill=box.colour)
            canvas.text(corners[0] + 3, y + 7.5, label, size=11, colour=WHITE, anchor="lm")
