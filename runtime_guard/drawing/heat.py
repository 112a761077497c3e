"""Heat over a picture: what counts is warm and bright, the rest stays as a dim grey picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime_guard.drawing.canvas import Colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

STOPS: tuple[tuple[float, Colour], ...] = (
    (0.0, (38, 42, 110)), (0.35, (150, 40, 120)), (0.65, (236, 92, 50)), (0.85, (252, 190, 60)), (1.0, (255, 250, 200)),
)  # fmt: skip
"""From cold to hot. Brightness rises with the heat, so that it can be told without colours, too."""


def heated(picture: NDArray[Any], heat: NDArray[Any]) -> NDArray[Any]:
    """uint8 `(H, W, 3)` of a picture of that form and heat `(H, W)` from 0 to 1."""
    import numpy as np

    places = [place for place, _ in STOPS]
    colours = np.stack([np.interp(heat, places, [colour[part] for _, colour in STOPS]) for part in range(3)], -1)
    grey = np.repeat(picture.mean(2, keepdims=True), 3, 2)
    share = (0.35 + 0.4 * heat)[..., None]
    mixed: NDArray[Any] = ((1 - share) * grey + share * colours).round().astype(np.uint8)
    return mixed
