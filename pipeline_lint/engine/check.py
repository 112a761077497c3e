"""One file: from bytes to findings, suppressions and summaries. This is what worker processes run."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pipeline_lint.diagnostic import Confidence, Diagnostic, Failure, Fix, Place
from pipeline_lint.document import Document, UnreadableDocument
from pipeline_lint.documents import open_document
from pipeline_lint.engine.result import FileResult, Summaries
from pipeline_lint.engine.suppress import Suppression, find_suppressions
from pipeline_lint.parsing import UnparsableSource, looks_compilable, parse
from pipeline_lint.rule import Finding, ProjectRule, Rule, ToolRule
from pipeline_lint.source import Source, UnknownPosition

UNPARSABLE_CODE, UNPARSABLE_NAME = "TRN901", "unparsable-file"


def check_bytes(
    path: str, data: bytes, *, rules: Sequence[Rule], min_confidence: Confidence, summarize: bool = False
) -> FileResult:
    """Runs the rules over one file. Never raises for what a file or a rule does.

    With `summarize` the summaries of the project rules are made whatever the file's words (see `Rule.triggers`).
    Deep nesting needs `with_deep_stack` around the call.
    """
    try:
        document = open_document(path, data)
    except UnreadableDocument as error:
        return FileResult(diagnostics=(_unreadable(path, error),), is_unparsable=True)
    awake = [rule for rule in rules if _is_awake(rule, document.text, summarize=summarize)]
    suppressions = find_suppressions(document)
    if not awake and (looks_compilable(document.text) or not any(rule.code == UNPARSABLE_CODE for rule in rules)):
        return FileResult(suppressions=suppressions)
    with _collector_paused():
        try:
            source = parse(document)
        except UnparsableSource as error:
            return FileResult(diagnostics=(_unparsable(document, error),), is_unparsable=True)
        result = _run_rules(source, awake, suppressions, min_confidence)
        source.close()
    return result


def summary_key(summarize: Callable[[Source], Any]) -> str:
    """The name under which a summary is kept."""
    return f"{summarize.__module__}.{summarize.__qualname__}"


def diagnostic_of(finding: Finding, rule: Rule, place: Place) -> Diagnostic:
    """The finding as plain data; asks for its fix."""
    fix = finding.fix
    if fix is not None and not isinstance(fix, Fix):
        try:
            fix = fix()
        except UnknownPosition:
            fix = None
    return Diagnostic(
        rule.code,
        rule.rule_name(),
        finding.message,
        place,
        confidence=finding.confidence,
        witness=finding.witness,
        fix=fix,
        related=finding.related,
    )


def rule_failure(path: str, rule: Rule, error: Exception) -> Failure:
    """What to tell of a rule that raised: where, and that the file was left alone."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Failure(
        path,
        f"rule {rule.code} ({rule.rule_name()}) failed on this file: {type(error).__name__}: {error} "
        f"(at {last.filename}:{last.lineno}); the file is untouched. This is a bug: please report it with the file",
    )


def _run_rules(
    source: Source, rules: Sequence[Rule], suppressions: tuple[Suppression, ...], min_confidence: Confidence
) -> FileResult:
    diagnostics: list[Diagnostic] = []
    failures: list[Failure] = []
    hidden: set[str] = set()
    summaries: Summaries = {}
    for rule in rules:
        try:
            if isinstance(rule, ProjectRule):
                for summarize in rule.summaries:
                    key = summary_key(summarize)
                    if key not in summaries:
                        summaries[key] = summarize(source)
            for finding in rule.check(source):
                if finding.confidence < min_confidence:
                    hidden.add(rule.code)
                    continue
                place = finding.at if isinstance(finding.at, Place) else source.place(finding.at)
                diagnostics.append(diagnostic_of(finding, rule, place))
        except Exception as error:
            failures.append(rule_failure(source.path, rule, error))
    return FileResult(
        tuple(sorted(diagnostics, key=lambda diagnostic: diagnostic.sort_key)),
        suppressions,
        tuple(failures),
        frozenset(hidden),
        was_parsed=True,
        summaries=summaries,
    )


def _is_awake(rule: Rule, text: str, *, summarize: bool) -> bool:
    """Whether the rule can find something in this text, or has to summarize it."""
    if isinstance(rule, ToolRule):
        return False
    if summarize and isinstance(rule, ProjectRule):
        return True
    return not rule.triggers or any(word in text for word in rule.triggers)


def _unreadable(path: str, error: UnreadableDocument) -> Diagnostic:
    place = Place(path, 0, 0, error.location, error.location, error.location.row)
    return Diagnostic(UNPARSABLE_CODE, UNPARSABLE_NAME, f"Cannot read this file: {error.reason}", place)


def _unparsable(document: Document, error: UnparsableSource) -> Diagnostic:
    starts = document.line_starts
    row = min(error.location.row, len(starts))
    offset = min(starts[row - 1] + error.location.column - 1, len(document.text))
    place = document.place(offset, offset)
    return Diagnostic(UNPARSABLE_CODE, UNPARSABLE_NAME, f"Cannot parse this file: {error.reason}", place)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No garbage collection while a tree is built: its nodes are many, and all of them alive."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
