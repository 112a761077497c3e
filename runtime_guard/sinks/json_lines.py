"""Appends readings to a file, one JSON object a line."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, TextIO

from runtime_guard.sink import Histogram, Readings


class JsonLines:
    """Each line is whole once it is written, and says its `step`. What JSON has no number for is a string: "NaN",
    "Infinity", "-Infinity". A file that is there is added to."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: TextIO | None = None

    def write(self, readings: Readings, step: int) -> None:
        """Appends a line. Raises OSError when the file cannot be written."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
        row = {"step": step, **{key: _plain(value) for key, value in readings.items()}}
        self._file.write(json.dumps(row, allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _plain(value: float | Histogram) -> Any:
    if isinstance(value, Histogram):
        return dataclasses.asdict(value)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
