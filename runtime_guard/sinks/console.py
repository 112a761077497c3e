"""Shows the numbers that matter in the terminal."""

from __future__ import annotations

import atexit
import fnmatch
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from runtime_guard.reading import Readings
from runtime_guard.sink import imported

SHOWN = (
    "loss/*",
    "metrics/*",
    "gradients/norm",
    "optimizer/lr/*",
    "time/samples_per_second",
    "time/waiting",
)
"""Keys of which the last value is shown, in this order; `*` stands for one part."""
_OF_EPOCH = ("loss/epoch/*/*", "metrics/*", "metrics/*/*")
_SECONDS_BETWEEN_REFRESHES = 0.2
_SECONDS_BETWEEN_LINES = 30.0


class Console:
    """A line that is renewed as the training goes on, and one that stays for each epoch.

    What the script prints appears above the renewed line. Where the output is no terminal (a file, a notebook, a batch
    system) there is a plain line every 30 seconds instead, and no control characters.

    Args:
        file: Where to write, standard error by default.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        self._file = file
        self._console: Any = None
        self._live: Any = None
        self._last_written = 0.0
        self._values: dict[str, float] = {}
        self._marks: list[tuple[float, int]] = []
        """Times and steps of late, for the speed."""

    @classmethod
    def of_run(cls, _folder: Path | None) -> Console:
        """To standard error."""
        return cls()

    def write(self, readings: Readings, step: int) -> None:
        """Renews the line, at most five times a second."""
        if self._console is None:
            self._start()
        numbers = {key: float(value) for key, value in readings.items() if isinstance(value, (int, float))}
        self._values.update(numbers)
        of_epoch = {key: value for key, value in numbers.items() if any(_is_like(key, like) for like in _OF_EPOCH)}
        if of_epoch:
            self._console.print(self._line(f"epoch ended at step {step}", of_epoch.items()), soft_wrap=True)
            return
        now = time.monotonic()
        self._marks = [*self._marks[-19:], (now, step)]
        pause = _SECONDS_BETWEEN_REFRESHES if self._live is not None else _SECONDS_BETWEEN_LINES
        if now - self._last_written < pause:
            return
        self._last_written = now
        self._show(step)

    def close(self) -> None:
        """Leaves the last line, and the terminal as it was."""
        if self._live is not None:
            atexit.unregister(self.close)
            self._live.stop()
            self._live = None
        self._console = None

    def _start(self) -> None:
        imported("rich", "console")
        from rich.console import Console as RichConsole
        from rich.live import Live

        self._console = RichConsole(file=self._file or sys.stderr, highlight=False)
        self._last_written = 0.0
        if self._console.is_terminal and not self._console.is_jupyter and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
            self._live.start()
            # A cursor that is hidden must come back, whatever ends the training.
            atexit.register(self.close)

    def _show(self, step: int) -> None:
        chosen = [(key, self._values[key]) for like in SHOWN for key in self._values if _is_like(key, like)]
        line = self._line(f"step {step}", chosen)
        if (speed := self._steps_per_second()) is not None:
            line.append(f"  {speed:.3g} steps/s", "dim")
        if self._live is None:
            self._console.print(line, soft_wrap=True)
            return
        line.no_wrap, line.overflow = True, "ellipsis"
        self._live.update(line, refresh=True)

    def _line(self, title: str, numbers: Any) -> Any:
        from rich.text import Text

        line = Text()
        line.append(title, "bold")
        for key, value in numbers:
            line.append(f"  {_label(key)} ", "dim")
            line.append(f"{value:.4g}", "" if math.isfinite(value) else "bold red")
        return line

    def _steps_per_second(self) -> float | None:
        (first_time, first_step), (last_time, last_step) = self._marks[0], self._marks[-1]
        if last_step <= first_step or last_time <= first_time:
            return None
        return (last_step - first_step) / (last_time - first_time)


def _is_like(key: str, pattern: str) -> bool:
    return key.count("/") == pattern.count("/") and fnmatch.fnmatchcase(key, pattern)


def _label(key: str) -> str:
    """As few words as tell it from others."""
    return " ".join(_words(key)).replace("_", " ")


def _words(key: str) -> Iterator[str]:
    group, *rest = key.split("/")
    match group, rest:
        case "loss", ["epoch", name, phase]:
            yield from (phase, name)
        case "loss" | "metrics" | "time", _:
            yield from reversed(rest)
        case "optimizer", [setting, "0"]:
            yield setting
        case "gradients", _:
            yield "gradient"
            yield from rest
        case _:
            yield from (group, *rest)
