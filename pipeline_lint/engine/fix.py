"""One pass of fixing: which fixes can be applied together, and the files that they give. Nothing is written."""

from __future__ import annotations

import bisect
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline_lint.diagnostic import Applicability, Diagnostic, Edit, Failure
from pipeline_lint.document import Document, UnreadableDocument
from pipeline_lint.documents import open_document
from pipeline_lint.engine.fix_trial import BUG, Candidate, Fault, Trial, merged
from pipeline_lint.engine.patch import unified_diff

__all__ = ["Pass", "apply_fixes", "unified_diff"]


@dataclass(slots=True)
class Pass:
    """What one pass of fixing gives."""

    contents: dict[str, bytes] = field(default_factory=dict)
    """The new bytes of the files that change."""
    applied: list[Diagnostic] = field(default_factory=list)
    groups: list[frozenset[str]] = field(default_factory=list)
    """The files of `contents`, those together that a fix changes together."""
    refused: list[Failure] = field(default_factory=list)
    postponed: list[Diagnostic] = field(default_factory=list)
    """Findings whose fixes were in the way of applied ones, and may be applied to the new files."""


def _accept_all(_: Diagnostic) -> bool:
    return True


def apply_fixes(
    contents: Mapping[str, bytes],
    diagnostics: Sequence[Diagnostic],
    *,
    unsafe: bool,
    accept: Callable[[Diagnostic], bool] = _accept_all,
) -> Pass:
    """Applies as many fixes as go together, in the order of their places, each whole or not at all.

    `accept` is asked once for each fix that nothing stands in the way of.
    """
    from pipeline_lint.parsing import with_deep_stack

    candidates = _candidates(diagnostics, unsafe=unsafe)
    paths = {edit.path for candidate in candidates for edit in candidate.edits}
    documents, unusable = with_deep_stack(_open_all, {path: contents[path] for path in paths if path in contents})
    faults = {c: fault for c in candidates if (fault := _fault_of(c, documents, unusable)) is not None}
    trials = {path: Trial(document) for path, document in documents.items()}
    waiting: set[Candidate] = set()
    answers: dict[Candidate, bool] = {}

    def is_accepted(candidate: Candidate) -> bool:
        if candidate not in answers:
            answers[candidate] = accept(candidate.diagnostic)
        return answers[candidate]

    while True:
        taken, in_the_way = _select([c for c in candidates if c not in faults and c not in waiting], is_accepted)
        outcomes, spoilers, late = with_deep_stack(_try_all, trials, taken)
        if not spoilers and not late:
            break
        # Chosen anew: what a refused fix stood in the way of may be free now.
        faults |= spoilers
        waiting.update(late)
    changed = {path: data for path, data in outcomes.items() if data != contents[path]}
    return Pass(
        contents=changed,
        applied=[candidate.diagnostic for candidate in taken],
        groups=_groups(taken, changed),
        refused=[_failure(candidate, faults[candidate]) for candidate in candidates if candidate in faults],
        postponed=[c.diagnostic for c in candidates if c in waiting or c in in_the_way],
    )


def _candidates(diagnostics: Sequence[Diagnostic], *, unsafe: bool) -> list[Candidate]:
    """The findings with a fix that is asked for, in a stable order."""
    wanted = [
        (diagnostic, diagnostic.fix.edits)
        for diagnostic in sorted(diagnostics, key=lambda diagnostic: diagnostic.sort_key)
        if diagnostic.fix is not None and (unsafe or diagnostic.fix.applicability is Applicability.SAFE)
    ]
    return [Candidate(number, diagnostic, edits) for number, (diagnostic, edits) in enumerate(wanted)]


def _open_all(contents: Mapping[str, bytes]) -> tuple[dict[str, Document], dict[str, Fault]]:
    """The files that parse, and why the others may not be edited."""
    from pipeline_lint.parsing import UnparsableSource, looks_compilable, parse

    documents: dict[str, Document] = {}
    unusable: dict[str, Fault] = {}
    for path, data in sorted(contents.items()):
        try:
            document = open_document(path, data)
            # LibCST is asked only when the ten times faster compiler refuses.
            if not looks_compilable(document.text):
                parse(document)
            documents[path] = document
        except (UnreadableDocument, UnparsableSource) as error:
            unusable[path] = Fault(f"{path} cannot be parsed ({error.reason}), and such a file is never changed")
    return documents, unusable


