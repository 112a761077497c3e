"""Moments of a training: on the host, or on a GPU's own time line, where nothing waits to learn them."""

from __future__ import annotations

import time
from typing import Any, Protocol

import torch


class Clock(Protocol):
    """Gives moments that are compared later on."""

    def now(self) -> Any:
        """This moment."""

    def is_known(self, moment: Any) -> bool:
        """Whether it has come, so that it can be compared. Asks without waiting."""

    def between_ms(self, first: Any, last: Any) -> float:
        """From one to the other; both are known."""


class HostClock:
    """The host's."""

    def now(self) -> float:
        return time.perf_counter()

    def is_known(self, moment: float) -> bool:
        return True

    def between_ms(self, first: float, last: float) -> float:
        return (last - first) * 1000


class CudaClock:
    """The time line of the GPU's current stream: a moment comes when the GPU has done what was asked of it before.

    What the host does while the GPU is still busy takes no time on it, and an idle GPU waits for the host.
    """

    def now(self) -> torch.cuda.Event:
        moment = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        moment.record()
        return moment

    def is_known(self, moment: torch.cuda.Event) -> bool:
        return bool(moment.query())  # type: ignore[no-untyped-call]

    def between_ms(self, first: torch.cuda.Event, last: torch.cuda.Event) -> float:
        return float(first.elapsed_time(last))
