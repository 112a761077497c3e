"""Suppression comments: finding them, applying them, reporting the idle ones, writing new ones.

`# noqa: TRN204` and `# pipeline-lint: ignore[log-near-zero] reason` count for the statement's row that they stand on;
a `pipeline-lint: ignore` comment alone on its row counts for the row below. `# pipeline-lint: ignore-file[...]` counts
for the file. Works on plain data, so that cached results can be suppressed without parsing anything.
"""

from __future__ import annotations

import difflib
import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline_lint.diagnostic import Applicability, Diagnostic, Edit, Fix, Place
from pipeline_lint.document import Document

UNUSED_CODE, UNUSED_NAME = "TRN902", "unused-suppression"

_NOQA = re.compile(
    r"#\s*noqa\b(?P<colon>\s*:\s*(?P<codes>[A-Z][A-Z0-9]*[0-9]+(?:[,\s]+[A-Z][A-Z0-9]*[0-9]+)*))?", re.IGNORECASE
)
_DIRECTIVE = re.compile(r"#\s*pipeline-lint\s*:\s*(?P<verb>[\w-]+)?\s*(?:\[(?P<codes>[^\]\n]*)\])?", re.IGNORECASE)
_VERBS = ("ignore", "ignore-file")


@dataclass(frozen=True, slots=True)
class Suppression:
    """One comment that silences rules."""

    place: Place
    """The comment's own characters, from `#` to the end of the codes."""
    verb: str
    """`noqa`, `ignore`, `ignore-file`, or whatever was written there."""
    selectors: tuple[str, ...] | None
    """Rule codes or names; None: all rules."""
    row: int
    """The row whose findings it silences, counted within its cell."""
    comment_end: int
    """Offset of the end of the whole comment."""
    line_start: int
    """Offset of the first character of white space before the comment."""

    def silences(self, diagnostic: Diagnostic) -> str | None:
        """The selector that silences the finding, or None. A comment without selectors answers `ALL`."""
        place = diagnostic.place
        if self.verb not in ("noqa", *_VERBS):
            return None
        if self.verb != "ignore-file":
            rows = (place.location.row, place.end_location.row, place.noqa_row)
            if self.place.cell != place.cell or self.row not in rows:
                return None
        if self.selectors is None:
            return "ALL"
        for selector in self.selectors:
            if matches_selector(selector, code=diagnostic.code, name=diagnostic.name):
                return selector
        return None


def matches_selector(selector: str, *, code: str, name: str) -> bool:
    """Whether a code, a prefix of one, or a name means the rule."""
    return code.startswith(selector.upper()) or selector.lower() == name


def find_suppressions(document: Document) -> tuple[Suppression, ...]:
    """All suppression comments of a file, also those of other tools' codes."""
    text = document.text
    if "noqa" not in text and "pipeline-lint" not in text and "noqa" not in text.lower():
        return ()
    matches = [match for pattern in (_NOQA, _DIRECTIVE) for match in pattern.finditer(text)]
    if not matches:
        return ()
    comments = _comments(document)
    found = []
    for match in sorted(matches, key=lambda match: match.start()):
        comment = next((c for c in comments if c[0] <= match.start() < c[1]), None)
        if comment is not None:
            found.append(_suppression(document, match, comment))
    return tuple(found)


def _suppression(document: Document, match: re.Match[str], comment: tuple[int, int]) -> Suppression:
    codes = match.group("codes")
    selectors = None if codes is None else tuple(word for word in re.split(r"[,\s]+", codes) if word)
    verb = "noqa" if match.re is _NOQA else (match.group("verb") or "")
    place = document.place(match.start(), match.end())
    line_first = document.line_starts[document.row_of(match.start()) - 1]
    before = document.text[line_first : comment[0]]
    row = place.location.row
    if not before.strip() and verb == "ignore":
        row += 1
    line_start = line_first + len(before.rstrip())
    return Suppression(place, verb, selectors, row, comment[1], line_start)


def _comments(document: Document) -> list[tuple[int, int]]:
    """Offsets of real comments, so that a string that speaks of noqa silences nothing."""
    starts = document.line_starts
    comments = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(document.text, newline="").readline):
            if token.type == tokenize.COMMENT:
                start = starts[token.start[0] - 1] + token.start[1]
                comments.append((start, start + len(token.string.rstrip("\r\n"))))
    except (tokenize.TokenError, SyntaxError, IndexError):
        # Text that this Python's tokenizer gives up on: whatever follows a `#` is taken for a comment.
        comments = [(match.start(), match.end()) for match in re.finditer(r"#[^\r\n]*", document.text)]
    return comments


@dataclass(frozen=True, slots=True)
class Suppressed:
    """The findings of one file that remain, and how many do not."""

    diagnostics: list[Diagnostic]
    num_suppressed: int


def apply_suppressions(
    diagnostics: Sequence[Diagnostic],
    suppressions: Sequence[Suppression],
    *,
    active: Collection[tuple[str, str]],
    hidden: Collection[str] = (),
    report_unused: bool,
) -> Suppressed:
    """Takes away what the comments of a file silence and adds a finding for each part of one that silences nothing.

    `active` holds code and name of the rules that ran; a suppression of a rule that did not run is not called idle.
    `hidden` holds codes of rules with findings below the reported confidence, whose suppressions are in use.
    """
    used: set[tuple[int, str]] = set()
    kept = []
    for diagnostic in diagnostics:
        silencing = [(i, by) for i, s in enumerate(suppressions) if (by := s.silences(diagnostic)) is not None]
        used.update(silencing)
        if not silencing:
            kept.append(diagnostic)
    num_suppressed = len(diagnostics) - len(kept)
    if report_unused:
        for index, suppression in enumerate(suppressions):
            idle = _unused(suppression, {by for i, by in used if i == index}, active=active, hidden=hidden)
            if idle is not None and not any(s.silences(idle) == "ALL" or _names_unused(s, idle) for s in suppressions):
                kept.append(idle)
    return Suppressed(kept, num_suppressed)


def _names_unused(suppression: Suppression, idle: Diagnostic) -> bool:
    by = suppression.silences(idle)
    return by is not None and by.upper() not in ("T", "TR", "TRN")


def _unused(
    suppression: Suppression, used: set[str], *, active: Collection[tuple[str, str]], hidden: Collection[str]
) -> Diagnostic | None:
    """The finding for a comment that silences nothing, or not all that it names."""
    if suppression.verb not in ("noqa", *_VERBS):
        close = difflib.get_close_matches(suppression.verb, _VERBS, n=1, cutoff=0.3)
        hint = close[0] if close else "ignore"
        message = f"`pipeline-lint: {suppression.verb}` is no directive and silences nothing; write `{hint}[rule]`"
        return Diagnostic(UNUSED_CODE, UNUSED_NAME, message, suppression.place)
    if suppression.selectors is None:
        return None
    idle = [word for word in suppression.selectors if word not in used and _is_ours_and_idle(word, active, hidden)]
    unknown = [] if suppression.verb == "noqa" else [w for w in suppression.selectors if not _is_known(w, active)]
    if not idle and not unknown:
        return None
    words = ", ".join(f"`{word}`" for word in idle or unknown)
    what = "silences nothing here" if idle else "names no rule that runs"
    return Diagnostic(
        UNUSED_CODE,
        UNUSED_NAME,
        f"Suppression of {words} {what}; remove it",
        suppression.place,
        fix=_removal(suppression, idle) if idle else None,
    )


def _is_ours_and_idle(word: str, active: Collection[tuple[str, str]], hidden: Collection[str]) -> bool:
    meant = [code for code, name in active if matches_selector(word, code=code, name=name)]
    return bool(meant) and not any(code in hidden for code in meant) and UNUSED_CODE not in meant


def _is_known(word: str, active: Collection[tuple[str, str]]) -> bool:
    """Whether the word can mean a rule: one that runs, or a code of ours that is not selected."""
    if re.fullmatch(r"[A-Z]+[0-9]+", word, re.IGNORECASE):
        return True
    return any(word.lower() == name for _, name in active) or not difflib.get_close_matches(
        word.lower(), [name for _, name in active], n=1, cutoff=0.75
    )


def _removal(suppression: Suppression, idle: Sequence[str]) -> Fix:
    """Takes the idle rules out of the comment, and the comment away when nothing is left of it."""
    remaining = [word for word in suppression.selectors or () if word not in idle]
    place = suppression.place
    if remaining:
        separator = ", "
        if suppression.verb == "noqa":
            text = f"# noqa: {separator.join(remaining)}"
        else:
            text = f"# pipeline-lint: {suppression.verb}[{separator.join(remaining)}]"
        edit = Edit(place.path, place.start, place.end, text, place.location, place.end_location, place.cell)
    else:
        # With the white space before it and the reason behind it, but no other tool's comment.
        is_last = suppression.comment_end == place.end or suppression.verb != "noqa"
        end = suppression.comment_end if is_last else place.end
        start = suppression.line_start if end == suppression.comment_end else place.start
        edit = Edit(place.path, start, end, "", place.location, place.end_location, place.cell)
    return Fix(Applicability.SAFE, "Remove the suppression", (edit,))


def noqa_edits(document: Document, diagnostics: Iterable[Diagnostic]) -> Iterator[Edit]:
    """The edits that add `# noqa: CODE` to the rows of these findings, joining comments that are there already."""
    by_row: dict[int, set[str]] = {}
    for diagnostic in diagnostics:
        place = diagnostic.place
        row = document.row_of(place.start) + place.noqa_row - place.location.row
        by_row.setdefault(row, set()).add(diagnostic.code)
    for row, codes in sorted(by_row.items()):
        line = document.line(row)
        start = document.line_starts[row - 1]
        existing = _NOQA.search(line)
        if existing and existing.group("codes"):
            at = start + existing.end()
            known = {word.upper() for word in re.split(r"[,\s]+", existing.group("codes"))}
            missing = sorted(codes - known)
            if missing:
                yield document.edit(at, at, ", " + ", ".join(missing))
        elif not existing:
            at = start + len(line)
            yield document.edit(start + len(line.rstrip()), at, "  # noqa: " + ", ".join(sorted(codes)))
