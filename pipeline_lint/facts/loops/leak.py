"""A place where a value is kept with its graph: what the finders of `leaks.py` give."""

from __future__ import annotations

from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Confidence


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """A place where a value with its graph is kept."""

    node: cst.CSTNode
    holder: str
    """What keeps it."""
    parts: tuple[cst.BaseExpression, ...]
    """The variables or calls that carry the graph, to be detached."""
    confidence: Confidence
    how: str
    """`added to`, `appended to`, `stored in`."""
