"""Pages of literate cases: Markdown read into `Case`s. The format is described in `testing.py`, which runs them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pipeline_lint.diagnostic import Confidence, Diagnostic

DEFAULT_PATH = "example.py"

_EXPECT = re.compile(r"[ \t]*#[ \t]*expect:(?P<findings>.*)$")
_EXPECTED_FINDING = re.compile(
    r'(?P<code>[A-Za-z][\w-]*)(?:\s+(?P<confidence>certain|likely|possible))?(?:\s+"(?P<part>[^"]*)")?$'
)
_OUTSIDE_QUOTES_SEMICOLON = re.compile(r';(?=(?:[^"]*"[^"]*")*[^"]*$)')
_FENCE = re.compile(r"^(?P<marks>`{3,}|~{3,})\s*(?P<info>[^`]*)$")
_FIXED_KINDS = ("fixed", "unsafe-fixed")


class CaseError(ValueError):
    """A page of cases that cannot be understood; the text names the file and the row."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A finding that a line of a case announces."""

    path: str
    row: int
    """In the case's file; `page_row` is where that is in the Markdown file."""
    page_row: int
    code: str
    confidence: Confidence | None
    part: str | None
    """What the message must contain."""

    def __str__(self) -> str:
        words = [self.code, self.confidence.label if self.confidence is not None else "", f'"{self.part or ""}"']
        return " ".join(word for word in words if word and word != '""')

    def matches(self, diagnostic: Diagnostic) -> bool:
        """Whether this is the finding that the line announces."""
        return (
            (diagnostic.path, diagnostic.place.location.row) == (self.path, self.row)
            and self.code in (diagnostic.code, diagnostic.name)
            and self.confidence in (None, diagnostic.confidence)
            and (self.part is None or self.part in diagnostic.message)
        )


@dataclass(frozen=True, slots=True)
class Case:
    """One behaviour of one rule."""

    rule: str
    title: str
    page: str
    row: int
    files: Mapping[str, str]
    """Path to text, without the comments that announce findings."""
    first_rows: Mapping[str, int]
    """Path to the row of the page where the file's first line stands."""
    expectations: tuple[Expectation, ...]
    fixed: Mapping[str, str]
    unsafe_fixed: Mapping[str, str]
    toml: str | None = None

    def __str__(self) -> str:
        return f"{self.rule}: {self.title}"


@dataclass(slots=True)
class _Draft:
    """A case while its blocks are read."""

    title: str
    row: int
    files: dict[str, str] = field(default_factory=dict)
    first_rows: dict[str, int] = field(default_factory=dict)
    expectations: list[Expectation] = field(default_factory=list)
    fixed: dict[str, str] = field(default_factory=dict)
    unsafe_fixed: dict[str, str] = field(default_factory=dict)
    toml: str | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    info: tuple[str, ...]
    text: str
    row: int
    """Row of the page where the text begins."""


def load_cases(path: str | Path) -> list[Case]:
    """The cases of a page. Raises `CaseError` for a page that cannot be understood."""
    page = str(path)
    rule, drafts, _ = _read_page(page, Path(path).read_text(encoding="utf-8"))
    if not drafts:
        raise CaseError(f"{page}: no case (a heading `## what the rule does`)")
    return [_case(page, rule, draft) for draft in drafts]


def load_witness(path: str | Path) -> str | None:
    """The code of the page's `python witness` block."""
    return _read_page(str(path), Path(path).read_text(encoding="utf-8"))[2]


def _read_page(page: str, text: str) -> tuple[str, list[_Draft], str | None]:
    """The rule's name, the cases, and the witness block."""
    rule = ""
    drafts: list[_Draft] = []
    witness: str | None = None
    for row, item in _items(page, text):
        if isinstance(item, _Block):
            if drafts:
                _add_block(page, drafts[-1], item)
            elif item.info == ("python", "witness"):
                witness = item.text
            else:
                raise CaseError(f"{page}:{row}: only a `python witness` block may stand before the first case")
        elif item.startswith("## "):
            title = item[3:].strip()
            if title in {draft.title for draft in drafts}:
                raise CaseError(f"{page}:{row}: two cases are called `{title}`")
            drafts.append(_Draft(title, row))
        elif item.startswith("# "):
            if rule:
                raise CaseError(f"{page}:{row}: a second `# rule-name`; a page is about one rule")
            rule = item[2:].strip()
    if not rule:
        raise CaseError(f"{page}: does not begin with `# rule-name`")
    return rule, drafts, witness


