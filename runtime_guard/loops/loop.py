"""Iterates over a loader for a training loop, and hands out a bad step's batches again for the replay."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from runtime_guard.incidents import reenact
from runtime_guard.loops.step import MicroBatch
from runtime_guard.loops.surroundings import Surroundings
from runtime_guard.loops.watcher import Watcher
from runtime_guard.policy import Decision
from runtime_guard.replay.session import ReplaySession

Batch = TypeVar("Batch")


class Judge(Protocol):
    """Turns a suspicion and its replay into an incident and a decision."""

    number: int
    """Which guard of the process it is, in the order in which they were made."""

    def judge(self, session: ReplaySession | None, *, is_complete: bool) -> Decision:
        """Raises `TrainingIncident` where that is the decision, and the loop can still be told."""


class Watched(Generic[Batch]):
    """What `Guard.watch` returns: iterates like the loader, and is the loader for everything else."""

    def __init__(self, loader: Iterable[Batch], watcher: Watcher, judge: Judge) -> None:
        self._loader = loader
        self._watcher = watcher
        self._judge = judge

    def __iter__(self) -> Iterator[Batch]:
        bundle = reenact.bundle_for(self._judge.number)
        if bundle is not None:
            return reenact.turns(bundle, self._watcher)
        return self._watcher.hands_out(turns(self._loader, self._watcher, self._judge))

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        # Not for what pickle and copy ask of an object that has no attributes yet.
        if name.startswith("__") or "_loader" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._loader, name)


class Validated(Generic[Batch]):
    """What `Guard.validate` returns: iterates like the loader, and is the loader for everything else."""

    def __init__(self, loader: Iterable[Batch], watcher: Watcher) -> None:
        self._loader = loader
        self._watcher = watcher

    def __iter__(self) -> Iterator[Batch]:
        watcher = self._watcher
        before = watcher.phase
        watcher.phase = "validation"
        try:
            yield from self._loader
        finally:
            watcher.phase = before

    def __len__(self) -> int:
        return len(self._loader)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        # Not for what pickle and copy ask of an object that has no attributes yet.
        if name.startswith("__") or "_loader" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._loader, name)


def turns(loader: Iterable[Any], watcher: Watcher, judge: Judge) -> Generator[Any, None, None]:
    """The loader's batches, and after a bad step the step's batches again."""
    watcher.surroundings, watcher.left = Surroundings.of_the_caller(), None
    watcher.open()
    watcher.tracked.look_again()
    numbered = enumerate(loader)
    queue: deque[tuple[int, Any]] = deque()
    is_exhausted = False
    try:
        while True:
            if not queue:
                watcher.hooks.panel.mark("ask")
                entry = next(numbered, None)
                if entry is None:
                    watcher.finish_epoch()
                    is_exhausted = True
                    if watcher.suspicion is None:
                        return
                else:
                    queue.append(entry)
            if queue:
                number, batch = queue.popleft()
                watcher.begin_micro_batch(batch, number)
                watcher.hooks.panel.mark("batch")
                yield batch
                del batch
                watcher.end_micro_batch()
            if watcher.suspicion is not None:
                requeued = [(number, batch) for batch, number in watcher.requeued()]
                decision = yield from resolve(watcher, judge)
                if decision is not Decision.WARN:
                    queue.extendleft(reversed(requeued))
            elif is_exhausted:
                return
    except GeneratorExit:
        watcher.leave()
        if watcher.suspicion is None and not watcher.is_detached:
            watcher.end_micro_batch()  # The body was left by `break`, perhaps after a bad update.
            if watcher.suspicion is not None:
                judge.judge(None, is_complete=False)
        raise
    finally:
        watcher.abandon()
        watcher.close()


def resolve(watcher: Watcher, judge: Judge) -> Generator[Any, None, Decision]:
    """The replay, as more turns of the user's loop body, and what follows from it."""
    suspicion = watcher.suspicion
    assert suspicion is not None
    session: ReplaySession | None = None
    is_complete = False
    try:
        if watcher.settings.replay and watcher.can_restore(suspicion):
            with watcher.replaying() as session:
                for index, micro_batch in enumerate(suspicion.window.micro_batches):
                    yield from _again(watcher, session, index, micro_batch)
        is_complete = True
    finally:
        # Also when the body was left during the replay: what is known so far is told.
        decision = judge.judge(session, is_complete=is_complete)
    return decision


def _again(watcher: Watcher, session: ReplaySession, index: int, micro_batch: MicroBatch) -> Iterator[Any]:
    micro_batch.rng.restore()
    session.begin_micro_batch(index, micro_batch.batch)
    yield micro_batch.batch
    watcher.end_micro_batch()
