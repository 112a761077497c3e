"""A sheet to draw on: text, lines and areas in pixels, with smooth edges."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

WHITE: Colour = (255, 255, 255)
INK: Colour = (32, 38, 46)
GREY: Colour = (110, 118, 129)
FAINT: Colour = (226, 230, 235)
GREEN: Colour = (31, 157, 85)
RED: Colour = (214, 48, 49)
BLUE: Colour = (38, 109, 211)
SERIES: tuple[Colour, ...] = (
    BLUE, (232, 119, 34), (31, 157, 85), (214, 48, 49), (132, 84, 196),
    (23, 162, 184), (190, 130, 20), (226, 94, 160), (90, 100, 112), (120, 170, 30),
)  # fmt: skip
"""Told apart on white, also next to each other."""

_FINER = 2
"""Everything is drawn this much larger, and then made smaller: Pillow's own lines have steps."""


class Canvas:
    """`anchor` is Pillow's: "lt" says that the point is left and top of the text, "mm" that it is its middle."""

    def __init__(self, width: int, height: int, background: Colour = WHITE) -> None:
        from PIL import Image, ImageDraw

        self.width, self.height = width, height
        self._image = Image.new("RGB", (width * _FINER, height * _FINER), background)
        self._draw = ImageDraw.Draw(self._image)

    def text(self, x: float, y: float, text: str, *, size: int = 13, colour: Colour = INK, anchor: str = "lt") -> None:
        """One line."""
        self._draw.text((x * _FINER, y * _FINER), text, fill=colour, font=_font(size * _FINER), anchor=anchor)

    def upright(
        self, x: float, y: float, text: str, *, size: int = 13, colour: Colour = INK, is_below: bool = False
    ) -> None:
        """One line, read from below, around its middle; or hanging down from there."""
        from PIL import Image, ImageDraw

        width, height = int(text_width(text, size) * _FINER) + 4, 2 * size * _FINER
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).text((width / 2, height / 2), text, fill=255, font=_font(size * _FINER), anchor="mm")
        mask = mask.rotate(90, expand=True)
        corner = (int(x * _FINER - mask.width / 2), int(y * _FINER - (0 if is_below else mask.height / 2)))
        self._image.paste(colour, corner, mask)

    def line(self, points: Sequence[Point], *, colour: Colour = INK, width: float = 1) -> None:
        """Through all points."""
        if len(points) > 1:
            scaled = [(x * _FINER, y * _FINER) for x, y in points]
            self._draw.line(scaled, fill=colour, width=max(1, round(width * _FINER)), joint="curve")

    def box(
        self, corners: tuple[float, float, float, float], *, fill: Colour | None = None, outline: Colour | None = None,
        width: float = 1,
    ) -> None:  # fmt: skip
        """From left and top to right and bottom."""
        left, top, right, bottom = (value * _FINER for value in corners)
        edges = (min(left, right), min(top, bottom), max(left, right) - 1, max(top, bottom) - 1)
        if edges[2] >= edges[0] and edges[3] >= edges[1]:
            self._draw.rectangle(edges, fill=fill, outline=outline, width=round(width * _FINER))

    def dot(self, x: float, y: float, *, radius: float = 3, colour: Colour = INK) -> None:
        """A disc."""
        corners = [value * _FINER for value in (x - radius, y - radius, x + radius, y + radius)]
        self._draw.ellipse(corners, fill=colour)

    def picture(self, x: int, y: int, pixels: NDArray[Any], width: int, height: int) -> None:
        """uint8, `(H, W, 3)`, made as large as that. Small ones keep their pixels as squares."""
        from PIL import Image

        image = Image.fromarray(pixels)
        is_larger = width * _FINER >= image.width
        way = Image.Resampling.NEAREST if is_larger else Image.Resampling.LANCZOS
        self._image.paste(image.resize((width * _FINER, height * _FINER), way), (x * _FINER, y * _FINER))

    def pixels(self) -> NDArray[Any]:
        """uint8, `(H, W, 3)`."""
        import numpy as np
        from PIL import Image

        return np.array(self._image.resize((self.width, self.height), Image.Resampling.LANCZOS))


def text_width(text: str, size: int = 13) -> float:
    """In pixels."""
    return float(_font(size).getlength(text))


def fitted(text: str, width: float, size: int = 13) -> str:
    """Cut off where it is wider than that."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


@functools.lru_cache(maxsize=32)
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def blend(first: Colour, second: Colour, part: float) -> Colour:
    """Between them: 0 is the first, 1 the second."""
    part = min(max(part, 0.0), 1.0)
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue
