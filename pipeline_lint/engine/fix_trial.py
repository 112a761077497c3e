"""Trying fixes on one file: the bytes that they give, or which of them spoils it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline_lint.diagnostic import Diagnostic, Edit
from pipeline_lint.document import Document, UnencodableEdit, UnreadableDocument
from pipeline_lint.documents import open_document
from pipeline_lint.documents.script import Script

BUG = "this is a bug of the rule: please report it"


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A finding whose fix may be applied; `number` is its place in the stable order."""

    number: int
    diagnostic: Diagnostic
    edits: tuple[Edit, ...]

    def edits_of(self, path: str) -> list[Edit]:
        return [edit for edit in self.edits if edit.path == path]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a file cannot take some edits."""

    reason: str


class Trial:
    """One file on which fixes are tried; each combination is tried once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._outcomes: dict[tuple[int, ...], bytes | Fault] = {(): document.data}

    def outcome(self, candidates: Sequence[Candidate]) -> bytes | Fault:
        """The file's bytes after these fixes together. Needs a deep stack."""
        key = tuple(candidate.number for candidate in candidates)
        if key not in self._outcomes:
            path = self._document.path
            self._outcomes[key] = self._try(merged(edit for c in candidates for edit in c.edits_of(path)))
        return self._outcomes[key]

    def spoilers(self, candidates: Sequence[Candidate]) -> tuple[dict[Candidate, Fault], list[Candidate]]:
        """The fixes without which the others succeed: those at fault alone, and those that only fail with others.

        Needs a deep stack.
        """
        at_fault = self._at_fault_alone(candidates)
        rest = [candidate for candidate in candidates if candidate not in at_fault]
        waiting: list[Candidate] = []
        while isinstance(self.outcome(rest), Fault):
            works, fails = 0, len(rest)
            while fails - works > 1:
                middle = (works + fails) // 2
                if isinstance(self.outcome(rest[:middle]), Fault):
                    fails = middle
                else:
                    works = middle
            waiting.append(rest.pop(works))
        return at_fault, waiting

    def _at_fault_alone(self, candidates: Sequence[Candidate]) -> dict[Candidate, Fault]:
        """Found by halves, so that one bad fix among hundreds costs a few parses."""
        outcome = self.outcome(candidates)
        if not isinstance(outcome, Fault):
            return {}
        if len(candidates) == 1:
            return {candidates[0]: outcome}
        middle = len(candidates) // 2
        return {**self._at_fault_alone(candidates[:middle]), **self._at_fault_alone(candidates[middle:])}

    def _try(self, edits: Sequence[Edit]) -> bytes | Fault:
        from pipeline_lint.parsing import UnparsableSource, looks_compilable, parse

        path = self._document.path
        try:
            data = self._document.splice(edits)
            document = open_document(path, data)
            # LibCST is asked only when the ten times faster compiler refuses.
            if not looks_compilable(document.text):
                parse(document)
        except UnencodableEdit as error:
            return Fault(f"{path}: {error}")
        except UnreadableDocument as error:
            return Fault(f"it leaves {path} unreadable ({error.reason}); {BUG}")
        except UnparsableSource as error:
            place = f"{error.location.row}:{error.location.column}"
            return Fault(f"it leaves {path} as something that is not Python ({place}: {error.reason}); {BUG}")
        if isinstance(document, Script) and document.text != spliced(self._document.text, edits):
            # An edit of the line that declares the encoding gives all other bytes another meaning.
            return Fault(f"it changes the encoding that {path} declares; {BUG}")
        return data


def merged(edits: Iterable[Edit]) -> list[Edit]:
    """Edits in the order of the text, equal ones once. Those at one offset keep the order they are given in."""
    unique = {(edit.start, edit.end, edit.text): edit for edit in edits}
    return sorted(unique.values(), key=lambda edit: (edit.start, edit.end))


def spliced(text: str, edits: Iterable[Edit]) -> str:
    """The text with edits that do not overlap and are in its order."""
    pieces, done = [], 0
    for edit in edits:
        pieces += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*pieces, text[done:]])
