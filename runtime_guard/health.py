"""How a run is doing, as a small file in its folder."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FILE = "health.json"


@dataclass(frozen=True, slots=True)
class Health:
    """Counts and the last of what was seen."""

    num_steps: int
    num_epochs: int
    num_incidents: int
    is_closed: bool
    last: Mapping[str, Any] | None = None
    """The last step's record."""
    ended_by: str | None = None
    """What ended a run before its time: "an incident", or the name of the exception."""
    metrics: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Old or new, never half. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        working = folder / f".{FILE}-{os.getpid()}"
        try:
            working.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")
            working.replace(folder / FILE)
        except OSError:
            with contextlib.suppress(OSError):
                working.unlink(missing_ok=True)
            raise

    @classmethod
    def read(cls, folder: Path) -> Health | None:
        """None when there is none."""
        try:
            return cls(**json.loads((folder / FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def describe(self) -> str:
        """One or two lines."""
        counts = (self.num_steps, "step"), (self.num_epochs, "epoch"), (self.num_incidents, "incident")
        text = ", ".join(f"{number} {noun}" + ("" if number == 1 else "s") for number, noun in counts)
        text += f", ended by {self.ended_by}" if self.ended_by else ", finished" if self.is_closed else ", not finished"
        if self.last is not None:
            told = [
                f"{name.replace('_', ' ')} {self.last[name]:.4g}" for name in _TOLD if self.last.get(name) is not None
            ]
            text += f"\nlast step: {', '.join(told)}"
        return text


_TOLD = ("loss", "gradient_norm", "parameter_norm")
