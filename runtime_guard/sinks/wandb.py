"""Logs readings to Weights & Biases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from runtime_guard.reading import Curve, Histogram, Hyperparameters, Layout, Picture, Readings, Text, Value
from runtime_guard.sink import imported


class Wandb:
    """A run of Weights & Biases, or the one that the script has begun, which stays open then.

    Where nobody is logged in and WANDB_MODE says nothing else, the run is kept offline in the folder, without a
    network; `wandb sync` uploads it later. Charts have `step` as their axis, because wandb itself drops what comes
    after a rollback. Layouts are left out.

    Args:
        folder: Where wandb keeps its files; by default where it likes to.
        options: Passed on to `wandb.init`, for example `project`, `name` or `mode`.
    """

    def __init__(self, folder: str | Path | None = None, **options: Any) -> None:
        self.folder = None if folder is None else Path(folder)
        self._options = options
        self._wandb: Any = None
        self._run: Any = None
        self._is_own = True

    @classmethod
    def of_run(cls, folder: Path | None) -> Wandb:
        """With the defaults."""
        return cls(folder)

    def write(self, readings: Readings, step: int) -> None:
        """Hands them to wandb's own process. Raises what wandb raises, ModuleNotFoundError without it."""
        if self._run is None:
            self._start()
        shown: dict[str, Any] = {}
        for key, value in readings.items():
            if isinstance(value, Hyperparameters):
                self._run.config.update(dict(value.values), allow_val_change=True)
                self._run.summary.update(dict(value.metrics))
            elif not isinstance(value, Layout):
                shown[key] = self._shown(key, value)
        if shown:
            self._run.log({"step": step, **shown})

    def close(self) -> None:
        """Waits until wandb has everything."""
        run, self._run = self._run, None
        if run is not None and self._is_own:
            run.finish()

    def _start(self) -> None:
        self._wandb = imported("wandb", "wandb")
        self._is_own = self._wandb.run is None
        self._run = self._wandb.init(**self._with_defaults()) if self._is_own else self._wandb.run
        self._run.define_metric("*", step_metric="step")

    def _with_defaults(self) -> dict[str, Any]:
        """A question about an account would stop the training, and a copied standard output what it prints."""
        options = dict(self._options)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            options = {"dir": str(self.folder), "name": self.folder.absolute().name, **options}
        if "mode" not in options and "WANDB_MODE" not in os.environ and not self._wandb.login(prompt=False):
            options["mode"] = "offline"
        options.setdefault("project", "runtime_guard")
        options.setdefault("settings", self._wandb.Settings(console="off", silent=True))
        return options

    def _shown(self, key: str, value: Value) -> Any:
        match value:
            case Histogram():
                return self._wandb.Histogram(np_histogram=(list(value.counts), [value.minimum, *value.limits]))
            case Picture():
                return self._wandb.Image(value.pixels, caption=value.caption)
            case Text():
                from runtime_guard.report.markup import as_html

                return self._wandb.Html(as_html(value.text), inject=False)
            case Curve():
                rows = [list(row) for row in zip(value.recall, value.precision, strict=True)]
                table = self._wandb.Table(columns=["recall", "precision"], data=rows)
                return self._wandb.plot.line(table, "recall", "precision", title=key)
        return value
