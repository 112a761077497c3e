"""Watches the scales of GradScalers."""

from __future__ import annotations

from typing import Any

from runtime_guard.state import Tracked


class ScaleWatch:
    """Counts how often the smallest scale fell in a row: each time, a step was left out."""

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self.num_falls = 0
        self.last: float | None = None
        """The scale that was last seen; None where there is no scaler whose scale lies on the host."""

    def look(self) -> None:
        """Reads the scale. On a GPU that would wait, so it is not done; there the losses have to speak."""
        scalers = [s for s in self._tracked.scalers if s.is_enabled() and s._scale is not None]
        if not scalers or any(s._scale is not None and s._scale.device.type != "cpu" for s in scalers):
            return
        scales: list[Any] = [s._scale.tolist() for s in scalers if s._scale is not None]
        scale = float(min(scales))
        fell = self.last is not None and scale < self.last
        self.num_falls = self.num_falls + 1 if fell else 0
        self.last = scale

    def forget_falls(self) -> None:
        """After an incident."""
        self.num_falls = 0
