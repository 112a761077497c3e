"""Has guards explain an error that nobody catches, before Python prints it and ends."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol


class Explainer(Protocol):
    """A guard."""

    def explain(self, error: BaseException) -> BaseException | None:
        """The incident behind an error; None when there is none."""


_explainers: weakref.WeakSet[Any] = weakref.WeakSet()
_before: list[Callable[..., Any]] = []


def listen(explainer: Explainer) -> None:
    """Has it asked from now on; once more changes nothing."""
    _explainers.add(explainer)
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
        incident = explainer.explain(error)
        if incident is not None:
            incident.__cause__ = error
            before(type(incident), incident, incident.__traceback__)
            return
    before(kind, error, traceback)
