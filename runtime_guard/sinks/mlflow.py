"""Logs readings to MLflow."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

from runtime_guard.reading import Hyperparameters, Picture, Readings, Text
from runtime_guard.sink import imported

_MAX_AT_ONCE = 1000
"""Metrics in one request, by MLflow's rules."""
_SECONDS_BETWEEN = 3.0
"""A request takes longer than many a step."""
_MAX_LETTERS = 6000
"""Of a parameter's value, by MLflow's rules."""


class Mlflow:
    """A run of MLflow, or the one that the script has begun, which stays open then.

    Where no tracking URI is set, runs go to `mlflow.db` beside the run's folder: `mlflow ui --backend-store-uri
    sqlite:///runs/mlflow.db` shows all runs below `runs`. Numbers are sent every few seconds and at the end. Pictures
    and texts are artifacts; histograms, curves and layouts are left out.

    Args:
        folder: The run's folder, after which the run is named.
        experiment: Name of the experiment, which is made where there is none.
    """

    def __init__(self, folder: str | Path | None = None, experiment: str = "runtime_guard") -> None:
        self.folder = None if folder is None else Path(folder).absolute()
        self.experiment = experiment
        # The thread that makes the guard is the one that began a run.
        known = sys.modules.get("mlflow")
        active = None if known is None else known.active_run()
        self._is_own = active is None
        self._run_id: str | None = None if active is None else active.info.run_id
        self._client: Any = None
        self._entities: Any = None
        self._waiting: list[Any] = []
        self._last_sent = 0.0

    @classmethod
    def of_run(cls, folder: Path | None) -> Mlflow:
        """With the defaults."""
        return cls(folder)

    def write(self, readings: Readings, step: int) -> None:
        """Keeps numbers until they are sent. Raises what MLflow raises, ModuleNotFoundError without it."""
        if self._client is None:
            self._start()
        for key, value in readings.items():
            name = _name(key)
            match value:
                case float() | int():
                    self._add(name, float(value), step)
                case Picture():
                    self._client.log_image(self._run_id, value.pixels, artifact_file=f"pictures/{name}-{step:08}.png")
                case Text():
                    self._client.log_text(self._run_id, value.text, f"texts/{name}-{step:08}.md")
                case Hyperparameters():
                    self._write_hyperparameters(value, step)
        if time.monotonic() - self._last_sent > _SECONDS_BETWEEN or len(self._waiting) >= _MAX_AT_ONCE:
            self._send()

    def close(self) -> None:
        """Sends the rest, and ends the run."""
        client = self._client
        if client is None:
            return
        try:
            self._send()
            if self._is_own:
                client.set_terminated(self._run_id)
        finally:
            self._client = None

    def _start(self) -> None:
        mlflow = imported("mlflow", "mlflow")
        self._entities = imported("mlflow.entities", "mlflow")
        uri = mlflow.get_tracking_uri()
        if self.folder is not None and not mlflow.is_tracking_uri_set() and self._is_own:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{self.folder.parent / 'mlflow.db'}"
        self._client = mlflow.MlflowClient(tracking_uri=uri)
        if self._run_id is None:
            name = None if self.folder is None else self.folder.name
            self._run_id = self._client.create_run(self._experiment_id(uri), run_name=name).info.run_id

    def _experiment_id(self, uri: str) -> str:
        found = self._client.get_experiment_by_name(self.experiment)
        if found is not None:
            return str(found.experiment_id)
        artifacts = None
        if self.folder is not None and uri.startswith("sqlite:"):
            artifacts = (self.folder.parent / "mlartifacts").as_uri()
        return str(self._client.create_experiment(self.experiment, artifact_location=artifacts))

    def _add(self, name: str, value: float, step: int) -> None:
        self._waiting.append(self._entities.Metric(name, value, int(time.time() * 1000), step))

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._last_sent = time.monotonic()
        for start in range(0, len(waiting), _MAX_AT_ONCE):
            self._client.log_batch(self._run_id, metrics=waiting[start : start + _MAX_AT_ONCE])

    def _write_hyperparameters(self, value: Hyperparameters, step: int) -> None:
        params = [self._entities.Param(_name(name), str(item)[:_MAX_LETTERS]) for name, item in value.values.items()]
        for start in range(0, len(params), 100):
            self._client.log_batch(self._run_id, params=params[start : start + 100])
        for name, metric in value.metrics.items():
            self._add(_name(name), float(metric), step)


def _name(key: str) -> str:
    """With the letters that MLflow allows."""
    return re.sub(r"[^\w\-. /]", "_", key)
