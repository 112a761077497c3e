"""The engine as the language server uses it: texts that an editor holds go in, findings and changed texts come out.

Nothing here is safe for several threads, and the engine sets limits of the whole process while it parses; so the
session calls all of it in one thread of its own.
"""

from __future__ import annotations

import dataclasses
import io
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline_lint.config import ConfigError, Settings, SettingsResolver
from pipeline_lint.diagnostic import Diagnostic, Edit, Failure
from pipeline_lint.document import UnreadableDocument
from pipeline_lint.documents import open_document
from pipeline_lint.engine.catalog import find_rule
from pipeline_lint.engine.check import UNPARSABLE_CODE
from pipeline_lint.engine.files import FileOptions, discover
from pipeline_lint.engine.fix import apply_fixes
from pipeline_lint.engine.fix_files import fix_files
from pipeline_lint.engine.run import Checker, RunOptions
from pipeline_lint.engine.suppress import UNUSED_CODE, matches_selector, noqa_edits
from pipeline_lint.explain import Page, PageError, page, rule_page

_CHECKS_PER_CHECKER = 200
"""A checker remembers every text it has seen; a new one now and then gives that memory back."""

_OPTIONS = RunOptions(jobs=1, use_cache=False)


@dataclass(frozen=True, slots=True, eq=False)
class OpenDocument:
    """One version of a document in the editor. Its identity is that of the version."""

    uri: str
    path: str
    version: int | None
    text: str
    """Without the byte order mark."""
    has_mark: bool = False

    @property
    def data(self) -> bytes:
        """The bytes that saving would write, in the encoding that the text declares."""
        data = self.text.encode("utf-8", "surrogatepass")
        if b"coding" in b"".join(data.split(b"\n", 2)[:2]):
            try:
                encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
                return self.text.encode(encoding)
            except (SyntaxError, UnicodeEncodeError):
                pass
        return data


