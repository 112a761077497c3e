"""Keeps readings in a list."""

from __future__ import annotations

from runtime_guard.sink import Histogram, Readings


class Memory:
    """For tests and notebooks: `rows` holds steps and readings, oldest first."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float | Histogram]]] = []

    def write(self, readings: Readings, step: int) -> None:
        """Appends a row."""
        self.rows.append((step, dict(readings)))

    def close(self) -> None:
        """Nothing to do."""
