"""The end of the process: guards explain an error that nobody catches, and those that nobody closed write the rest."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol


class Explainer(Protocol):
    """A guard."""

    def ended_by(self, error: BaseException) -> None:
        """This error ends the process."""

    def explain(self, error: BaseException) -> BaseException | None:
        """The incident behind an error; None when there is none."""

    def leave(self) -> None:
        """The process ends, and nobody has closed the guard."""


_explainers: weakref.WeakSet[Any] = weakref.WeakSet()
_before: list[Callable[..., Any]] = []
_process: list[int] = []
"""Whose end is waited for. A fork of it has none of its threads, and its end is not the guard's."""


def listen(explainer: Explainer) -> None:
    """Has it asked from now on; once more changes nothing."""
    _explainers.add(explainer)
    if not _process:
        _process.append(os.getpid())
        atexit.register(_leave)
    if not _before:
        _before.append(sys.excepthook)
        sys.excepthook = _hook


def unlisten(explainer: Explainer) -> None:
    """Asks it no more, and puts `sys.excepthook` back when nobody is left, unless somebody has wrapped it since."""
    _explainers.discard(explainer)
    if not _explainers and _before and sys.excepthook is _hook:
        sys.excepthook = _before.pop()


def _hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    before = _before[-1] if _before else sys.__excepthook__
    for explainer in list(_explainers):
        explainer.ended_by(error)
        incident = explainer.explain(error)
        if incident is not None:
            incident.__cause__ = error
            before(type(incident), incident, incident.__traceback__)
            return
    before(kind, error, traceback)


def _leave() -> None:
    """While everything is still there: a generator that Python ends itself, later, finds half of torch gone."""
    if _process == [os.getpid()]:
        for explainer in list(_explainers):
            explainer.leave()
