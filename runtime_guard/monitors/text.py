"""What is to be read of a run: settings, environment, model, and what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from runtime_guard import reading
from runtime_guard.environment import Environment
from runtime_guard.monitor import Moment, Monitor, Run
from runtime_guard.reading import Derived, Reading
from runtime_guard.readings.model_summary import model_summary
from runtime_guard.readings.run_config import flat_config, optimizer_config


class Text(Monitor):
    """What one wants to know of a run months later: how it was set, which commit and versions it ran with, what the
    model was, and what went wrong.

    Writes:
        `text/configuration`: the optimizer's settings at the first update, and what `Guard(config=...)` says; values
            that look secret are hidden.
        `text/environment`: versions, devices, variables of the environment, and the git commit of the script's folder,
            with how many files differ from it.
        `text/model`: modules with their kinds, shapes and numbers of parameters.
        `text/incidents`: the verdict of each incident, at its step.

    When: at the first update, and at incidents.
    Cost: a walk over the modules; git is asked on the writing thread.
    """

    def __init__(self) -> None:
        self._run: Run | None = None

    def start(self, run: Run) -> None:
        """Learns what is watched."""
        self._run = run

    def read(self, moment: Moment) -> Iterator[Reading]:
        """Once."""
        run, self._run = self._run, None
        if run is None:
            return
        values = {**optimizer_config(run.optimizers), **flat_config(run.config)}
        yield Reading("text/configuration", reading.Text(_table("setting", values)))
        if run.models:
            yield Reading("text/model", reading.Text(model_summary(run.models)))
        yield Reading("text/environment", Derived(torch.zeros(1), _environment))

    def incident(self, step: int, verdict: str) -> Iterator[Reading]:
        """What was found, why, and what was done."""
        yield Reading("text/incidents", reading.Text("\n".join(f"    {line}" for line in verdict.splitlines())))


def _environment(_numbers: Sequence[float]) -> dict[str, reading.Value]:
    """Asked for on the writing thread, because git may take its time."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = Path(script).absolute().parent if script else Path()
    rows = dict(line.split("  ", 1) for line in Environment.collect(folder).describe().splitlines())
    return {"text/environment": reading.Text(_table("", {name: value.strip() for name, value in rows.items()}))}


def _table(title: str, values: Mapping[str, object]) -> str:
    rows = [f"| {_cell(name)} | {_cell(value)} |" for name, value in values.items()]
    return "\n".join([f"| {title} | |", "|---|---|", *rows])


def _cell(value: object) -> str:
    """Without what would end the cell."""
    return " ".join(str(value).split()).replace("|", "\\|")
