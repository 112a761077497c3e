"""Asks the monitors, has what they read travel in one transfer per update, and hands it to the sinks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from runtime_guard import ranks
from runtime_guard.binning import NUM_BINS, NUM_STATISTICS, unbinned
from runtime_guard.monitor import Binned, Moment, Monitor
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sink import Histogram, Sink
from runtime_guard.state import Tracked
from runtime_guard.step import Loss
from runtime_guard.ticket import Ticket

_MAX_ON_THEIR_WAY = 64


@dataclass(slots=True)
class _Row:
    step: int
    values: list[tuple[str, float | None]]
    """In the order in which they were read; None for those that travel."""
    sizes: list[int]
    ticket: Ticket | None


class Panel:
    """Monitors on one side, sinks on the other. On ranks other than the first it does nothing.

    A monitor or sink that raises is left out from then on, with a warning: watching must not end the training.
    """

    def __init__(self, tracked: Tracked, monitors: Iterable[Monitor] = (), sinks: Iterable[Sink] = ()) -> None:
        self._tracked = tracked
        self._monitors = list(monitors)
        self._sinks = list(sinks)
        self._rows: list[_Row] = []
        self._names: dict[int, str] = {}

    @property
    def _is_on(self) -> bool:
        return bool(self._monitors and self._sinks) and ranks.rank() == 0

    def after_backward(self, step: int, scale: Tensor | None) -> None:
        """`backward` has run, on a loss times `scale`."""
        if self._is_on:
            parameters = list(self._tracked.parameters)
            with torch.no_grad():
                self._ask(lambda monitor: monitor.after_backward(step, parameters, scale))

    def before_update(self, step: int, name: str, optimizer: Optimizer, losses: Sequence[Loss]) -> None:
        """The update is about to be made, and what it is made of is healthy as far as that is known."""
        if not self._is_on:
            return
        self._flush(wait=len(self._rows) >= _MAX_ON_THEIR_WAY)
        suffix = f"/{name}" if len(self._tracked.named_optimizers) > 1 else ""
        scalers = (s for s in self._tracked.scalers if s.is_enabled() and s._scale is not None)
        scaler = next(scalers, None)
        moment = Moment(step, suffix, optimizer, losses, None if scaler is None else scaler._scale, self._labels())
        found: list[tuple[str, Tensor | float | Binned]] = []
        with torch.no_grad():
            self._ask(lambda monitor: found.extend(monitor.read(moment)))
            if found:
                self._rows.append(_row(step, found))

    def forget(self, step: int) -> None:
        """This update and later ones did not count."""
        self._rows = [row for row in self._rows if row.step < step]

    def finish_epoch(self) -> None:
        """Waits for what is on its way."""
        self._flush(wait=True)

    def close(self) -> None:
        """Waits, and closes the sinks."""
        self._flush(wait=True)
        if ranks.rank() == 0:
            self._tell(lambda sink: sink.close())

    def _labels(self) -> dict[int, str]:
        parameters = self._tracked.parameters
        if any(id(p) not in self._names for p in parameters):
            names = self._tracked.names()
            self._names = {id(p): names.get(id(p), (f"parameter_{number}",))[0] for number, p in enumerate(parameters)}
        return self._names

    def _flush(self, *, wait: bool) -> None:
        while self._rows and (wait or self._rows[0].ticket is None or self._rows[0].ticket.has_arrived):
            row = self._rows.pop(0)
            readings = _arrived(row)
            self._tell(lambda sink: sink.write(readings, row.step))  # noqa: B023 - called at once

    def _ask(self, call: Callable[[Monitor], Any]) -> None:
        self._monitors = _those_that_can(self._monitors, call, "monitor")

    def _tell(self, call: Callable[[Sink], Any]) -> None:
        self._sinks = _those_that_can(self._sinks, call, "sink")


def _those_that_can(members: list[Any], call: Callable[[Any], Any], what: str) -> list[Any]:
    able = []
    for member in members:
        try:
            call(member)
        except Exception as error:
            text = f"the {what} {type(member).__name__} is left out from now on: {type(error).__name__}: {error}"
            warnings.warn(f"runtime_guard: {text}", GuardWarning, stacklevel=4)
        else:
            able.append(member)
    return able


def _row(step: int, found: list[tuple[str, Tensor | float | Binned]]) -> _Row:
    values: list[tuple[str, float | None]] = []
    vectors: list[Tensor] = []
    for key, value in found:
        if isinstance(value, (Binned, Tensor)):
            values.append((key, None))
            vectors.append((value.vector if isinstance(value, Binned) else value).detach().double().reshape(-1))
        else:
            values.append((key, float(value)))
    if not vectors:
        return _Row(step, values, [], None)
    # Where most of them are: host numbers go to the device, so that one transfer brings all back.
    device = next((v.device for v in vectors if v.device.type != "cpu"), vectors[0].device)
    vector = torch.cat([v.to(device, non_blocking=True) for v in vectors])
    return _Row(step, values, [v.numel() for v in vectors], Ticket(vector))


def _arrived(row: _Row) -> dict[str, float | Histogram]:
    numbers = iter(row.ticket.values() if row.ticket is not None else ())
    sizes = iter(row.sizes)
    readings: dict[str, float | Histogram] = {}
    for key, value in row.values:
        if value is not None:
            readings[key] = value
            continue
        own = [next(numbers) for _ in range(next(sizes))]
        if len(own) == NUM_BINS + NUM_STATISTICS:
            if (counted := unbinned(own)) is not None:
                histogram, statistics = counted
                readings[key.replace("*", "min", 1)] = statistics.minimum
                readings[key.replace("*", "mean", 1)] = statistics.mean
                readings[key.replace("*", "max", 1)] = statistics.maximum
                readings[key.replace("*", "zeros", 1)] = statistics.zeros
                readings[key.replace("*", "histogram", 1)] = histogram
        else:
            readings[key] = own[0]
    return readings
