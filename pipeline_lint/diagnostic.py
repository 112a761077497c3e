"""What a check reports: plain, picklable data that knows nothing of syntax trees.

Rules think in nodes; everything above them (cache, suppressions, reporters, fixes) handles only these classes.
Offsets are characters of the document's text (see `document.py`), which is the file without its byte order mark, or
the code cells of a notebook one after the other. Rows and columns count from 1, columns in characters, as editors do.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field


class Confidence(enum.IntEnum):
    """How sure a finding is: what it follows from."""

    POSSIBLE = 1
    """Nothing in the code rules the defect out."""
    LIKELY = 2
    """Names, defaults and usual ranges say so."""
    CERTAIN = 3
    """The defect follows from the code alone."""

    @property
    def label(self) -> str:
        return self.name.lower()


class Applicability(enum.Enum):
    """What a fix promises."""

    SAFE = "safe"
    """The same results wherever the old code gave finite ones."""
    UNSAFE = "unsafe"
    """Results or interfaces change; applied only when asked for."""


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A position as people count it: row and column from 1."""

    row: int
    column: int


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Source lines to show with a finding, so that a reporter never has to open the file."""

    first_row: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of one file: where a finding is, or a consumer that its message names.

    `start` and `end` are character offsets into the document's text. In a notebook rows count within `cell`, the
    cell's number from 1.
    """

    path: str
    start: int
    end: int
    location: Location
    end_location: Location
    noqa_row: int
    """Row at whose end a suppression comment can stand: the last row of a statement whose text spans several."""
    cell: int | None = None
    excerpt: Excerpt | None = None

    def __str__(self) -> str:
        cell = f":cell {self.cell}" if self.cell is not None else ""
        return f"{self.path}{cell}:{self.location.row}:{self.location.column}"


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces the characters `start` to `end` of the document's text at `path` by `text`."""

    path: str
    start: int
    end: int
    text: str
    location: Location
    end_location: Location
    cell: int | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """Edits, in one file or several, that are applied together or not at all."""

    applicability: Applicability
    message: str
    edits: tuple[Edit, ...]

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(edit.path for edit in self.edits)


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding."""

    code: str
    name: str
    message: str
    place: Place
    confidence: Confidence = Confidence.CERTAIN
    witness: str | None = None
    """A value in plain words that goes wrong, and for which dtype."""
    fix: Fix | None = None
    related: tuple[tuple[Place, str], ...] = ()
    """Other places that the message speaks of, each with a few words."""

    @property
    def path(self) -> str:
        return self.place.path

    @property
    def sort_key(self) -> tuple[str, int, int, str, str]:
        return (self.place.path, self.place.start, self.place.end, self.code, self.message)


@dataclass(frozen=True, slots=True)
class Failure:
    """Something the tool itself could not do: an unreadable file, a rule that raised, a fix that was refused."""

    path: str
    message: str


@dataclass(slots=True)
class Report:
    """The outcome of a run, as reporters and the exit code see it."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    num_files: int = 0
    num_fixed: Counter[str] = field(default_factory=Counter)
    """Fixes applied, by rule code."""
    changed_paths: list[str] = field(default_factory=list)
    num_suppressed: int = 0

    @property
    def num_fixable(self) -> int:
        return sum(
            diagnostic.fix is not None and diagnostic.fix.applicability is Applicability.SAFE
            for diagnostic in self.diagnostics
        )

    @property
    def num_fixable_unsafe(self) -> int:
        return sum(
            diagnostic.fix is not None and diagnostic.fix.applicability is Applicability.UNSAFE
            for diagnostic in self.diagnostics
        )
