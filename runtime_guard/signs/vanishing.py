"""Gradients that fade."""

from __future__ import annotations

import math
from collections.abc import Iterator

from runtime_guard.sign import Reading

_LOOKS = 3
_RATIO = 1e-6
_LEAST = 4


class Vanishing:
    """Gradients that fade on their way to the first layers.

    The first weight and at least a quarter of all have, per element, less than a millionth of the largest gradient,
    over three looks. Gradients that are exactly 0 (frozen, not used) and vectors (a bias before batch norm has none
    by nature) do not count.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def look(self, reading: Reading) -> Iterator[tuple[str, str]]:
        sizes = [
            (weight.name, weight.gradient_norm / math.sqrt(weight.numel))
            for weight in reading.weights
            if weight.gradient_norm > 0 and math.isfinite(weight.gradient_norm)
        ]
        if not sizes:
            return
        largest = max(size for _, size in sizes)
        faded = [name for name, size in sizes if size < _RATIO * largest]
        is_faded = len(sizes) >= _LEAST and len(faded) >= len(sizes) / 4 and sizes[0][0] in faded
        count = self.counts[reading.optimizer] = self.counts.get(reading.optimizer, 0) + 1 if is_faded else 0
        if count >= _LOOKS:
            text = (
                f"the gradients of {len(faded)} weights, from `{faded[0]}` on, are less than a millionth of the "
                "largest: use residual connections, normalisation, another activation or initialisation"
            )
            yield reading.optimizer or "gradients", text
