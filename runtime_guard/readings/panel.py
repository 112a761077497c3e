"""Asks the monitors what they read, and sends it to the sinks."""

from __future__ import annotations

import inspect
import itertools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from runtime_guard import ranks
from runtime_guard.loops.step import Loss
from runtime_guard.monitor import Epoch, Moment, Monitor, Point, Run
from runtime_guard.reading import Reading
from runtime_guard.readings.courier import Courier, warn_of_failure
from runtime_guard.readings.exchange import Exchange
from runtime_guard.readings.parcel import Parcel
from runtime_guard.readings.samples import Samples
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sink import Sink
from runtime_guard.state import Tracked

_MAX_ON_THEIR_WAY = 64

_numbers = itertools.count()
"""The ranks make their panels in the same order."""


class Panel:
    """Monitors on one side, sinks on the other. In a distributed run every rank has monitors, and the first one sinks.

    A monitor or sink that raises is left out from then on, with a warning: watching must not end the training.
    """

    def __init__(
        self,
        tracked: Tracked,
        monitors: Iterable[Monitor] = (),
        sinks: Iterable[Sink] = (),
        make_run: Callable[[], Run] | None = None,
        warn: Callable[[str, Exception], None] = warn_of_failure,
    ) -> None:
        """`make_run` is asked once, before the first step; `warn` is told of sinks that fail."""
        self._tracked = tracked
        self._monitors = list(monitors)
        self._hearing = _hearing(self._monitors)
        self._sinks = list(sinks)
        self._warn = warn
        self._courier: Courier | None = None
        """Made when the first step comes: by then the processes of a distributed run know each other."""
        self._make_run = make_run
        self._number = next(_numbers)
        self._has_started = False
        self._found: list[Reading] = []
        """Of the step that is going on."""
        self._moments: dict[str, Moment] = {}
        self._parcels: list[Parcel] = []
        self._names: dict[int, str] = {}
        self._last_step = -1
        self._num_epochs = 0
        self._has_unended = False
        self._is_exhausted = False

    @property
    def is_on(self) -> bool:
        """Whether anything is shown."""
        return bool(self._monitors and self._sinks) and (self._courier is None or self._courier.has_sinks)

    # The loop

    def open(self) -> None:
        """A training loop begins. An epoch that the last one ran to its end is over, where nobody said so."""
        if not self.is_on:
            if ranks.num_ranks() > 1 and ranks.rank() > 0 and not self._has_started:
                # The first rank need not wait for what will not come.
                self._has_started = True
                Exchange(self._number).leave()
            return
        if self._is_exhausted and self._has_unended:
            self.end_epoch({})
        self._is_exhausted = False
        if not self._has_started:
            self._has_started = True
            run = Run(self._tracked.models, self._tracked.named_optimizers) if not self._make_run else self._make_run()
            self._tell("start", run)
        self.mark("open")

    def begin(self, step: int) -> None:
        """The first micro-batch of an update comes next."""
        if self.is_on:
            self._found.clear()
            self._moments.clear()
            self._tell("begin", step)

    def batch(self, batch: object) -> None:
        """The loop's body is about to be given it."""
        if self.is_on:
            self._tell("batch", batch)

    def mark(self, point: Point) -> None:
        """The turn of the loop has come to this point."""
        if self.is_on:
            self._tell("mark", point)

    def end_step(self, step: int) -> None:
        """The update has been made, and is healthy as far as that is known."""
        self._last_step = step
        if not self.is_on:
            return
        self._has_unended = True
        self._read("end_step", self._found, step)
        if self._found or ranks.num_ranks() > 1:
            self._parcels.append(Parcel(step, tuple(self._found)))
            self._found.clear()

    def send(self, before: int) -> None:
        """Hands on what has arrived of the steps before this one, which are known to be healthy."""
        while self._parcels and self._parcels[0].step < before:
            if not self._parcels[0].has_arrived and len(self._parcels) < _MAX_ON_THEIR_WAY:
                return
            self._sent(self._parcels.pop(0))

    def forget(self, step: int) -> None:
        """This update and later ones did not count."""
        self._found.clear()
        self._moments.clear()
        self._parcels = [parcel for parcel in self._parcels if parcel.step < step]
        if self.is_on:
            self._tell("forget", step)

    def exhausted(self) -> None:
        """The loader has come to its end. Sends everything; nothing of it is in doubt any more."""
        self._is_exhausted = True
        self.mark("exhausted")
        self._send_all()

    # The step

    def after_backward(self, step: int, scale: Tensor | None) -> None:
        """`backward` has run, on a loss times `scale`."""
        if self.is_on:
            # Not those of the models: walking through large ones takes as long as their norms.
            optimizers = self._tracked.optimizers
            parameters = {id(p): p for o in optimizers for group in o.param_groups for p in group["params"]}
            self._tell("after_backward", step, list(parameters.values()), scale)

    def before_update(self, step: int, name: str, optimizer: Optimizer, losses: Sequence[Loss]) -> None:
        """The update is about to be made, and what it is made of is healthy as far as that is known."""
        if not self.is_on:
            return
        suffix = f"/{name}" if len(self._tracked.named_optimizers) > 1 else ""
        scalers = (s for s in self._tracked.scalers if s.is_enabled() and s._scale is not None)
        scaler = next(scalers, None)
        moment = Moment(
            step, suffix, optimizer, losses, None if scaler is None else scaler._scale, self._labels(optimizer)
        )
        self._moments[name] = moment
        self._read("read", self._found, moment)

    def after_update(self, name: str) -> None:
        """It has been made."""
        moment = self._moments.pop(name, None)
        if moment is not None and self.is_on:
            self._read("after_update", self._found, moment)

    # What the user shows

    def validation_loss(self, name: str, loss: Tensor) -> None:
        """Of a batch of a validation loop."""
        if self.is_on:
            self._has_unended = True
            found: list[Reading] = []
            self._read("validation_loss", found, name, loss.detach())
            if not found and ranks.num_ranks() == 1:
                return
            parcel = Parcel(max(self._last_step, 0), found, "validation")
            if 0 < len(self._parcels) < _MAX_ON_THEIR_WAY:
                self._parcels.append(parcel)  # Steps come in order.
            else:
                self._sent(parcel)

    def observe(self, samples: Samples) -> None:
        """Of a batch, in training or validation."""
        if self.is_on:
            self._has_unended = True
            self._tell("observe", samples)

    def end_epoch(self, metrics: Mapping[str, Any]) -> None:
        """May wait."""
        if not self.is_on:
            return
        self._send_all()
        epoch = Epoch(self._num_epochs, max(self._last_step, 0), metrics)
        self._num_epochs += 1
        self._has_unended = False
        self._show_now("end_epoch", epoch)

    def show_incident(self, step: int, verdict: str) -> None:
        """Waits until it is written: the process may end of it."""
        if self.is_on:
            found: list[Reading] = []
            self._read("incident", found, step, verdict)
            if found or ranks.num_ranks() > 1:
                self._sent(Parcel(step, found, "incident"))
            if self._courier is not None and ranks.num_ranks() == 1:
                self._courier.flush()

    def close(self, metrics: Mapping[str, Any]) -> None:
        """Waits, and closes the sinks."""
        if self.is_on and self._has_started:
            if self._has_unended:
                self.end_epoch({})
            self._send_all()
            self._show_now("close", metrics)
        if self._courier is not None:
            self._courier.close()

    def state_dict(self) -> dict[str, int]:
        """Where the run stands."""
        return {"epochs": self._num_epochs, "last_step": self._last_step}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Goes on there."""
        self._num_epochs, self._last_step = state["epochs"], state["last_step"]

    # Inside

    def _show_now(self, event: str, *args: Any) -> None:
        found: list[Reading] = []
        self._read(event, found, *args)
        if found or ranks.num_ranks() > 1:
            self._sent(Parcel(max(self._last_step, 0), found, event))

    def _send_all(self) -> None:
        while self._parcels:
            self._sent(self._parcels.pop(0))

    def _sent(self, parcel: Parcel) -> None:
        if self._courier is None:
            exchange = Exchange(self._number) if ranks.num_ranks() > 1 else None
            self._courier = Courier(self._sinks, self._warn, exchange)
        self._courier.send(parcel)

    def _labels(self, optimizer: Optimizer) -> dict[int, str]:
        if any(id(p) not in self._names for group in optimizer.param_groups for p in group["params"]):
            parameters = self._tracked.parameters
            names = self._tracked.names()
            self._names = {id(p): names.get(id(p), (f"parameter_{number}",))[0] for number, p in enumerate(parameters)}
        return self._names

    def _read(self, event: str, found: list[Reading], *args: Any) -> None:
        with torch.no_grad():
            for monitor in self._hearing[event]:
                self._try(monitor, lambda: found.extend(getattr(monitor, event)(*args)))  # noqa: B023 - called at once

    def _tell(self, event: str, *args: Any) -> None:
        with torch.no_grad():
            for monitor in self._hearing[event]:
                self._try(monitor, lambda: getattr(monitor, event)(*args))  # noqa: B023 - called at once

    def _try(self, monitor: Monitor, call: Callable[[], Any]) -> None:
        try:
            call()
        except Exception as error:
            self._monitors = [other for other in self._monitors if other is not monitor]
            self._hearing = _hearing(self._monitors)
            text = f"without the monitor {type(monitor).__name__}: {type(error).__name__}: {error}"
            warnings.warn(f"runtime_guard goes on {text}", GuardWarning, stacklevel=5)


def _hearing(monitors: Sequence[Monitor]) -> dict[str, list[Monitor]]:
    """Which of them hear of what; those that do nothing of it cost nothing."""
    events = [name for name, member in vars(Monitor).items() if inspect.isfunction(member)]
    return {
        event: [monitor for monitor in monitors if getattr(type(monitor), event) is not getattr(Monitor, event)]
        for event in events
    }
