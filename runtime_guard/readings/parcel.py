"""One step's readings on their way to the host, all in one transfer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from runtime_guard.device.binning import NUM_BINS, NUM_STATISTICS, unbinned
from runtime_guard.device.ticket import Ticket
from runtime_guard.reading import Binned, Derived, Reading, Reduction, Value

Numbers: TypeAlias = Mapping[str, Sequence[float]]
"""What is read under a key, as plain numbers."""


class Parcel:
    """Sends off what the readings hold on devices. Nothing waits before `readings` or `numbers` is called."""

    def __init__(self, step: int, readings: Sequence[Reading], kind: str = "update") -> None:
        self.step = step
        self.kind = kind
        self._readings = readings
        self._sizes = [_size(reading) for reading in readings]
        vectors = [
            (r.value.vector if isinstance(r.value, (Binned, Derived)) else r.value).detach().double().reshape(-1)
            for r in readings
            if isinstance(r.value, (Binned, Derived, Tensor))
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

    def numbers(self) -> dict[str, Sequence[float]]:
        """Those that are joined over the ranks. Waits for what has not arrived."""
        return {r.key: numbers for r, numbers in self._arrived() if r.over_ranks != "first" and numbers is not None}

    def readings(self, others: Sequence[Numbers] = ()) -> dict[str, Value]:
        """By key, joined with the numbers of other ranks. Waits for what has not arrived."""
        found: dict[str, Value] = {}
        for reading, numbers in self._arrived():
            if numbers is None:
                assert not isinstance(reading.value, (Tensor, Binned, Derived))
                found[reading.key] = reading.value
                continue
            if reading.over_ranks != "first":
                rows = [numbers, *(other[reading.key] for other in others if reading.key in other)]
                numbers = [_joined(reading.over_ranks, column) for column in zip(*rows, strict=False)]  # noqa: PLW2901
            match reading.value:
                case Binned():
                    found.update(_spread(reading.key, numbers))
                case Derived():
                    found.update(reading.value.build(numbers))
                case _:
                    found[reading.key] = numbers[0]
        return found

    def _arrived(self) -> Iterator[tuple[Reading, Sequence[float] | None]]:
        """None for what is no number."""
        values = [] if self._ticket is None else self._ticket.values()
        start = 0
        for reading, size in zip(self._readings, self._sizes, strict=True):
            if isinstance(reading.value, (int, float)):
                yield reading, [float(reading.value)]
            else:
                yield reading, values[start : start + size] if size else None
            start += size


def _size(reading: Reading) -> int:
    """How many of the transferred numbers it has."""
    match reading.value:
        case Binned() | Derived():
            return reading.value.vector.numel()
        case Tensor():
            return reading.value.numel()
    return 0


def _joined(reduction: Reduction, column: Sequence[float]) -> float:
    match reduction:
        case "sum":
            return math.fsum(column) if all(map(math.isfinite, column)) else sum(column)
        case "mean":
            return _joined("sum", column) / len(column)
    # A NaN anywhere must be seen, and what `max` makes of one depends on the order.
    if any(map(math.isnan, column)):
        return math.nan
    return max(column) if reduction == "max" else min(column)


def _spread(key: str, numbers: Sequence[float]) -> Iterator[tuple[str, Value]]:
    """Nothing where none of the numbers was finite."""
    assert len(numbers) == NUM_BINS + NUM_STATISTICS
    counted = unbinned(numbers)
    if counted is None:
        return
    histogram, statistics = counted
    yield key.replace("*", "min", 1), statistics.minimum
    yield key.replace("*", "mean", 1), statistics.mean
    yield key.replace("*", "max", 1), statistics.maximum
    yield key.replace("*", "zeros", 1), statistics.zeros
    yield key.replace("*", "histogram", 1), histogram
