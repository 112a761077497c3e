"""Returns to what was before a bad step, after it, or at the last snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from runtime_guard.loops.step import Suspicion, Window
from runtime_guard.policy import Retries
from runtime_guard.settings import Settings
from runtime_guard.state import LightState, Snapshot, TensorCopies, Tracked


class Restoration:
    """Keeps the snapshots that no window keeps, and puts things back. Each copy stays on its tensor's device."""

    def __init__(self, tracked: Tracked, settings: Settings, retries: Retries) -> None:
        self._tracked = tracked
        self._every = settings.snapshot_every if settings.policy == "rollback" else 0
        self._retries = retries
        self._rolling: tuple[int, Snapshot, LightState] | None = None
        self._after: tuple[Snapshot, LightState] | None = None

    def before_replay(self, suspicion: Suspicion, later: Sequence[Window]) -> None:
        """What the step began with, but for updates that other optimizers made before the bad one."""
        window = suspicion.window
        for begun in reversed(later):
            for snapshot in reversed(begun.snapshots):
                snapshot.restore()
        for snapshot in reversed(window.snapshots[suspicion.first_snapshot :]):
            snapshot.restore()
        window.state.restore()
        self.drop_gradients()

    def before_step(self, suspicion: Suspicion, later: Sequence[Window]) -> None:
        """All of the state from before the step."""
        for window in [*reversed(later), suspicion.window]:
            for snapshot in reversed(window.snapshots):
                snapshot.restore()
        suspicion.window.state.restore()
        self.drop_gradients()

    def keep_after(self) -> None:
        """Keeps what the first run of the loop body left behind."""
        self._after = self._everything()

    def after_step(self) -> None:
        """As if there had been no replay."""
        if self._after is not None:
            snapshot, light = self._after
            snapshot.restore()
            light.restore()
            self._after = None

    def drop_gradients(self) -> None:
        for parameter in self._tracked.parameters:
            parameter.grad = None

    def snapshot_if_due(self, step: int) -> None:
        """With the policy rollback: a snapshot every so many steps."""
        if self._every and (self._rolling is None or step - self._rolling[0] >= self._every):
            self._rolling = (step, *self._everything())
            self._retries.snapshot_taken()

    @property
    def has_snapshot(self) -> bool:
        """Whether there is one to roll back to."""
        return self._rolling is not None

    def roll_back(self) -> int:
        """Returns to the last snapshot, and says which step that was before."""
        assert self._rolling is not None
        step, snapshot, light = self._rolling
        snapshot.restore()
        light.restore()
        self.drop_gradients()
        return step

    def _everything(self) -> tuple[Snapshot, LightState]:
        return Snapshot(self._tracked), LightState(self._tracked, TensorCopies())
