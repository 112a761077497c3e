"""Hears of the step that is going on, from optimizers, `backward` and scalers, and stops its bad updates."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import LBFGS, Optimizer

from runtime_guard.loops.step import Suspicion, Window
from runtime_guard.policy import Retries
from runtime_guard.readings.panel import Panel
from runtime_guard.replay.session import ReplayedError, ReplaySession
from runtime_guard.sentinel import taps
from runtime_guard.sentinel.gate import Gate
from runtime_guard.sentinel.inspection import Found, Inspection, has_half
from runtime_guard.sentinel.sentinel import Finding
from runtime_guard.sentinel.shield import Shield
from runtime_guard.settings import Settings
from runtime_guard.state import Snapshot, Tracked


class Hooks:
    """A `GateKeeper` and a `taps.Listener`: what torch's hooks tell, put into the current window."""

    def __init__(
        self, tracked: Tracked, settings: Settings, retries: Retries, *, lets_pass: bool, restores: bool
    ) -> None:
        """With `lets_pass` bad updates are made, and can be undone; with `restores` good ones can be undone too."""
        self.window: Window | None = None
        self.suspicion: Suspicion | None = None
        self.replay: ReplaySession | None = None
        self.later: list[Window] = []
        """Windows that were begun before an older one was found to be bad."""
        self.is_quiet = False
        """Whether the parameters are known to be bad, and the user wants to go on all the same."""
        self.has_gate_fired = False
        """Whether some optimizer runs torch's hooks."""
        self.updates_per_window = 2
        self.on_parameters: Callable[[Gate, Finding], None] | None = None
        self.on_updated: Callable[[str], None] | None = None
        """Told of the optimizer after each update that was made, withheld or left out by a scaler."""
        self.inspection = Inspection(tracked, settings, lets_pass=lets_pass, on_healthy=self._healthy)
        self.panel = Panel(tracked)
        """What is shown of each update."""
        self.lets_pass = lets_pass
        self._tracked = tracked
        self._retries = retries
        self._restores = restores
        self._scaled: list[Tensor] = []
        self._scale: Tensor | None = None
        self._in_scaler: Optimizer | None = None
        self._evaluated: dict[str, Snapshot] = {}
        self.shield = Shield(self)
        """What torch's hooks are told to call."""
        self._gates = [Gate(optimizer, name, self.shield) for name, optimizer in tracked.named_optimizers.items()]

    def add_optimizer(self, name: str, optimizer: Optimizer) -> None:
        """One that the script made after the guard."""
        self._tracked.named_optimizers[name] = optimizer
        self._gates.append(Gate(optimizer, name, self.shield))

    def detach(self) -> None:
        """Takes the hooks off the optimizers."""
        for gate in self._gates:
            gate.close()

    def give_up(self) -> None:
        """Forgets the step that is going on. The gates stay: an optimizer may be going through its hooks right now."""
        self.window, self.suspicion, self.later = None, None, []
        self._scaled, self._in_scaler = [], None
        taps.unlisten(self.shield)
        self.inspection.early.end()

    def drop_scaled(self) -> None:
        """Forgets losses that were multiplied by a scale; the loop body is over."""
        self._scaled.clear()

    # GateKeeper

    def before_update(self, gate: Gate) -> bool:
        window = self.window
        if self.replay is not None:
            return self._is_replay_withheld(self.replay, gate)
        if window is None:
            return False
        self.has_gate_fired = True
        if gate.num_evaluations <= 1:
            window.num_updates += 1
        is_late = self.inspection.protection(gate).is_late
        if self.suspicion is None and is_late:
            self.settle(wait=True)
        if self.suspicion is not None:
            return self._withhold_or_set_aside(gate, window)
        losses = [loss for loss in window.losses if not loss.is_examined]
        found = self.inspection.gradients(gate, window, is_scaled=self._in_scaler is gate.optimizer)
        if found is not None:
            return self.suspect(found)
        if gate.num_evaluations <= 1:
            self.panel.mark("update")
            self.panel.before_update(window.step, gate.name, gate.optimizer, losses)
        if not is_late:
            self._keep_for_skipping(gate, window)
        return False

    def before_evaluations(self, gate: Gate) -> None:
        """An optimizer that evaluates a closure several times per step moves the parameters in between."""
        if isinstance(gate.optimizer, LBFGS):
            self._evaluated[gate.name] = Snapshot(self._tracked, {gate.name: gate.optimizer}, shallow_lists=True)

    def updated(self, gate: Gate) -> None:
        """Tells that an update is over. What that comes to is the user's to hear."""
        if self.on_updated is not None and self.replay is None and self._in_scaler is None:
            self.on_updated(gate.name)

    def after_update(self, gate: Gate) -> None:
        evaluated = self._evaluated.pop(gate.name, None)
        if self.replay is not None or (self.suspicion is not None and gate.is_withheld):
            if evaluated is not None:
                evaluated.restore()
            return
        window = self.window
        self.inspection.protection(gate).disarm()
        self.inspection.early.after_update(gate)
        if window is not None and self.suspicion is None:
            self.panel.mark("update_end")
            self.panel.after_update(gate.name)
        if window is None or self.suspicion is not None or not self.inspection.are_parameters_due(gate, window.step):
            return
        found = self.inspection.parameters(gate, window)
        if found is None:
            return
        first = len(window.snapshots)
        if evaluated is not None:
            window.snapshots.append(evaluated)
        elif window.snapshots and window.snapshots[-1].names == (gate.name,):
            first -= 1
        if self.on_parameters is not None and not self.is_quiet:
            self.on_parameters(gate, found.finding)
        self.suspect(dataclasses.replace(found, first_snapshot=first))

    # taps.Listener

    def parameters(self) -> Iterable[Tensor]:
        return self._tracked.parameters

    def backward_from(self, roots: Sequence[Tensor]) -> None:
        if self.window is None or self.replay is not None:
            return
        self.panel.mark("backward")
        self.window.micro_batches[-1].has_backward = True
        for root in roots:
            if not any(root is scaled for scaled in self._scaled):
                self.window.add_loss(root, "loss")

    def after_backward(self) -> None:
        if self.window is not None and self.replay is None:
            self.panel.mark("backward_end")
            # Also for a sum of scaled losses, which is none of them.
            self.panel.after_backward(self.window.step, self._scale if self._scaled else None)

    def scaled(self, loss: Tensor, scaled: Tensor, scaler: GradScaler) -> None:
        self._scale = scaler._scale
        if self.window is not None and self.replay is None:
            self._scaled.append(scaled)
            self.window.add_loss(loss, "loss")

    def scaler_steps(self, scaler: GradScaler, optimizer: Optimizer) -> None:
        self._in_scaler = optimizer
        if self.window is not None and self.replay is None:
            self.window.num_updates += 1
            self.has_gate_fired = True
            if all(scaler is not known for known in self._tracked.scalers):
                self._tracked.scalers.append(scaler)

    def scaler_stepped(self) -> None:
        optimizer, self._in_scaler = self._in_scaler, None
        if self.on_updated is not None and self.replay is None:
            named = self._tracked.named_optimizers.items()
            self.on_updated(next((name for name, known in named if known is optimizer), ""))

    # What was found

    def settle(self, *, wait: bool) -> None:
        """Reads numbers that were on their way; with `wait` all of them."""
        settled = self.inspection.settle(self.window, wait=wait)
        if settled is not None:
            found, later = settled
            self.suspect(found)
            self.later = later

    def suspect(self, found: Found) -> bool:
        """Notes what was found. Returns whether the update has to be withheld."""
        if self.is_quiet:
            return False
        finding, gate = found.finding, found.gate
        withhold = found.is_prevented and not self.lets_pass
        self.suspicion = Suspicion(
            finding.what,
            finding.found,
            gate.name if gate is not None else "",
            finding.micro_batch,
            found.window,
            withhold or gate is None,
            found.first_snapshot,
        )
        if gate is not None and found.is_prevented and self.lets_pass:
            return self._withhold_or_set_aside(gate, found.window)
        return withhold

    def _withhold_or_set_aside(self, gate: Gate, window: Window) -> bool:
        """After a finding, for the rest of the loop body."""
        if not self.lets_pass:
            return True
        window.snapshots.append(Snapshot(self._tracked, {gate.name: gate.optimizer}))
        return False

    def _is_replay_withheld(self, replay: ReplaySession, gate: Gate) -> bool:
        with replay.births.paused():
            names = self._tracked.names()
        replay.before_update([(" = ".join(names.get(id(p), ("a parameter",))), p) for p in gate.parameters])
        if replay.stops_at == gate.name and gate.num_evaluations == 0:
            raise ReplayedError
        return gate.name not in self._evaluated

    def _keep_for_skipping(self, gate: Gate, window: Window) -> None:
        """A skip has to undo updates that other optimizers, or the same one, made earlier in the loop body."""
        if not self._restores or gate.num_evaluations > 0:
            return
        if self.updates_per_window > 1 or len(self._gates) > 1 or has_half(gate):
            window.snapshots.append(Snapshot(self._tracked, {gate.name: gate.optimizer}))

    def _healthy(self) -> None:
        self._retries.step_succeeded()
        self.is_quiet = False
