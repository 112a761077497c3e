"""Follows updates that no guarded loop is around: each is a step, and of a bad one the loop is found on the stack."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol

from runtime_guard.loops.body import Around, body_around
from runtime_guard.loops.ending import Ending, in_words
from runtime_guard.loops.source import NoBodyError
from runtime_guard.loops.watcher import Watcher
from runtime_guard.policy import Decision
from runtime_guard.replay.session import ReplayedError, ReplaySession
from runtime_guard.state import RngState

OBSTACLE = "the loop goes over no loader, so there is no batch to begin with"


class Judge(Protocol):
    """A guard."""

    def judge(self, session: ReplaySession | None, *, is_complete: bool, ending: Ending | None = None) -> Decision:
        """Raises `TrainingIncident` where that is the decision."""


class Unlooped:
    """Opens a window after each update and closes it after the next.

    What came between two updates is the step. To run it again, the body of the innermost loop around the update is
    taken from its frame, and left at the update. Its random numbers begin where the last turn's updates ended.
    """

    def __init__(self, watcher: Watcher, judge: Judge, find_models: Callable[[], None]) -> None:
        self._watcher = watcher
        self._judge = judge
        self._find_models = find_models
        self._stepped: set[str] = set()
        self._is_on = False

    def begin(self) -> None:
        """No loader is being iterated over."""
        if not self._is_on:
            self._is_on = True
            self._watcher.surroundings = None
            self._watcher.open()
            self._watcher.hooks.on_updated = self._updated
            self._open()

    def pause(self) -> None:
        """A loop over a loader begins, or the script guards itself."""
        if self._is_on:
            self._is_on = False
            self._watcher.hooks.on_updated = None
            self._stepped.clear()
            self._watcher.abandon()
            self._watcher.close()

    def _open(self) -> None:
        self._watcher.begin_micro_batch(None, self._watcher.step)

    def _updated(self, optimizer: str) -> None:
        watcher = self._watcher
        window = watcher.hooks.window
        if window is None:
            return
        # An optimizer that steps again begins a new turn; others may have stepped before it in this one.
        if optimizer in self._stepped or not self._stepped:
            self._stepped.clear()
            self._rng = window.micro_batches[-1].rng
        self._stepped.add(optimizer)
        window.micro_batches[-1].rng = self._rng
        watcher.left = None
        watcher.end_micro_batch()
        self._find_models()
        try:
            if watcher.suspicion is not None:
                self._resolve(optimizer)
        finally:
            self._open()

    def _resolve(self, optimizer: str) -> None:
        watcher = self._watcher
        suspicion = watcher.suspicion
        assert suspicion is not None
        # What the script goes on with is its own; the next batch must not be drawn with the numbers of this one.
        rng, gradients = RngState(), [(p, p.grad) for p in watcher.tracked.parameters]
        scalers = [(s._per_optimizer_states, dict(s._per_optimizer_states)) for s in watcher.tracked.scalers]
        session: ReplaySession | None = None
        note: str | None = None
        around: Around | None = None
        try:
            around = body_around(_stack())
            if watcher.settings.replay and watcher.can_restore(suspicion):
                session = self._again(around, optimizer)
        except NoBodyError as reason:
            note = f"the step was not run again: {reason}"
        try:
            ending = Ending(suspicion, session, None, None, note, hint=_hint(around), obstacle=OBSTACLE)
            self._judge.judge(session, is_complete=True, ending=ending)
        finally:
            rng.restore()
            for parameter, gradient in gradients:
                parameter.grad = gradient
            for states, before in scalers:
                states.clear()
                states.update(before)

    def _again(self, around: Around, optimizer: str) -> ReplaySession:
        watcher = self._watcher
        suspicion = watcher.suspicion
        assert suspicion is not None
        if watcher.hooks.later:
            raise NoBodyError("the numbers of the step arrived when the script was further on")
        for scaler in watcher.tracked.scalers:
            scaler._per_optimizer_states.clear()
        with watcher.replaying() as session:
            session.stops_at = optimizer
            suspicion.window.micro_batches[-1].rng.restore()
            session.begin_micro_batch(0, None)
            session.name_variables(around.frame)
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # Its lines were printed the first time.
                    around.body(0, None)
            except ReplayedError:
                pass
            except Exception as error:
                raise NoBodyError(f"its loop body came to another end, {in_words(error)}") from error
        return session


def _hint(around: Around | None) -> str | None:
    if around is None:
        return "with `for batch in guard.watch(batches):` a step is run again with its own batch"
    if around.guarded is None:
        return f"`{around.header}` hands out no batches; with `for batch in guard.watch(batches):` a step is run again"
    return f"`{around.guarded}` instead of `{around.header}` would run the step again with its own batch"


def _stack() -> Iterator[tuple[FrameType, int]]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame, frame.f_lineno
        frame = frame.f_back
