"""Keeps readings in a list."""

from __future__ import annotations

from runtime_guard.reading import Readings, Value


class Memory:
    """For tests and notebooks: `rows` holds steps and readings, oldest first. Complete once the guard is closed."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, Value]]] = []

    def write(self, readings: Readings, step: int) -> None:
        """Appends a row."""
        self.rows.append((step, dict(readings)))

    def close(self) -> None:
        """Nothing to do."""
