"""Findings, places and changes in the words of the Language Server Protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lsprotocol import types

from pipeline_lint.diagnostic import Confidence, Diagnostic, Location, Place
from pipeline_lint.engine.check import UNPARSABLE_CODE
from pipeline_lint.engine.suppress import UNUSED_CODE
from pipeline_lint.server.text import EditorText, num_units

SOURCE = "pipeline-lint"

_SEVERITIES = {
    Confidence.CERTAIN: types.DiagnosticSeverity.Warning,
    Confidence.LIKELY: types.DiagnosticSeverity.Information,
    Confidence.POSSIBLE: types.DiagnosticSeverity.Hint,
}

UriOf = Callable[[str], str]
"""The editor's name for a path."""


def to_protocol(
    diagnostic: Diagnostic, text: EditorText, *, urls: Mapping[str, str], uri_of: UriOf, encoding: str
) -> types.Diagnostic:
    """A finding in an open document. Errors are kept for files that do not run at all."""
    place = diagnostic.place
    is_broken = diagnostic.code == UNPARSABLE_CODE
    url = urls.get(diagnostic.code)
    witness = f"\nwitness: {diagnostic.witness}" if diagnostic.witness is not None else ""
    return types.Diagnostic(
        range=types.Range(text.position(place.location), text.position(place.end_location)),
        message=diagnostic.message + witness,
        severity=types.DiagnosticSeverity.Error if is_broken else _SEVERITIES[diagnostic.confidence],
        code=diagnostic.code,
        code_description=None if url is None else types.CodeDescription(url),
        source=SOURCE,
        tags=[types.DiagnosticTag.Unnecessary] if diagnostic.code == UNUSED_CODE else None,
        related_information=[
            types.DiagnosticRelatedInformation(types.Location(uri_of(other.path), _range(other, encoding)), words)
            for other, words in diagnostic.related
        ]
        or None,
    )


def overlaps(one: types.Range, other: types.Range) -> bool:
    """Whether two stretches share a place; touching ends do, as a cursor between two characters is at both."""
    return _is_before(one.start, other.end) and _is_before(other.start, one.end)


def _is_before(one: types.Position, other: types.Position) -> bool:
    return (one.line, one.character) <= (other.line, other.character)


def _range(place: Place, encoding: str) -> types.Range:
    """A place in any file, by the lines that came with it."""
    return types.Range(_position(place, place.location, encoding), _position(place, place.end_location, encoding))


def _position(place: Place, location: Location, encoding: str) -> types.Position:
    excerpt = place.excerpt
    if excerpt is None or not 0 <= location.row - excerpt.first_row < len(excerpt.lines):
        return types.Position(location.row - 1, location.column - 1)
    line = excerpt.lines[location.row - excerpt.first_row]
    return types.Position(location.row - 1, num_units(line[: location.column - 1], encoding))
