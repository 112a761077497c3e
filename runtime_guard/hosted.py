"""A training loop that a framework owns: its hooks tell of each turn, and of a bad step the turns are run again."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from torch import Tensor

from runtime_guard.guard import Guard
from runtime_guard.incidents import reenact
from runtime_guard.incidents.incident import TrainingIncident
from runtime_guard.loops.loop import resolve
from runtime_guard.loops.watcher import Watcher
from runtime_guard.monitor import Monitor
from runtime_guard.policy import Decision, Policy
from runtime_guard.scripts import uncaught
from runtime_guard.settings import Settings
from runtime_guard.sink import Sink
from runtime_guard.state import Stateful


class Options(TypedDict, total=False):
    """What `Guard` takes besides the objects that a framework knows itself."""

    logdir: str | Path | None
    state: Sequence[Stateful]
    policy: str | Policy | None
    monitors: str | Sequence[Monitor] | None
    sinks: Sequence[Sink] | None
    config: Mapping[str, Any] | None
    class_names: Sequence[str]
    settings: Settings | None


Again = Callable[[int, Any], None]
"""Runs the body of a turn with a batch's number and the batch: forward, backward, and the optimizer if it steps."""

Shown = Callable[[Any, Any], Mapping[str, Any]]
"""Makes the arguments of `Guard.samples` of a batch and of what the framework's step returned."""


