"""The contract of sinks: where readings go once they are on the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Histogram:
    """How finite numbers spread over bins of equal width."""

    minimum: float
    maximum: float
    total: float
    sum_of_squares: float
    limits: tuple[float, ...]
    """Upper ends of the bins."""
    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return sum(self.counts)


Readings: TypeAlias = Mapping[str, float | Histogram]


class Sink(Protocol):
    """Takes readings. What it raises costs a warning and the sink, not the training."""

    def write(self, readings: Readings, step: int) -> None:
        """Steps come in order, except after a rollback, which goes back to an older one."""

    def close(self) -> None:
        """Afterwards all is where it belongs; once more does nothing."""
