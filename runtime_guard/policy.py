"""What happens after an incident."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from runtime_guard.incidents.incident import Incident


class Decision(Enum):
    """What to do with the step of an incident."""

    RAISE = "raise"
    """Raise `TrainingIncident`."""
    SKIP = "skip"
    """Go on as if the step's batches had never been there."""
    ROLLBACK = "rollback"
    """Return to the last snapshot, and go on without the step's batches."""
    WARN = "warn"
    """Go on as the script would have without the guard."""


Policy = Callable[[Incident], Decision]


class Retries:
    """Counts decisions that go on, so that a run whose every step is bad comes to an end."""

    def __init__(self, max_skips: int, max_rollbacks: int) -> None:
        self._limits = {Decision.SKIP: max_skips, Decision.ROLLBACK: max_rollbacks}
        self._counts = {Decision.SKIP: 0, Decision.ROLLBACK: 0}

    def step_succeeded(self) -> None:
        """A healthy update ends a row of skips."""
        self._counts[Decision.SKIP] = 0

    def snapshot_taken(self) -> None:
        """A new snapshot ends a row of rollbacks."""
        self._counts[Decision.ROLLBACK] = 0

    def bounded(self, decision: Decision) -> tuple[Decision, str]:
        """The decision, or RAISE where it was taken too often in a row; with the words that say so."""
        if decision not in self._limits:
            return decision, _WORDS[decision]
        limit = self._limits[decision]
        if self._counts[decision] >= limit:
            return Decision.RAISE, f"raised, because {limit} {_PLURALS[decision]} in a row did not help"
        self._counts[decision] += 1
        return decision, f"{_WORDS[decision]} ({self._counts[decision]} of at most {limit} in a row)"


_WORDS = {
    Decision.RAISE: "raised; the update was not made",
    Decision.SKIP: "skipped the step; all state is as if its batches had never been there",
    Decision.ROLLBACK: "rolled back to the last snapshot",
    Decision.WARN: "warned; the update was made as without the guard",
}
_PLURALS = {Decision.SKIP: "skipped steps", Decision.ROLLBACK: "rollbacks"}
