"""A place where training runs in the wrong mode: what the finders of `modes.py` give."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline_lint.diagnostic import Confidence, Fix, Place


@dataclass(frozen=True, slots=True)
class ModeDefect:
    """A place where training runs in the wrong mode."""

    place: Place
    message: str
    confidence: Confidence
    fix: Fix | None = None
    related: tuple[tuple[Place, str], ...] = ()