class Hosted:
    """What the adapters have in common: each translates its framework's hooks to these methods, in this order.

    `start`, then per turn `begin` and `end`, `set_validation` and `validated`, `end_epoch`, and `finish` or `failed`.
    One object can follow several runs, one after the other; steps and epochs go on.
    """

    def __init__(self, options: Options, shown: Shown | None = None) -> None:
        """Raises TypeError for an option that `Guard` does not take."""
        try:
            inspect.signature(Guard).bind_partial(**options)
        except TypeError as error:
            raise TypeError(f"{error}; known are {', '.join(Options.__annotations__)}") from None
        self._options = options
        self._shown = shown
        self._guard: Guard | None = None
        self._again: Again | None = None
        self._state: Mapping[str, Any] | None = None
        self._batch: Any = None
        self._is_open = False
        self._is_turning = False

    @property
    def guard(self) -> Guard:
        """Of the run that goes on, or was the last. Raises RuntimeError before the first."""
        if self._guard is None:
            raise RuntimeError("there is no guard before the training begins, because the optimizer is not known")
        return self._guard

    @property
    def is_turning(self) -> bool:
        """Whether a training step goes on."""
        return self._is_turning

    def start(self, model: Any, optimizer: Any, *, again: Again, **found: Any) -> None:
        """A training begins, of what the framework knows: model, optimizer, and further arguments of `Guard`."""
        if self._guard is not None:
            self.finish()
            self._state = self._guard.state_dict()
        state = [*found.pop("state", ()), *self._options.get("state", ())]
        self._guard = Guard(model, optimizer, **{**found, **self._options, "state": state})
        self._again = again
        self._is_open = True
        if self._state is not None:
            self._guard.load_state_dict(self._state)
        watcher = self._guard.watcher
        if watcher is not None:
            watcher.surroundings, watcher.left = None, None
            watcher.open()
            watcher.hooks.panel.mark("ask")
            uncaught.listen(self._guard)

    def begin(self, batch: Any, number: int) -> None:
        """The framework is about to train with this batch, which has this number in its epoch."""
        watcher = self._watcher
        if watcher is None:
            return
        bundle = reenact.bundle_for(self.guard.number)
        if bundle is not None:
            assert self._again is not None
            for index, again in enumerate(reenact.turns(bundle, watcher)):
                self._again(bundle.micro_batches[index]["number"], again)
        watcher.begin_micro_batch(batch, number)
        watcher.hooks.panel.mark("batch")
        self._batch, self._is_turning = batch, True

    def end(self, outputs: Any = None) -> None:
        """The framework has trained with it. Raises `TrainingIncident` where that is the policy."""
        watcher = self._watcher
        if watcher is None or not self._is_turning:
            return
        self._is_turning = False
        batch, self._batch = self._batch, None
        self._show(batch, outputs)
        watcher.end_micro_batch()
        self._resolve(watcher)
        watcher.hooks.panel.mark("ask")

    def set_validation(self, *, is_on: bool) -> None:
        """A validation begins or ends."""
        if self._watcher is not None:
            self._watcher.phase = "validation" if is_on else "train"

    def validated(self, batch: Any, outputs: Any) -> None:
        """A validation has looked at this batch. Its loss is what the step returned, or stands there under "loss"."""
        if self._watcher is None:
            return
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if isinstance(loss, Tensor) and loss.numel() == 1:
            self.guard.loss(loss)
        self._show(batch, outputs)

    def exhausted(self) -> None:
        """The loader came to its end: numbers that are still on their way are waited for."""
        watcher = self._watcher
        if watcher is not None:
            watcher.finish_epoch()
            self._resolve(watcher)

    def end_epoch(self, metrics: Mapping[str, Any] | None = None) -> None:
        """An epoch is over, with its validation."""
        if self._watcher is not None:
            self.exhausted()
            self.guard.epoch_end(metrics)
            self._watcher.tracked.look_again()

    def finish(self, metrics: Mapping[str, Any] | None = None) -> None:
        """The training is over; once more does nothing."""
        if not self._is_open:
            return
        watcher = self._watcher
        self._is_open = False
        try:
            if watcher is not None and watcher.suspicion is None:
                watcher.finish_epoch()
                self._resolve(watcher)
        finally:
            if watcher is not None:
                watcher.abandon()
            self.guard.close(metrics)

    def failed(self, error: BaseException) -> None:
        """An error ends the training. Raises `TrainingIncident` from it where numbers that are not finite made it."""
        watcher = self._watcher
        if watcher is None:
            return
        incident: TrainingIncident | None = None
        self.guard.ended_by(error)
        if not isinstance(error, TrainingIncident) and self._is_turning and self._again is not None:
            watcher.leave(self._again)
            incident = self.guard.explain(error)
        watcher.abandon()
        self._is_open = self._is_turning = False
        self.guard.close()
        if incident is not None:
            raise incident from error

    def state_dict(self) -> dict[str, Any]:
        """The guard's, for a checkpoint."""
        return {} if self._guard is None else self._guard.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The next run goes on there."""
        self._state = state or None

    def _show(self, batch: Any, outputs: Any) -> None:
        if self._shown is not None:
            self.guard.samples(**self._shown(batch, outputs))

    @property
    def _watcher(self) -> Watcher | None:
        return self._guard.watcher if self._guard is not None and self._is_open else None

    def _resolve(self, watcher: Watcher) -> None:
        """Runs a bad step again, and afterwards, in earnest, what was begun after it and taken back."""
        try:
            self._resolve_all(watcher)
        except TrainingIncident:
            # Not every framework tells of an error that a hook raises.
            self._is_open = False
            watcher.abandon()
            self.guard.close()
            raise

    def _resolve_all(self, watcher: Watcher) -> None:
        assert self._again is not None
        queue: deque[tuple[object, int]] = deque()
        while watcher.suspicion is not None or queue:
            if watcher.suspicion is not None:
                requeued = watcher.requeued()
                if self._replay(watcher, self._again) is not Decision.WARN:
                    queue.extendleft(reversed(requeued))
                continue
            batch, number = queue.popleft()
            watcher.begin_micro_batch(batch, number)
            self._again(number, batch)
            watcher.end_micro_batch()

    def _replay(self, watcher: Watcher, again: Again) -> Decision:
        assert watcher.suspicion is not None
        numbers = [micro_batch.number for micro_batch in watcher.suspicion.window.micro_batches]
        turns = resolve(watcher, self.guard)
        try:
            # One more, for what follows from the last turn; there is none where nothing can be run again.
            for number in [*numbers, -1]:
                again(number, next(turns))
        except StopIteration as ended:
            decision: Decision = ended.value
            return decision
        except Exception as error:
            turns.close()  # Judges what is known so far.
            if not isinstance(error, TrainingIncident):
                self.guard.raise_pending(error)
            raise
        raise AssertionError("a replay has as many turns as the step")
