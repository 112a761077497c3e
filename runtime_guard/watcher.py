"""Follows a training loop: keeps what is needed to run a step again, and says when one went wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import LBFGS, Optimizer

from runtime_guard import ranks, taps
from runtime_guard.gate import Gate
from runtime_guard.history import History
from runtime_guard.policy import Decision, Retries
from runtime_guard.protection import Protection, choose_protection
from runtime_guard.replay.session import ReplaySession, batch_tensors
from runtime_guard.sentinel import Finding, Look, Sentinel, record_of
from runtime_guard.settings import Settings
from runtime_guard.state import LightState, RngState, Snapshot, TensorCopies, Tracked
from runtime_guard.step import Loss, MicroBatch, Suspicion, Window

_MAX_MICRO_BATCHES = 512
_MAX_WITHOUT_UPDATE = 32


@dataclass(frozen=True, slots=True)
class _Unsettled:
    """A look whose numbers nobody has read yet."""

    window: Window
    gate: Gate | None
    look: Look
    first_snapshot: int


class Watcher:
    """One training loop's state machine. The loop tells it of batches, torch's hooks of everything else."""

    def __init__(self, tracked: Tracked, settings: Settings, *, lets_bad_updates_pass: bool, restores: bool) -> None:
        self.tracked = tracked
        self.settings = settings
        self.history = History(settings.history)
        self.retries = Retries(settings.max_skips, settings.max_rollbacks)
        self.step = 0
        self.epoch = 0
        self.suspicion: Suspicion | None = None
        self.replay: ReplaySession | None = None
        self.later: list[Window] = []
        """Windows that were begun before an older one was found to be bad."""
        self.on_parameters: Callable[[Gate, Finding], None] | None = None
        """Called at once when an update itself made parameters bad, while the optimizer's state is fresh."""
        self._lets_pass = lets_bad_updates_pass
        self._restores = restores
        self._sentinel = Sentinel(tracked.names)
        self._window: Window | None = None
        self._unsettled: list[_Unsettled] = []
        self._buffers = [TensorCopies(), TensorCopies()]
        self._scaled: list[Tensor] = []
        self._in_scaler: Optimizer | None = None
        self._has_gate_fired = False
        self._is_quiet = False
        self._updates_per_window = 2
        self._evaluated: dict[str, Snapshot] = {}
        self._after: tuple[Snapshot, LightState] | None = None
        self._scale_falls = 0
        self._last_scale: float | None = None
        self._rolling: tuple[int, Snapshot, LightState] | None = None
        self._protections: dict[str, Protection] = {}
        self._gates = [Gate(optimizer, name, self) for name, optimizer in tracked.named_optimizers.items()]
        self._is_open = False

    # The loop

    def open(self) -> None:
        """Starts listening to `backward` and scalers."""
        if not self._is_open:
            taps.listen(self)
            self._is_open = True

    def close(self) -> None:
        """Stops listening, for good when `forget` follows."""
        taps.unlisten(self)
        self._is_open = False
        self._scaled.clear()

    def detach(self) -> None:
        """Takes the hooks off the optimizers."""
        self.close()
        for gate in self._gates:
            gate.close()

    def add_optimizer(self, name: str, optimizer: Optimizer) -> None:
        """One that the script made after the guard."""
        self.tracked.named_optimizers[name] = optimizer
        self._gates.append(Gate(optimizer, name, self))

    def begin_micro_batch(self, batch: object, number: int) -> None:
        """The loop body is about to run with this batch."""
        if self._window is None:
            self._window = self._new_window()
        versions = tuple(tensor._version for _, tensor in batch_tensors(batch) if not tensor.is_inference())
        self._window.micro_batches.append(MicroBatch(batch, number, RngState(), versions))
        if len(self._window.micro_batches) > _MAX_MICRO_BATCHES:
            del self._window.micro_batches[0]

    def end_micro_batch(self) -> None:
        """The loop body has run. Afterwards `suspicion` says whether something is wrong."""
        window = self._window
        self._scaled.clear()
        if window is None or self.replay is not None:
            return
        micro_batch = window.micro_batches[-1]
        if not micro_batch.has_backward and window.num_updates == 0:
            window.micro_batches.pop()
            window.losses = [loss for loss in window.losses if loss.micro_batch < len(window.micro_batches)]
            if not window.micro_batches:
                self._window = None
            return
        if window.num_updates == 0 and self._may_accumulate(window):
            if not self._has_gate_fired and self.suspicion is None:
                self._look_at_the_rest(window)
            if self.suspicion is None:
                return
        if self.suspicion is None:
            self._look_at_the_rest(window)
        self._window = None
        self._updates_per_window = max(1, window.num_updates)
        if self.suspicion is None:
            self._settle(wait=False)
            self.step += 1
        elif self.suspicion.window is not window:
            self.later.append(window)

    def finish_epoch(self) -> None:
        """The loader is exhausted: nothing may stay on its way. Waits."""
        if self.suspicion is None:
            self._settle(wait=True)

    def abandon(self) -> None:
        """The loop was left early: what was begun is forgotten."""
        self._window = None
        self._unsettled.clear()

    @property
    def window(self) -> Window | None:
        return self._window

    def name_loss(self, loss: Tensor, name: str) -> None:
        """The user said what the loss is."""
        if self.replay is not None:
            self.replay.note_loss(loss, name)
        elif self._window is not None:
            self._add_loss(loss, name)

    # After an incident

    def restore_for_replay(self, suspicion: Suspicion) -> None:
        """What the step began with, but for updates that other optimizers made before the bad one."""
        window = suspicion.window
        for later in reversed(self.later):
            for snapshot in reversed(later.snapshots):
                snapshot.restore()
        for snapshot in reversed(window.snapshots[suspicion.first_snapshot :]):
            snapshot.restore()
        window.state.restore()
        self.drop_gradients()

    def restore_before(self, suspicion: Suspicion) -> None:
        """All of the state from before the step."""
        for window in [*reversed(self.later), suspicion.window]:
            for snapshot in reversed(window.snapshots):
                snapshot.restore()
        suspicion.window.state.restore()
        self.drop_gradients()

    @contextlib.contextmanager
    def replaying(self) -> Iterator[ReplaySession]:
        """Puts the state back, and has everything looked at while the loop body runs again."""
        assert self.suspicion is not None
        after = self._after_state() if self._lets_pass else None
        self.restore_for_replay(self.suspicion)
        try:
            with ReplaySession(self.tracked) as session:
                self.replay = session
                yield session
        finally:
            self.replay = None
            if after is not None:
                self._after = after

    def _after_state(self) -> tuple[Snapshot, LightState]:
        return Snapshot(self.tracked), LightState(self.tracked, TensorCopies())

    def restore_after(self) -> None:
        """What the first run of the body left behind, as if there had been no replay."""
        if self._after is not None:
            snapshot, light = self._after
            snapshot.restore()
            light.restore()
            self._after = None

    def drop_gradients(self) -> None:
        for parameter in self.tracked.parameters:
            parameter.grad = None

    def can_restore(self, suspicion: Suspicion) -> bool:
        """Whether the state from before the step is at hand."""
        return suspicion.is_prevented or suspicion.first_snapshot < len(suspicion.window.snapshots)

    @property
    def rolling_step(self) -> int | None:
        """The step that a rollback returns to."""
        return None if self._rolling is None else self._rolling[0]

    def roll_back(self) -> None:
        assert self._rolling is not None
        step, snapshot, light = self._rolling
        snapshot.restore()
        light.restore()
        self.drop_gradients()
        self.step = step

    def requeued(self) -> list[tuple[object, int]]:
        """Batches, with their numbers, that were handed out after the bad step and have to be handed out again."""
        return [(m.batch, m.number) for window in self.later for m in window.micro_batches]

    def resolved(self, decision: Decision) -> None:
        """Forgets the incident."""
        suspicion = self.suspicion
        assert suspicion is not None
        self.suspicion = None
        self.later = []
        self._window = None
        self._unsettled.clear()
        self._scale_falls = 0
        self._is_quiet = decision is Decision.WARN
        if decision is Decision.WARN:
            self.step += 1

    # Hooks: GateKeeper and taps.Listener

    def before_update(self, gate: Gate) -> bool:
        window = self._window
        if self.replay is not None:
            with self.replay.births.paused():
                names = self.tracked.names()
            self.replay.before_update([(" = ".join(names.get(id(p), ("a parameter",))), p) for p in gate.parameters])
            return not self._is_evaluating(gate)
        if window is None:
            return False
        self._has_gate_fired = True
        if gate.num_evaluations <= 1:
            window.num_updates += 1
        if self.suspicion is not None:
            return self._withhold_or_set_aside(gate, window)
        protection = self._protection(gate)
        if protection.is_late:
            self._settle(wait=True)
            if self.suspicion is not None:
                return self._withhold_or_set_aside(gate, window)
        is_scaled = self._in_scaler is gate.optimizer
        losses = [loss for loss in window.losses if not loss.is_examined]
        look = self._sentinel.look_at_gradients(gate, losses, window, is_scaled=is_scaled, is_late=protection.is_late)
        if protection.is_late:
            self._unsettled.append(_Unsettled(window, gate, look, len(window.snapshots)))
            assert look.flag is not None
            protection.arm(look.flag, window)
            return False
        finding = self._agreed(look.finding())
        if finding is None:
            self._healthy(gate, look)
            self._keep_for_skipping(gate, window)
            return False
        return self._suspect(finding, gate, window)

    def before_evaluations(self, gate: Gate) -> None:
        """An optimizer that evaluates a closure several times per step moves the parameters in between."""
        if isinstance(gate.optimizer, LBFGS):
            self._evaluated[gate.name] = Snapshot(self.tracked, {gate.name: gate.optimizer}, shallow_lists=True)

    def after_update(self, gate: Gate) -> None:
        evaluated = self._evaluated.pop(gate.name, None)
        if self.replay is not None or (self.suspicion is not None and gate.is_withheld):
            if evaluated is not None:
                evaluated.restore()
            return
        window = self._window
        self._protection(gate).disarm()
        if window is None or self.suspicion is not None or not self._are_parameters_due(gate):
            return
        protection = self._protection(gate)
        look = self._sentinel.look_at_parameters(gate, window, is_late=protection.is_late)
        if look is None:
            return
        if protection.is_late:
            self._unsettled.append(_Unsettled(window, gate, look, len(window.snapshots) - 1))
            return
        finding = self._agreed(look.finding())
        self.history.set_parameter_norm(look.norm())
        if finding is not None:
            first = len(window.snapshots)
            if evaluated is not None:
                window.snapshots.append(evaluated)
            elif window.snapshots and window.snapshots[-1].names == (gate.name,):
                first -= 1
            if self.on_parameters is not None and not self._is_quiet:
                self.on_parameters(gate, finding)
            self._suspect(finding, gate, window, is_prevented=False, first_snapshot=first)

    def backward_from(self, roots: Sequence[Tensor]) -> None:
        if self._window is None or self.replay is not None:
            return
        self._window.micro_batches[-1].has_backward = True
        for root in roots:
            if not any(root is scaled for scaled in self._scaled):
                self._add_loss(root, "loss")

    def scaled(self, loss: Tensor, scaled: Tensor) -> None:
        if self._window is not None and self.replay is None:
            self._scaled.append(scaled)
            self._add_loss(loss, "loss")

    def scaler_steps(self, scaler: GradScaler, optimizer: Optimizer) -> None:
        self._in_scaler = optimizer
        if self._window is not None and self.replay is None:
            self._window.num_updates += 1
            self._has_gate_fired = True
            if all(scaler is not known for known in self.tracked.scalers):
                self.tracked.scalers.append(scaler)

    def scaler_stepped(self) -> None:
        self._in_scaler = None

    # Inside

    def _new_window(self) -> Window:
        self._buffers.reverse()
        state = LightState(self.tracked, self._buffers[0])
        self._roll_snapshot(state)
        return Window(self.step, self.epoch, state)

    def _roll_snapshot(self, state: LightState) -> None:
        """With the policy rollback: a snapshot every so many steps."""
        if self.settings.policy != "rollback" or self._unsettled:
            return
        due = self._rolling is None or self.step - self._rolling[0] >= self.settings.snapshot_every
        if due and not self._is_quiet:
            light = LightState(self.tracked, TensorCopies())
            self._rolling = (self.step, Snapshot(self.tracked), light)
            self.retries.snapshot_taken()

    def _may_accumulate(self, window: Window) -> bool:
        """Whether an update may still come for these micro-batches; some optimizers never run torch's hooks."""
        return self._has_gate_fired or len(window.micro_batches) < _MAX_WITHOUT_UPDATE

    def _add_loss(self, loss: Tensor, name: str) -> None:
        window = self._window
        assert window is not None
        value = loss.detach()
        known = [item for item in window.losses if item.value.data_ptr() == value.data_ptr() and value.numel() > 0]
        if known and known[-1].micro_batch == len(window.micro_batches) - 1:
            known[-1].name = name if known[-1].name == "loss" else known[-1].name
            return
        window.losses.append(Loss(name, value, len(window.micro_batches) - 1))

    def _look_at_the_rest(self, window: Window) -> None:
        """At losses that no update looked at: the scaler left it out, or the optimizer does not run torch's hooks."""
        losses = [loss for loss in window.losses if not loss.is_examined]
        if losses:
            look = self._sentinel.look_at_losses(losses, window)
            if self._is_late():
                self._unsettled.append(_Unsettled(window, None, look, len(window.snapshots)))
            else:
                finding = self._agreed(look.finding())
                if finding is not None:
                    self._suspect(finding, None, window)
        if self.suspicion is None:
            self._look_at_scale(window)

    def _look_at_scale(self, window: Window) -> None:
        scalers = [s for s in self.tracked.scalers if s.is_enabled() and s._scale is not None]
        # On a GPU asking would wait; there the losses have to speak.
        if not scalers or any(s._scale is not None and s._scale.device.type != "cpu" for s in scalers):
            return
        scales: list[Any] = [s._scale.tolist() for s in scalers if s._scale is not None]
        scale = float(min(scales))
        fell = self._last_scale is not None and scale < self._last_scale
        self._scale_falls = self._scale_falls + 1 if fell else 0
        self._last_scale = scale
        if self._scale_falls >= self.settings.max_scale_falls:
            words = (f"the loss scale fell {self._scale_falls} times in a row, to {scale:g}",)
            self._suspect(Finding("scale", words, len(window.micro_batches) - 1), None, window)

    def _settle(self, *, wait: bool) -> None:
        """Reads what has arrived of the looks that are on their way, oldest first."""
        while self._unsettled:
            unsettled = self._unsettled[0]
            window, gate, look = unsettled.window, unsettled.gate, unsettled.look
            if not wait and (window is self._window or not look.ticket.has_arrived):
                return
            del self._unsettled[0]
            finding = self._agreed(look.finding())
            if finding is not None:
                prevents = gate is None or self._protection(gate).prevents
                self._suspect(
                    finding,
                    gate,
                    window,
                    is_prevented=prevents and finding.what != "parameters",
                    first_snapshot=unsettled.first_snapshot,
                )
                later = {id(u.window): u.window for u in self._unsettled if u.window not in (window, self._window)}
                self.later = list(later.values())
                self._unsettled.clear()
                return
            if gate is not None and look.subject.what == "gradients":
                self._healthy(gate, look)
            elif gate is not None:
                self.history.set_parameter_norm(look.norm())

    def _agreed(self, finding: Finding | None) -> Finding | None:
        """On all ranks a finding, when there is one on any."""
        if ranks.any_rank(finding is not None) and finding is None:
            return Finding("gradients", ("all is finite on this rank; another rank found what is not",), 0)
        return finding

    def _suspect(
        self,
        finding: Finding,
        gate: Gate | None,
        window: Window,
        *,
        is_prevented: bool = True,
        first_snapshot: int | None = None,
    ) -> bool:
        """Notes what was found. Returns whether the update has to be withheld."""
        if self._is_quiet:
            return False
        name = gate.name if gate is not None else ""
        withhold = is_prevented and not self._lets_pass
        self.suspicion = Suspicion(
            finding.what,
            finding.found,
            name,
            finding.micro_batch,
            window,
            withhold or gate is None,
            len(window.snapshots) if first_snapshot is None else first_snapshot,
        )
        if gate is not None and is_prevented and self._lets_pass:
            return self._withhold_or_set_aside(gate, window)
        return withhold

    def _withhold_or_set_aside(self, gate: Gate, window: Window) -> bool:
        """After a finding, for the rest of the loop body."""
        if not self._lets_pass:
            return True
        window.snapshots.append(Snapshot(self.tracked, {gate.name: gate.optimizer}))
        return False

    def _keep_for_skipping(self, gate: Gate, window: Window) -> None:
        """A skip has to undo updates that other optimizers, or the same one, made earlier in the loop body."""
        if not self._restores or gate.num_evaluations > 0:
            return
        if self._updates_per_window > 1 or len(self._gates) > 1 or _has_half(gate):
            window.snapshots.append(Snapshot(self.tracked, {gate.name: gate.optimizer}))

    def _healthy(self, gate: Gate, look: Look) -> None:
        self.history.add(record_of(look, self._last_scale))
        self.retries.step_succeeded()
        self._is_quiet = False

    def _is_evaluating(self, gate: Gate) -> bool:
        return gate.name in self._evaluated

    def _are_parameters_due(self, gate: Gate) -> bool:
        return self.step % self.settings.parameters_every == 0 or _has_half(gate)

    def _protection(self, gate: Gate) -> Protection:
        if gate.name not in self._protections:
            self._protections[gate.name] = choose_protection(
                gate, self.tracked, self.settings, lets_pass=self._lets_pass
            )
        return self._protections[gate.name]

    def _is_late(self) -> bool:
        return any(protection.is_late for protection in self._protections.values())


def _has_half(gate: Gate) -> bool:
    """Whether the optimizer works on float16, where a healthy gradient can make a bad update."""
    return any(p.dtype == torch.float16 for p in gate.parameters)
