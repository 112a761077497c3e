"""Follows a training loop: keeps what is needed to run a step again, and says when one went wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from runtime_guard.incidents.incident import StepRecord
from runtime_guard.loops.restoration import Restoration
from runtime_guard.loops.step import MicroBatch, Suspicion, Window
from runtime_guard.loops.surroundings import Surroundings
from runtime_guard.policy import Decision, Retries
from runtime_guard.readings.samples import Phase, samples_of
from runtime_guard.replay.session import ReplaySession, versions_of
from runtime_guard.sentinel import taps
from runtime_guard.sentinel.history import History
from runtime_guard.sentinel.hooks import Hooks
from runtime_guard.settings import Settings
from runtime_guard.state import LightState, RngState, TensorCopies, Tracked

_MAX_MICRO_BATCHES = 512
_MAX_WITHOUT_UPDATE = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Left:
    """A loop that was left in the midst of its body, by `break` or by an error: a generator cannot tell."""

    window: Window
    suspicion: Suspicion | None
    surroundings: Surroundings | None
    """None where no guarded loop was around the step."""
    body: Callable[[int, Any], None] | None = None
    """Runs a turn with the number of a batch and the batch; None where it has to be found in the source."""


class Watcher:
    """One training loop's state machine. The loop tells it of batches; its `hooks` hear of everything else."""

    def __init__(self, tracked: Tracked, settings: Settings, *, lets_bad_updates_pass: bool, restores: bool) -> None:
        self.tracked = tracked
        self.settings = settings
        self.step = 0
        self.phase: Phase = "train"
        self.epoch = 0
        self.retries = Retries(settings.max_skips, settings.max_rollbacks)
        self.restoration = Restoration(tracked, settings, self.retries)
        self.hooks = Hooks(tracked, settings, self.retries, lets_pass=lets_bad_updates_pass, restores=restores)
        self._buffers = [TensorCopies(), TensorCopies()]
        self._is_open = False
        self.surroundings: Surroundings | None = None
        """Of the loop that began last."""
        self.left: Left | None = None
        """Until the next loop begins."""
        self.is_detached = False
        self._turns: weakref.ref[Generator[Any, None, None]] | None = None

    def open(self) -> None:
        """Starts listening to `backward` and scalers."""
        if not self._is_open:
            taps.listen(self.hooks.shield)
            self.hooks.panel.open()
            self._is_open = True

    def close(self) -> None:
        """Stops listening."""
        taps.unlisten(self.hooks.shield)
        self._is_open = False
        self.hooks.drop_scaled()

    def detach(self) -> None:
        """Stops listening, and takes the hooks off the optimizers, for good."""
        self.is_detached = True
        self.close()
        self.hooks.detach()

    def hands_out(self, turns: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """Tells of the generator that a loop takes its batches from; returns it."""
        self._turns = weakref.ref(turns)
        return turns

    def end_loop(self) -> None:
        """Ends the generator that a loop still holds, which will not be asked again."""
        turns = None if self._turns is None else self._turns()
        if turns is not None and inspect.getgeneratorstate(turns) != inspect.GEN_RUNNING:
            turns.close()

    def add_optimizer(self, name: str, optimizer: Optimizer) -> None:
        """One that the script made after the guard."""
        self.hooks.add_optimizer(name, optimizer)

    @property
    def history(self) -> History:
        """What was seen of past updates."""
        return self.hooks.inspection.history

    @property
    def suspicion(self) -> Suspicion | None:
        """What is wrong; None when nothing is."""
        return self.hooks.suspicion

    def state_dict(self) -> dict[str, Any]:
        """Where the loop stands, and what was seen so far. Plain numbers, strings, lists and dicts."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "history": [dataclasses.asdict(record) for record in self.history.records],
            "early": self.hooks.inspection.early.state_dict(),
            "panel": self.hooks.panel.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where another run stood."""
        self.step, self.epoch = state["step"], state["epoch"]
        self.history.replace(
            StepRecord(**{**record, "learning_rates": tuple(record["learning_rates"])}) for record in state["history"]
        )
        self.hooks.inspection.early.load_state_dict(state["early"])
        self.hooks.panel.load_state_dict(state["panel"])

    def name_loss(self, loss: Tensor, name: str) -> None:
        """The user said what the loss is."""
        if self.phase == "validation":
            self.hooks.panel.validation_loss(name, loss)
        elif self.hooks.replay is not None:
            self.hooks.replay.note_loss(loss, name)
        elif self.hooks.window is not None:
            self.hooks.window.add_loss(loss, name)

    def observe(self, scores: Any, targets: Any, **rest: Any) -> None:
        """The user shows a batch. What a replay shows again is not new."""
        panel = self.hooks.panel
        if panel.is_on and self.hooks.replay is None:
            panel.observe(samples_of(scores, targets, phase=self.phase, epoch=self.epoch, step=self.step, **rest))

    # The loop

    def begin_micro_batch(self, batch: object, number: int) -> None:
        """The loop body is about to run with this batch."""
        self.hooks.shield.run(lambda: self._begin_micro_batch(batch, number), None)

    def _begin_micro_batch(self, batch: object, number: int) -> None:
        window, rng = self.hooks.window, None
        if window is None:
            window = self.hooks.window = self._new_window()
            rng = window.state.rng
            self.hooks.inspection.early.begin(self.step)
            self.hooks.panel.begin(self.step)
        window.micro_batches.append(MicroBatch(batch, number, rng or RngState(), versions_of(batch)))
        self.hooks.panel.batch(batch)
        if len(window.micro_batches) > _MAX_MICRO_BATCHES:
            del window.micro_batches[0]

    def end_micro_batch(self) -> None:
        """The loop body has run. Afterwards `suspicion` says whether something is wrong."""
        self.hooks.shield.run(self._end_micro_batch, None)

    def _end_micro_batch(self) -> None:
        hooks = self.hooks
        window = hooks.window
        if hooks.replay is None:
            hooks.panel.mark("end")
        hooks.drop_scaled()
        hooks.inspection.early.end()
        if window is None or hooks.replay is not None:
            return
        if not window.micro_batches[-1].has_backward and window.num_updates == 0:
            window.drop_last_micro_batch()
            if not window.micro_batches:
                hooks.window = None
            return
        if window.num_updates == 0 and self._may_accumulate(window):
            if not hooks.has_gate_fired and self.suspicion is None:
                self._look_at_the_rest(window)
            if self.suspicion is None:
                return
        if self.suspicion is None:
            self._look_at_the_rest(window)
        hooks.window = None
        hooks.updates_per_window = max(1, window.num_updates)
        if self.suspicion is None:
            hooks.panel.end_step(self.step)
            hooks.settle(wait=False)
            self.step += 1
            if self.suspicion is None:
                first = hooks.inspection.first_unsettled
                hooks.panel.send(before=self.step if first is None else first)
        elif self.suspicion.window is not window:
            hooks.later.append(window)

    def finish_epoch(self) -> None:
        """The loader is exhausted: nothing may stay on its way. Waits."""
        self.hooks.shield.run(self._finish_epoch, None)

    def _finish_epoch(self) -> None:
        if self.suspicion is None:
            self.hooks.settle(wait=True)
        if self.suspicion is None:
            self.hooks.panel.exhausted()

    def leave(self, body: Callable[[int, Any], None] | None = None) -> None:
        """The loop was left in the midst of its body: keeps what an error can be explained with."""
        window, surroundings = self.hooks.window, self.surroundings
        if self.suspicion is not None:
            self.left = Left(self.suspicion.window, self.suspicion, surroundings, body)
        elif window is not None and window.micro_batches:
            # What the body did not get to is taken out of the window afterwards.
            kept = dataclasses.replace(window, micro_batches=[*window.micro_batches], losses=[*window.losses])
            self.left = Left(kept, None, surroundings, body)

    def abandon(self) -> None:
        """The loop was left early: what was begun is forgotten."""
        self.hooks.window = None
        self.hooks.inspection.forget()
        self.hooks.inspection.early.end()

    # After an incident

    @contextlib.contextmanager
    def replaying(self, suspicion: Suspicion | None = None) -> Iterator[ReplaySession]:
        """Puts the state back, and has everything looked at while the loop body runs again.

        For the window that is suspected, or for one that the caller suspects, who has then kept the state as it is.
        """
        if suspicion is None and self.hooks.lets_pass:
            self.restoration.keep_after()
        suspicion = suspicion or self.suspicion
        assert suspicion is not None
        self.restoration.before_replay(suspicion, self.hooks.later)
        try:
            with ReplaySession(self.tracked) as session:
                self.hooks.replay = session
                yield session
        finally:
            self.hooks.replay = None

    def can_restore(self, suspicion: Suspicion) -> bool:
        """Whether the state from before the step is at hand."""
        return suspicion.is_prevented or suspicion.first_snapshot < len(suspicion.window.snapshots)

    def restore(self, decision: Decision) -> None:
        """Puts the state where the decision wants it."""
        suspicion = self.suspicion
        assert suspicion is not None
        match decision:
            case Decision.WARN:
                self.restoration.after_step()
            case Decision.ROLLBACK:
                self.step = self.restoration.roll_back()
            case _ if self.can_restore(suspicion):
                self.restoration.before_step(suspicion, self.hooks.later)

    def requeued(self) -> list[tuple[object, int]]:
        """Batches, with their numbers, that were handed out after the bad step and have to be handed out again."""
        return [(m.batch, m.number) for window in self.hooks.later for m in window.micro_batches]

    def resolved(self, decision: Decision) -> None:
        """Forgets the incident."""
        hooks = self.hooks
        assert hooks.suspicion is not None
        if decision is Decision.WARN:
            hooks.panel.end_step(self.step)
        else:
            hooks.panel.forget(hooks.suspicion.window.step)
        hooks.suspicion = None
        hooks.later = []
        hooks.window = None
        hooks.inspection.forget()
        hooks.inspection.scale.forget_falls()
        hooks.is_quiet = decision is Decision.WARN
        if decision is Decision.WARN:
            self.step += 1
        hooks.panel.mark("open")

    # Inside

    def _new_window(self) -> Window:
        self._buffers.reverse()
        state = LightState(self.tracked, self._buffers[0])
        # A snapshot must not hold an update of which nobody knows yet whether it was good.
        if self.hooks.inspection.is_settled and not self.hooks.is_quiet:
            self.restoration.snapshot_if_due(self.step)
        return Window(self.step, self.epoch, state)

    def _may_accumulate(self, window: Window) -> bool:
        """Whether an update may still come for these micro-batches; some optimizers never run torch's hooks."""
        return self.hooks.has_gate_fired or len(window.micro_batches) < _MAX_WITHOUT_UPDATE

    def _look_at_the_rest(self, window: Window) -> None:
        found = self.hooks.inspection.rest(window)
        if found is not None:
            self.hooks.suspect(found)
