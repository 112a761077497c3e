"""Appends readings to a file, one JSON object a line."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from runtime_guard.reading import Picture, Readings, Value

READINGS = "readings.jsonl"
"""In a run's folder."""


class JsonLines:
    """`{"step": 3, "loss/loss": 0.5, ...}`: numbers as numbers, histograms and the like as objects with a `kind`.

    Each line is handed to the system when it is written, so that a run that is killed leaves whole lines, and at most
    one that is cut off. What JSON has no number for is a string: "NaN", "Infinity", "-Infinity". Pictures lie as PNG
    files in `pictures` beside the file. A file that is there is added to.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: BinaryIO | None = None

    @classmethod
    def of_run(cls, folder: Path | None) -> JsonLines | None:
        """Beside what else there is of the run."""
        return None if folder is None else cls(folder / READINGS)

    def write(self, readings: Readings, step: int) -> None:
        """Appends a line. Raises OSError when the file cannot be written."""
        if self._file is None:
            self._file = self._opened()
        row = {"step": step, **{key: self._plain(key, value, step) for key, value in readings.items()}}
        _write_all(self._file, json.dumps(row, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> BinaryIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+b", buffering=0)
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                # A run that was killed left half a line, which must not swallow our first.
                file.write(b"\n")
        return file

    def _plain(self, key: str, value: Value, step: int) -> Any:
        if isinstance(value, Picture):
            name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in key)
            file = self.path.parent / "pictures" / f"{name}-{step:08}.png"
            _write_png(file, value.pixels)
            return {"kind": "Picture", "file": f"pictures/{file.name}", "caption": value.caption}
        if isinstance(value, (int, float)):
            return _number(float(value))
        return {"kind": type(value).__name__, **_finite(dataclasses.asdict(value))}


def read_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """What was written, line by line, with the numbers that JSON does not know. A line that is cut off is left out.

    Raises OSError when the file cannot be read.
    """
    with Path(path).open("rb") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            yield _infinite(row)


def _write_all(file: BinaryIO, line: bytes) -> None:
    """All of a line, or nothing: a full disk takes a part first, and says so when it is asked to take the rest."""
    start = file.seek(0, 2)
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError:
        file.truncate(start)
        raise


def _write_png(path: Path, pixels: Any) -> None:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _finite(value: Any) -> Any:
    match value:
        case float():
            return _number(value)
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
    return value


def _infinite(value: Any) -> Any:
    match value:
        case "NaN" | "Infinity" | "-Infinity":
            return float(value)
        case dict():
            return {key: _infinite(item) for key, item in value.items()}
        case list():
            return [_infinite(item) for item in value]
    return value
