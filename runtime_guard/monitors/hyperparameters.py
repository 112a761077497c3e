"""What the run was set to, with what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from runtime_guard import reading
from runtime_guard.device.averages import Averages
from runtime_guard.monitor import Epoch, Moment, Monitor, Run
from runtime_guard.reading import Derived, Reading
from runtime_guard.readings.run_config import flat_config, optimizer_config


class Hyperparameters(Monitor):
    """The run's settings beside its final metrics, so that runs can be compared: which learning rate gave which
    accuracy.

    Settings are those of `Guard(config=...)`, and the optimizer's as they were at the first update. Metrics are the
    numbers among the last ones that `Guard.close` or `Guard.epoch_end` was given, and the losses of the last epoch.

    Writes:
        `hyperparameters`: settings and metrics, in TensorBoard's HParams of the same run; metrics are called
            `final/...` there.

    When: when the guard is closed.
    Cost: one small operation each update.
    """

    def __init__(self) -> None:
        self._run: Run | None = None
        self._values: dict[str, str | float | bool] = {}
        self._losses = {"train": Averages(), "validation": Averages()}
        self._names: list[str] = []
        self._sums: Tensor | None = None

    def start(self, run: Run) -> None:
        """Learns what is watched."""
        self._run = run

    def read(self, moment: Moment) -> Iterator[Reading]:
        """Nothing yet, but what there is to be known at the first update."""
        if not self._values and self._run is not None:
            self._values = {**optimizer_config(self._run.optimizers), **flat_config(self._run.config)}
        for loss in moment.losses:
            self._losses["train"].add(loss.name, loss.value.detach().double().mean(), moment.step)
        yield from ()

    def forget(self, step: int) -> None:
        """Its loss is not the run's."""
        self._losses["train"].forget(step)

    def validation_loss(self, name: str, loss: Tensor) -> Iterator[Reading]:
        """Nothing yet."""
        self._losses["validation"].add(name, loss.double().mean())
        yield from ()

    def end_epoch(self, epoch: Epoch) -> Iterator[Reading]:
        """Nothing yet, but its losses may be the last."""
        found = {f"{name}/{phase}": sums for phase, losses in self._losses.items() for name, sums in losses.sums()}
        if found:
            self._names, self._sums = list(found), torch.cat([sums.cpu() for sums in found.values()])
        yield from ()

    def close(self, metrics: Mapping[str, Any]) -> Iterator[Reading]:
        """Of a run that has made an update."""
        if not self._values:
            return
        numbers = {
            f"final/{name}": float(value) for name, value in metrics.items() if isinstance(value, (int, float, bool))
        }
        if self._sums is None:
            yield Reading("hyperparameters", reading.Hyperparameters(self._values, numbers))
            return

        def build(sums: Sequence[float]) -> dict[str, reading.Value]:
            means = [total / count for total, count in zip(sums[::2], sums[1::2], strict=True)]
            losses = {f"final/{name}": mean for name, mean in zip(self._names, means, strict=True)}
            return {"hyperparameters": reading.Hyperparameters(self._values, {**losses, **numbers})}

        yield Reading("hyperparameters", Derived(self._sums, build), "sum")