@dataclass(slots=True)
class Checked:
    """What a check of all open documents gives."""

    findings: dict[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    """By the document's URI."""
    urls: dict[str, str] = field(default_factory=dict)
    """Address of a rule's page, by code, where it has one."""
    errors: list[str] = field(default_factory=list)
    """Configurations that cannot be used."""
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class TextChange:
    """A file's text before and after a fix."""

    before: str
    after: str


@dataclass(slots=True)
class Changes:
    """What a fix changes, by path, or why it was refused."""

    texts: dict[str, TextChange] = field(default_factory=dict)
    refused: list[Failure] = field(default_factory=list)


class Linter:
    """Checks and fixes what is open in an editor."""

    def __init__(self) -> None:
        self._resolver = SettingsResolver()
        self._checker = Checker(self._resolver, _OPTIONS)
        self._num_checks = 0

    def check(self, documents: Sequence[OpenDocument]) -> Checked:
        """Checks all documents, those that did not change from memory; reads the configuration anew."""
        self._resolver.forget()
        self._num_checks += 1
        if self._num_checks % _CHECKS_PER_CHECKER == 0:
            self._checker = Checker(self._resolver, _OPTIONS)
        checked = Checked()
        contents = {document.path: document.data for document in documents}
        groups = self._groups(documents, checked.errors)
        for settings, group in groups.items():
            try:
                self._check_group(settings, group, contents, checked)
            except ConfigError as error:
                checked.errors.append(str(error))
        return checked

    def fix_one(self, document: OpenDocument, documents: Sequence[OpenDocument], wanted: Diagnostic) -> Changes:
        """The texts that the fix of one finding changes; nothing where the finding is no longer there."""
        if wanted not in self.check(documents).findings.get(document.uri, ()) or wanted.fix is None:
            return Changes()
        known = {document.path: document.data for document in documents}
        try:
            before = {path: known[path] if path in known else Path(path).read_bytes() for path in wanted.fix.paths}
        except OSError as error:
            return Changes(refused=[Failure(str(error.filename), f"cannot be read: {error.strerror or error}")])
        done = apply_fixes(before, [wanted], unsafe=True)
        return Changes(_text_changes(before, done.contents), list(done.refused))

    def fix_all(self, document: OpenDocument, documents: Sequence[OpenDocument]) -> Changes:
        """The texts that all safe fixes for one document change.

        The others that are open are looked at, too, because a fix may concern them.
        """
        self._resolver.forget()
        errors: list[str] = []
        group = next((g for g in self._groups(documents, errors).values() if document in g), [])
        try:
            fixed = fix_files(
                [other.path for other in group],
                self._resolver,
                options=_OPTIONS,
                unsafe=False,
                accept=lambda diagnostic, _: diagnostic.path == document.path,
                contents={other.path: other.data for other in documents},
            )
        except ConfigError as error:
            return Changes(refused=[Failure(document.path, str(error))])
        return Changes(_text_changes(fixed.before, fixed.after), fixed.report.failures)

    def page_of(self, word: str, path: str) -> Page | None:
        """The page of the rule with this code or name; None where there is no such rule or it has no page."""
        try:
            return page(find_rule(word, self._resolver.for_path(path)))
        except (ConfigError, PageError):
            return None

    def _groups(self, documents: Sequence[OpenDocument], errors: list[str]) -> dict[Settings, list[OpenDocument]]:
        """The documents to check, by their settings; notes configurations that cannot be used."""
        groups: dict[Settings, list[OpenDocument]] = {}
        for document in documents:
            try:
                settings = self._resolver.for_path(document.path)
            except ConfigError as error:
                errors.append(str(error))
                continue
            if _is_included(document.path, settings):
                groups.setdefault(settings, []).append(document)
        return groups

    def _check_group(
        self, settings: Settings, group: Sequence[OpenDocument], contents: Mapping[str, bytes], checked: Checked
    ) -> None:
        report = self._checker.check([document.path for document in group], contents=contents)
        found = [_without_unwanted_fix(diagnostic, settings) for diagnostic in report.diagnostics]
        for document in group:
            checked.findings[document.uri] = tuple(d for d in found if d.path == document.path)
        checked.failures.extend(report.failures)
        for code in {diagnostic.code for diagnostic in found} - checked.urls.keys():
            url = _url(code, settings)
            if url is not None:
                checked.urls[code] = url


def suppression(document: OpenDocument, diagnostic: Diagnostic) -> list[Edit]:
    """The edits that silence a finding by a comment on its line; none where no comment can."""
    if diagnostic.code in (UNPARSABLE_CODE, UNUSED_CODE):
        return []
    try:
        return list(noqa_edits(open_document(document.path, document.data), [diagnostic]))
    except UnreadableDocument:
        return []


def _is_included(path: str, settings: Settings) -> bool:
    """Whether the file is to be checked: not where it is excluded, nor in an installed package of no project.

    What was never saved is not on the disk to be excluded.
    """
    if settings.origin is None:
        return "site-packages" not in Path(path).parts
    options = FileOptions(exclude=settings.exclude, force_exclude=True, root=settings.root)
    return not Path(path).exists() or bool(discover([path], options).files)


def _without_unwanted_fix(diagnostic: Diagnostic, settings: Settings) -> Diagnostic:
    if any(matches_selector(word, code=diagnostic.code, name=diagnostic.name) for word in settings.unfixable):
        return dataclasses.replace(diagnostic, fix=None)
    return diagnostic


def _url(code: str, settings: Settings) -> str | None:
    try:
        url = rule_page(find_rule(code, settings)).url
    except (ConfigError, PageError):
        return None
    return url if url.startswith(("https://", "http://")) else None


def _text_changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, TextChange]:
    return {
        path: TextChange(open_document(path, before[path]).text, open_document(path, data).text)
        for path, data in after.items()
        if data != before[path]
    }
