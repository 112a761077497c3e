"""Gradients that grow step by step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from runtime_guard.sign import Reading

_RUN = 9
_FOLD = 8.0


class Growth:
    """A gradient norm that grows step by step while the loss grows with it: the learning rate is too high.

    Eightfold within eight updates, of which at most one saw it fall. Gradients that grow while the loss falls, as
    where layers begin at zero, are none. Clipping hides the growth; the loss then speaks through other signs.
    """

    def __init__(self) -> None:
        self.seen: dict[str, list[list[float]]] = {}
        """By optimizer, of the last updates: gradient norm, loss."""

    def look(self, reading: Reading) -> Iterator[tuple[str, str]]:
        norm, loss = reading.gradient_norm, reading.loss
        if norm is None or loss is None or not math.isfinite(norm) or not math.isfinite(loss):
            return
        seen = self.seen.setdefault(reading.optimizer, [])
        seen.append([norm, loss])
        del seen[:-_RUN]
        if len(seen) < _RUN or not 0 < _FOLD * seen[0][0] <= norm:
            return
        falls = sum(after[0] <= before[0] for before, after in pairwise(seen))
        rises = sum(after[1] > before[1] for before, after in pairwise(seen))
        if falls <= 1 and rises >= _RUN - 3 and loss > seen[0][1]:
            text = (
                f"the gradient norm grew from {seen[0][0]:.3g} to {norm:.3g} within {_RUN - 1} updates, and the loss "
                f"with it: lower the learning rate ({reading.learning_rate or 0:.3g}), warm it up, or clip gradients"
            )
            yield reading.optimizer or "gradients", text
