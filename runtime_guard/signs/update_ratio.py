"""Steps too large or too small."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from runtime_guard.sign import Reading

_LOOKS = 3
_TOO_LARGE = 0.3
_TOO_SMALL = 1e-6
_SETTLED = 20
_LONG = 40


class UpdateRatio:
    """Updates that are too large or too small for the weights; about a thousandth is usual.

    Too large: the median weight moves by three tenths of its norm in one update, over three looks after the first 20
    steps. Too small: from the start of the run on no weight ever moved by more than a millionth within 40 steps.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.largest: dict[str, float] = {}

    def look(self, reading: Reading) -> Iterator[tuple[str, str]]:
        ratios = [w.update_ratio for w in reading.weights if w.update_ratio is not None and w.update_ratio > 0]
        if not ratios:
            return
        name, rate = reading.optimizer, reading.learning_rate or 0
        middle = statistics.median(ratios)
        is_large = reading.step >= _SETTLED and middle > _TOO_LARGE
        self.counts[name] = self.counts.get(name, 0) + 1 if is_large else 0
        self.largest[name] = max(self.largest.get(name, 0.0), *ratios)
        if self.counts[name] >= _LOOKS:
            text = (
                f"one update moves the weights by {middle:.2g} of their norm, about 0.001 is usual: lower the "
                f"learning rate ({rate:.3g})"
            )
            yield f"{name} large", text
        if reading.step >= _LONG and self.largest[name] < _TOO_SMALL:
            text = (
                f"no update has moved a weight by more than {self.largest[name]:.2g} of its norm so far, about 0.001 "
                f"is usual: raise the learning rate ({rate:.3g})"
            )
            yield f"{name} small", text
