"""What the training loss is."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from runtime_guard.monitor import Moment, Monitor
from runtime_guard.reading import Reading


class Loss(Monitor):
    """The loss of each update.

    A loss that is flat from the start, that falls and then spikes, or that is NaN is seen here first.

    Writes:
        `loss/*`: mean over the update's micro-batches of what `backward` starts from, before a loss scale; under the
            name that `Guard.loss` gave it, or `loss/loss`.

    When: each update.
    Cost: one small operation.
    """

    def read(self, moment: Moment) -> Iterator[Reading]:
        """One value per name."""
        by_name: dict[str, list[Tensor]] = {}
        for loss in moment.losses:
            by_name.setdefault(loss.name, []).append(loss.value.detach().double().mean())
        for name, values in by_name.items():
            total = values[0]
            for value in values[1:]:
                total = total + value
            yield Reading(f"loss/{name}{moment.suffix}", total / len(values), "mean")
