"""The contract of sinks: where readings go once they are on the host."""

from __future__ import annotations

from typing import Protocol

from runtime_guard.reading import Readings


class Sink(Protocol):
    """Takes readings, on a thread of its own. What it raises costs a warning and the sink, not the training.

    What it cannot show it leaves out.
    """

    def write(self, readings: Readings, step: int) -> None:
        """Steps come in order, except after a rollback, which goes back to an older one."""

    def close(self) -> None:
        """Afterwards all is where it belongs; once more does nothing."""
