"""A finding's identity from one run to the next, however the lines around it move."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from pipeline_lint.diagnostic import Diagnostic, Place
from pipeline_lint.reporters.parts.paths import project_path


def fingerprints(diagnostics: Sequence[Diagnostic], root: str) -> list[str]:
    """One for each finding, from its rule, its file below `root`, the text of its line, and which of several it is.

    Row and column are left out, so that a finding keeps its fingerprint when lines are added above it or its line is
    indented.
    """
    seen = Counter[tuple[str, ...]]()
    known: dict[int, str] = {}
    for index in sorted(range(len(diagnostics)), key=lambda index: diagnostics[index].sort_key):
        diagnostic = diagnostics[index]
        text = line_of(diagnostic.place)
        content = (
            diagnostic.code,
            project_path(diagnostic.path, root),
            diagnostic.message if text is None else text.strip(),
        )
        parts = (*content, str(seen[content]))
        seen[content] += 1
        known[index] = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return [known[index] for index in range(len(diagnostics))]


def line_of(place: Place) -> str | None:
    """The source line that a place begins in, if it brought its excerpt."""
    if place.excerpt is None:
        return None
    index = place.location.row - place.excerpt.first_row
    return place.excerpt.lines[index] if 0 <= index < len(place.excerpt.lines) else None
