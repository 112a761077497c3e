"""A finding in plain lines, for formats that have one field of text for everything."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Diagnostic


def plain_lines(diagnostic: Diagnostic) -> Iterator[str]:
    """Where and what, then witness, related places and fix, each on its line."""
    yield f"{diagnostic.place}: {diagnostic.code} {diagnostic.message}"
    if diagnostic.witness is not None:
        yield f"witness: {diagnostic.witness}"
    for place, words in diagnostic.related:
        yield f"note: {place} {words}"
    if diagnostic.fix is not None:
        yield f"help: {diagnostic.fix.message} ({diagnostic.fix.applicability.value} fix)"
