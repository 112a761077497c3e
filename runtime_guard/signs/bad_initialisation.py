"""A signal that grows or fades from the start."""

from __future__ import annotations

import math
from collections.abc import Iterator

from runtime_guard.sign import Reading

_LEAST = 3
_LARGE = 1e3
_SMALL = 1e-5


class BadInitialisation:
    """Weights that blow the signal up, or let it fade, from layer to layer; seen in the second forward pass.

    Of at least three linear or convolution layers one puts out a thousand times as much as the first one, or a
    hundred-thousandth of it. A last layer that begins at exactly 0 is none.
    """

    def __init__(self) -> None:
        self.is_done = False

    def look(self, reading: Reading) -> Iterator[tuple[str, str]]:
        layers = [a for a in reading.activations if a.kind == "weighted" and a.rms > 0 and math.isfinite(a.rms)]
        if self.is_done or not reading.activations:
            return
        self.is_done = True
        if len(layers) < _LEAST:
            return
        first = layers[0]
        for layer in layers[1:]:
            fold = layer.rms / first.rms
            if fold > _LARGE or fold < _SMALL:
                word = "blown up" if fold > 1 else "faded"
                times = max(fold, first.rms / layer.rms)
                text = (
                    f"the signal is {word} {times:.3g}-fold between `{first.name}` and `{layer.name}` at "
                    "the start: scale the initial weights by 1/sqrt(inputs), or normalise in between"
                )
                yield layer.name, text
                return