def _fault_of(candidate: Candidate, documents: Mapping[str, Document], unusable: Mapping[str, Fault]) -> Fault | None:
    """What makes a fix impossible whatever else is applied."""
    changes_nothing = True
    for path in sorted({edit.path for edit in candidate.edits}):
        if path in unusable:
            return unusable[path]
        if path not in documents:
            return Fault(f"it also changes {path}, which is not among the files to fix; name it, too")
        text = documents[path].text
        done = 0
        for edit in merged(candidate.edits_of(path)):
            if not done <= edit.start <= edit.end <= len(text):
                return Fault(f"its edits overlap or lie outside {path}; {BUG}")
            done = edit.end
            changes_nothing = changes_nothing and text[edit.start : edit.end] == edit.text
    return Fault(f"it changes nothing; {BUG}") if changes_nothing else None


class _Occupied:
    """The stretches of one file that the fixes taken so far edit, in the order of the text."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int, str]] = []

    def is_in_the_way_of(self, edit: Edit) -> bool:
        """Whether a taken edit overlaps or touches this one. Equal insertions of whole lines do not: one serves both.

        Equal insertions within a line may be halves of something, as two opening parentheses are.
        """
        first = bisect.bisect_left(self._spans, edit.start, key=lambda span: span[1])
        for start, end, text in itertools.islice(self._spans, first, None):
            if start > edit.end:
                return False
            is_insertion = start == end == edit.start == edit.end
            if not (is_insertion and text == edit.text and ("\n" in text or "\r" in text)):
                return True
        return False

    def add(self, edit: Edit) -> None:
        span = (edit.start, edit.end, edit.text)
        bisect.insort(self._spans, span)


def _select(
    candidates: Iterable[Candidate], is_accepted: Callable[[Candidate], bool]
) -> tuple[list[Candidate], set[Candidate]]:
    """The fixes that go together, first come first served, and those that they stand in the way of."""
    occupied: defaultdict[str, _Occupied] = defaultdict(_Occupied)
    taken: list[Candidate] = []
    in_the_way: set[Candidate] = set()
    for candidate in candidates:
        if any(occupied[edit.path].is_in_the_way_of(edit) for edit in candidate.edits):
            in_the_way.add(candidate)
        elif is_accepted(candidate):
            for edit in candidate.edits:
                occupied[edit.path].add(edit)
            taken.append(candidate)
    return taken, in_the_way


def _try_all(
    trials: Mapping[str, Trial], taken: Sequence[Candidate]
) -> tuple[dict[str, bytes], dict[Candidate, Fault], list[Candidate]]:
    """The new bytes of each file, or the fixes that must go: for good, or until the next pass."""
    by_path: defaultdict[str, list[Candidate]] = defaultdict(list)
    for candidate in taken:
        for path in dict.fromkeys(edit.path for edit in candidate.edits):
            by_path[path].append(candidate)
    outcomes: dict[str, bytes] = {}
    spoilers: dict[Candidate, Fault] = {}
    late: list[Candidate] = []
    for path, candidates in sorted(by_path.items()):
        outcome = trials[path].outcome(candidates)
        if isinstance(outcome, Fault):
            at_fault, waiting = trials[path].spoilers(candidates)
            spoilers |= at_fault
            late += waiting
        else:
            outcomes[path] = outcome
    return outcomes, spoilers, late


def _groups(taken: Iterable[Candidate], changed: Mapping[str, bytes]) -> list[frozenset[str]]:
    """The changed files, those together that fixes tie to one another, directly or through others."""
    parents = {path: path for path in changed}

    def root_of(path: str) -> str:
        while parents[path] != path:
            parents[path] = path = parents[parents[path]]
        return path

    for candidate in taken:
        first, *others = sorted({edit.path for edit in candidate.edits} & changed.keys()) or [""]
        for other in others:
            parents[root_of(other)] = root_of(first)
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for path in changed:
        groups[root_of(path)].add(path)
    return sorted((frozenset(group) for group in groups.values()), key=min)


def _failure(candidate: Candidate, fault: Fault) -> Failure:
    diagnostic = candidate.diagnostic
    place = f"{diagnostic.place.location.row}:{diagnostic.place.location.column}"
    return Failure(
        diagnostic.path, f"the fix of {diagnostic.code} ({diagnostic.name}) at {place} was refused: {fault.reason}"
    )
