"""A loss far out of line."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

from runtime_guard.sign import Reading

_WINDOW = 64
_LEAST = 20
_Z = 12.0
_FOLD = 3.0


class Spike:
    """A loss far above what it was: bad data, or a step that went too far.

    The distance from the median, in robust standard deviations (median absolute deviation), has to be above 12, and
    three times any that was seen in the last 64 updates, so that losses with heavy tails, as rewards make them, pass.
    """

    def __init__(self) -> None:
        self.losses: dict[str, list[float]] = {}

    def look(self, reading: Reading) -> Iterator[tuple[str, str]]:
        loss = reading.loss
        if loss is None or not math.isfinite(loss):
            return
        losses = self.losses.setdefault(reading.optimizer, [])
        if len(losses) >= _LEAST and loss > max(losses):
            middle = statistics.median(losses)
            deviation = 1.4826 * statistics.median(abs(value - middle) for value in losses)
            highest = max(losses) - middle
            z = (loss - middle) / deviation if deviation > 0 else 0.0
            if z > _Z and loss - middle > _FOLD * highest and loss - middle > 0.5 * abs(middle):
                text = (
                    f"the loss jumped to {loss:.4g}, {z:.0f} robust standard deviations above its median "
                    f"{middle:.4g}: look at this batch, clip gradients, or lower the learning rate"
                )
                yield f"the loss at step {reading.step}", text
        losses.append(loss)
        del losses[:-_WINDOW]
