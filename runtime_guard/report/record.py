"""Reads what a run has left in its folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime_guard.health import Health
from runtime_guard.incidents.bundle import Bundle, BundleError, bundles_of
from runtime_guard.incidents.verdict import describe
from runtime_guard.sinks.json_lines import READINGS, read_rows

ByStep = dict[int, Any]


class RecordError(Exception):
    """There is no run to read; the text names the folder and says what to do."""


@dataclass(frozen=True, slots=True)
class Told:
    """An incident: its step, and its verdict or why it cannot be read."""

    step: int
    verdict: str


@dataclass(slots=True)
class Record:
    """All of a run. What was read at a step that was run again, after a rollback or a resumption, is the later."""

    folder: Path
    health: Health | None
    incidents: Sequence[Told]
    scalars: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))
    """By key and step; so are the others, as `json_lines` wrote them."""
    histograms: dict[str, ByStep] = field(default_factory=lambda: defaultdict(dict))
    curves: dict[str, ByStep] = field(default_factory=lambda: defaultdict(dict))
    pictures: dict[str, ByStep] = field(default_factory=lambda: defaultdict(dict))
    texts: dict[str, ByStep] = field(default_factory=lambda: defaultdict(dict))
    hyperparameters: Mapping[str, Any] | None = None
    layout: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Raises RecordError where there is no run, or nothing in it."""
        readings = folder / READINGS
        bundles, health = bundles_of(folder), Health.read(folder)
        if not bundles and health is None and not readings.is_file():
            raise RecordError(f"{folder} is not the folder of a run{_hint(folder)}")
        record = cls(folder, health, [_told(bundle) for bundle in bundles])
        num_rows = 0
        if readings.is_file():
            try:
                for num_rows, row in enumerate(read_rows(readings), 1):  # noqa: B007 - counted
                    record._add(row)
            except OSError as error:
                raise RecordError(f"{readings} cannot be read: {error}") from None
        if not num_rows and not bundles:
            raise RecordError(f"{folder} holds nothing to show: the run has made no step, or had no monitors")
        return record

    def _add(self, row: Mapping[str, Any]) -> None:
        step = int(row["step"])
        for key, value in row.items():
            if key == "step":
                continue
            if isinstance(value, (int, float)):
                self.scalars[key][step] = float(value)
                continue
            match value.get("kind"):
                case "Histogram":
                    self.histograms[key][step] = value
                case "Curve":
                    self.curves[key][step] = value
                case "Picture":
                    self.pictures[key][step] = value
                case "Text":
                    self.texts[key][step] = value["text"]
                case "Hyperparameters":
                    self.hyperparameters = value
                case "Layout":
                    self.layout = value["charts"]


def _hint(folder: Path) -> str:
    """Which runs there are below it."""
    runs = sorted({file.parent for name in (READINGS, "health.json") for file in folder.glob(f"*/{name}")})
    if runs:
        return f"; it holds {len(runs)}, name one of them: {', '.join(map(str, runs[:5]))}"
    return f": it has neither {READINGS} nor incidents; expected the logdir that was given to Guard"


def _told(bundle: Path) -> Told:
    try:
        incident = Bundle.read(bundle).incident
    except BundleError as error:
        return Told(-1, str(error))
    return Told(incident.step, describe(incident))