def _items(page: str, text: str) -> Iterator[tuple[int, str | _Block]]:
    """Lines outside of fenced blocks, and the blocks, each with its row."""
    lines = text.split("\n")
    row = 0
    while row < len(lines):
        opening = _FENCE.match(lines[row])
        if opening is None:
            yield row + 1, lines[row]
            row += 1
            continue
        marks = opening.group("marks")
        first = row + 1
        closing = next((i for i in range(first, len(lines)) if lines[i].rstrip() == marks), None)
        if closing is None:
            raise CaseError(f"{page}:{row + 1}: the block that begins here has no end")
        body = "".join(line + "\n" for line in lines[first:closing])
        yield row + 1, _Block(tuple(opening.group("info").split()), body, first + 1)
        row = closing + 1


def _add_block(page: str, draft: _Draft, block: _Block) -> None:
    where = f"{page}:{block.row - 1}"
    match block.info:
        case ("toml",):
            if draft.toml is not None:
                raise CaseError(f"{where}: a second `toml` block in one case")
            draft.toml = block.text
            return
        case ("python", kind, *rest) if kind in _FIXED_KINDS and len(rest) <= 1:
            texts = draft.fixed if kind == "fixed" else draft.unsafe_fixed
        case ("python", *rest) if len(rest) <= 1:
            texts = draft.files
        case _:
            raise CaseError(
                f"{where}: unknown block `{' '.join(block.info)}`; known are `python`, `python fixed`, "
                "`python unsafe-fixed`, each with or without a path, and `toml`"
            )
    path = rest[0] if rest else DEFAULT_PATH
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise CaseError(f"{where}: `{path}` must be a path below the case's folder")
    if path in texts:
        raise CaseError(f"{where}: a second block for `{path}` in one case")
    if texts is draft.files:
        draft.first_rows[path] = block.row
        texts[path] = "".join(_without_expectations(page, draft, block, path))
    else:
        texts[path] = block.text


def _without_expectations(page: str, draft: _Draft, block: _Block, path: str) -> Iterator[str]:
    """The lines of a file as they are checked; what they announce goes into the case."""
    for row, line in enumerate(block.text.split("\n")[:-1], start=1):
        announced = _EXPECT.search(line)
        if announced is None:
            yield line + "\n"
            continue
        page_row = block.row + row - 1
        for words in _OUTSIDE_QUOTES_SEMICOLON.split(announced.group("findings")):
            match = _EXPECTED_FINDING.match(words.strip())
            if match is None:
                raise CaseError(
                    f"{page}:{page_row}: cannot read `{words.strip()}`; write a rule's code, then perhaps a "
                    "confidence, then perhaps a part of the message in double quotes"
                )
            label = match.group("confidence")
            confidence = Confidence[label.upper()] if label else None
            draft.expectations.append(
                Expectation(path, row, page_row, match.group("code"), confidence, match.group("part"))
            )
        yield line[: announced.start()] + "\n"


def _case(page: str, rule: str, draft: _Draft) -> Case:
    where = f"{page}:{draft.row}: case `{draft.title}`"
    if not draft.files:
        raise CaseError(f"{where} has no `python` block")
    for path in (*draft.fixed, *draft.unsafe_fixed):
        if path not in draft.files:
            raise CaseError(f"{where} has a fixed `{path}`, but no such file")
    return Case(
        rule=rule,
        title=draft.title,
        page=page,
        row=draft.row,
        files=draft.files,
        first_rows=draft.first_rows,
        expectations=tuple(draft.expectations),
        fixed=draft.fixed,
        unsafe_fixed=draft.unsafe_fixed,
        toml=draft.toml,
    )
