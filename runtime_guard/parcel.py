"""One step's readings on their way to the host, all in one transfer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from runtime_guard.binning import NUM_BINS, NUM_STATISTICS, unbinned
from runtime_guard.reading import Binned, Reading, Value
from runtime_guard.ticket import Ticket


class Parcel:
    """Sends off what the readings hold on devices. Nothing waits before `readings` is called."""

    def __init__(self, step: int, readings: Sequence[Reading]) -> None:
        self.step = step
        self._readings = readings
        vectors = [
            (r.value.vector if isinstance(r.value, Binned) else r.value).detach().double().reshape(-1)
            for r in readings
            if isinstance(r.value, (Binned, Tensor))
        ]
        self._ticket: Ticket | None = None
        if vectors:
            # Where most of them are: host numbers go to the device, so that one transfer brings all back.
            device = next((v.device for v in vectors if v.device.type != "cpu"), vectors[0].device)
            with torch.no_grad():
                self._ticket = Ticket(torch.cat([v.to(device, non_blocking=True) for v in vectors]))

    @property
    def has_arrived(self) -> bool:
        """Asks without waiting."""
        return self._ticket is None or self._ticket.has_arrived

    def readings(self) -> dict[str, Value]:
        """By key. Waits for what has not arrived."""
        numbers = iter(() if self._ticket is None else self._ticket.values())
        found: dict[str, Value] = {}
        for reading in self._readings:
            match reading.value:
                case Binned():
                    found.update(_spread(reading.key, [next(numbers) for _ in range(NUM_BINS + NUM_STATISTICS)]))
                case Tensor():
                    found[reading.key] = next(numbers)
                case _:
                    found[reading.key] = reading.value
        return found


def _spread(key: str, numbers: list[float]) -> Iterator[tuple[str, Value]]:
    """Nothing where none of the numbers was finite."""
    counted = unbinned(numbers)
    if counted is None:
        return
    histogram, statistics = counted
    yield key.replace("*", "min", 1), statistics.minimum
    yield key.replace("*", "mean", 1), statistics.mean
    yield key.replace("*", "max", 1), statistics.maximum
    yield key.replace("*", "zeros", 1), statistics.zeros
    yield key.replace("*", "histogram", 1), histogram
