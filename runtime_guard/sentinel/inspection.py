"""Has the sentinel look at everything in a step, now or one step later, and says what was found in which window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from runtime_guard import ranks
from runtime_guard.loops.step import Window
from runtime_guard.sentinel.early import EarlySigns
from runtime_guard.sentinel.gate import Gate
from runtime_guard.sentinel.history import History
from runtime_guard.sentinel.protection import Protection, choose_protection
from runtime_guard.sentinel.scale import ScaleWatch
from runtime_guard.sentinel.sentinel import Finding, Look, Sentinel, elsewhere, record_of
from runtime_guard.settings import Settings
from runtime_guard.sign import Reading
from runtime_guard.state import Tracked


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is not finite, and where in the run."""

    finding: Finding
    window: Window
    gate: Gate | None
    is_prevented: bool
    """Whether the update can still be kept from happening, or has been."""
    first_snapshot: int
    """Which of the window's snapshots is the first that was not taken before the bad update."""


@dataclass(frozen=True, slots=True)
class _Unsettled:
    """A look whose numbers nobody has read yet."""

    window: Window
    gate: Gate | None
    look: Look
    first_snapshot: int


class Inspection:
    """Looks at losses, gradients, parameters and scales.

    What is well goes into the history. Where an update is protected on the device, the numbers are read by `settle`
    later on, and the methods that look return None.
    """

    def __init__(
        self, tracked: Tracked, settings: Settings, *, lets_pass: bool, on_healthy: Callable[[], None]
    ) -> None:
        self.history = History(settings.history)
        self.scale = ScaleWatch(tracked)
        self.early = EarlySigns(tracked, settings)
        self._tracked = tracked
        self._settings = settings
        self._lets_pass = lets_pass
        self._on_healthy = on_healthy
        self._sentinel = Sentinel(tracked.names)
        self._protections: dict[str, Protection] = {}
        self._unsettled: list[_Unsettled] = []

    def protection(self, gate: Gate) -> Protection:
        """How this optimizer's updates are kept from doing harm."""
        if gate.name not in self._protections:
            self._protections[gate.name] = choose_protection(
                gate, self._tracked, self._settings, lets_pass=self._lets_pass
            )
        return self._protections[gate.name]

    @property
    def is_settled(self) -> bool:
        """Whether nothing is on its way."""
        return not self._unsettled

    @property
    def first_unsettled(self) -> int | None:
        """The oldest step of which something is on its way."""
        return self._unsettled[0].window.step if self._unsettled else None

    def forget(self) -> None:
        """Leaves unread what is on its way."""
        self._unsettled.clear()

    def gradients(self, gate: Gate, window: Window, *, is_scaled: bool) -> Found | None:
        """Before an update, which is armed against them where they are read late."""
        protection = self.protection(gate)
        losses = [loss for loss in window.losses if not loss.is_examined]
        cargo = self.early.load(gate.name, lambda: [p for p in gate.parameters if p.grad is not None])
        look = self._sentinel.look_at_gradients(
            gate, losses, window, cargo=cargo, is_scaled=is_scaled, is_late=protection.is_late
        )
        self.early.before_update(gate)
        if protection.is_late:
            self._unsettled.append(_Unsettled(window, gate, look, len(window.snapshots)))
            assert look.flag is not None
            protection.arm(look.flag, window)
            return None
        finding = _agreed(look.finding())
        if finding is None:
            self._healthy(look, gate)
            return None
        return Found(finding, window, gate, True, len(window.snapshots))

    def parameters(self, gate: Gate, window: Window) -> Found | None:
        """After an update."""
        protection = self.protection(gate)
        look = self._sentinel.look_at_parameters(gate, window, is_late=protection.is_late)
        if look is None:
            return None
        if protection.is_late:
            self._unsettled.append(_Unsettled(window, gate, look, len(window.snapshots) - 1))
            return None
        finding = _agreed(look.finding())
        self.history.set_parameter_norm(look.norm())
        return None if finding is None else Found(finding, window, gate, False, len(window.snapshots))

    def are_parameters_due(self, gate: Gate, step: int) -> bool:
        """Whether they are looked at after this update."""
        return step % self._settings.parameters_every == 0 or has_half(gate)

    def rest(self, window: Window) -> Found | None:
        """Losses that no update looked at, and scales: the scaler left the update out, or torch's hooks do not run."""
        losses = [loss for loss in window.losses if not loss.is_examined]
        found = None
        if losses:
            is_late = any(protection.is_late for protection in self._protections.values())
            look = self._sentinel.look_at_losses(losses, window, cargo=self.early.load("", list), is_late=is_late)
            if is_late:
                self._unsettled.append(_Unsettled(window, None, look, len(window.snapshots)))
            elif (finding := _agreed(look.finding())) is not None:
                found = Found(finding, window, None, True, len(window.snapshots))
            else:
                self._read_early(look, "")
        return found or self._falling_scale(window)

    def _falling_scale(self, window: Window) -> Found | None:
        self.scale.look()
        num_falls = self.scale.num_falls
        if num_falls < self._settings.max_scale_falls:
            return None
        words = (f"the loss scale fell {num_falls} times in a row, to {self.scale.last:g}",)
        finding = Finding("scale", words, len(window.micro_batches) - 1)
        return Found(finding, window, None, True, len(window.snapshots))

    def settle(self, current: Window | None, *, wait: bool) -> tuple[Found, list[Window]] | None:
        """Reads what has arrived of the looks that are on their way, oldest first; with `wait` everything.

        Returns the first that is bad, with the windows that were begun after its own and before `current`. With several
        ranks what is read is the same on all of them: everything before `current`, waited for if need be, so that they
        stop at the same step.
        """
        wait_for_older = ranks.num_ranks() > 1
        while self._unsettled:
            unsettled = self._unsettled[0]
            window, gate, look = unsettled.window, unsettled.gate, unsettled.look
            if not wait and (window is current or not (wait_for_older or look.ticket.has_arrived)):
                return None
            del self._unsettled[0]
            finding = look.finding()
            if finding is not None:
                prevents = gate is None or self.protection(gate).prevents
                is_prevented = prevents and finding.what != "parameters"
                later = {id(u.window): u.window for u in self._unsettled if u.window not in (window, current)}
                self._unsettled.clear()
                return Found(finding, window, gate, is_prevented, unsettled.first_snapshot), list(later.values())
            if gate is not None and look.subject.what == "gradients":
                self._healthy(look, gate)
            elif gate is not None:
                self.history.set_parameter_norm(look.norm())
            else:
                self._read_early(look, "")
        return None

    def _healthy(self, look: Look, gate: Gate) -> None:
        self.history.add(record_of(look, self.scale.last))
        self._on_healthy()
        # A line search tries points that are bad on purpose; the first evaluation of a step is where the run is.
        if gate.num_evaluations <= 1:
            self._read_early(look, gate.name)

    def _read_early(self, look: Look, optimizer: str) -> None:
        rate = max(look.learning_rates, default=None)
        reading = Reading(look.step, optimizer, look.loss(), look.norm(), rate)
        self.early.arrived(look.cargo, look.extra, look.record[len(look.subject.losses) :], reading)


def has_half(gate: Gate) -> bool:
    """Whether the optimizer works on float16, where a healthy gradient can make a bad update."""
    return any(p.dtype == torch.float16 for p in gate.parameters)


def _agreed(finding: Finding | None) -> Finding | None:
    """On all ranks a finding, when there is one on any. Every rank has to ask."""
    if ranks.any_rank(finding is not None) and finding is None:
        return elsewhere()
    return finding
