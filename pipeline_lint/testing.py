"""Literate cases: what a rule finds and what its fix makes of it, as a page of Markdown that a test runs.

With pytest, for rules of your own as for ours:

    @pytest.mark.parametrize("case", load_cases("rules/no_bare_print.md"), ids=str)
    def test_case(case):
        run_case(case, local_rules=["rules"])

A page is `# rule-name`, then `## a sentence about behaviour` for each case, with fenced blocks below it:

- `python` or `python path/file.py`: a file. A line with findings ends in `# expect: TRN101`; behind the code may stand
  a confidence (`certain`, `likely`, `possible`) and a part of the message in double quotes; several findings are
  separated by `;`. These comments are taken off before the check.
- `python fixed` or `python fixed path/file.py`: the file after all safe fixes; `python unsafe-fixed` after the unsafe
  ones, too. A file without such a block must stay as it is, and a case without any must be offered no fix.
- `toml`: the case's configuration, as pyproject.toml has it.

A case runs the rule in the heading, and shows findings of every confidence, unless its configuration says otherwise.
A block `python witness` before the first case holds inputs that go wrong; it is for those who run the rule's examples.
"""

from __future__ import annotations

import dataclasses
import difflib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline_lint.cases import Case, CaseError, load_cases, load_witness
from pipeline_lint.config import ConfigError, Settings, load_settings
from pipeline_lint.diagnostic import Confidence, Report
from pipeline_lint.document import UnreadableDocument
from pipeline_lint.documents import open_document
from pipeline_lint.engine.fix_files import fix_contents
from pipeline_lint.engine.run import check_contents
from pipeline_lint.parsing import UnparsableSource, parse, with_deep_stack

__all__ = ["Case", "CaseError", "load_cases", "load_witness", "run_case"]


def run_case(case: Case, *, local_rules: Sequence[str | Path] = ()) -> None:
    """Checks and fixes the files of a case.

    `local_rules` are files and folders with rules of your own, as in the configuration.
    Raises `AssertionError` with what was expected and what was found.
    """
    settings = _settings(case, local_rules)
    contents = {path: text.encode("utf-8") for path, text in case.files.items()}
    report = check_contents(contents, settings)
    _require(not report.failures, case, "\n".join(f"{failure.path}: {failure.message}" for failure in report.failures))
    _compare_findings(case, report)
    safe = {**case.files, **case.fixed}
    _compare_fix(case, settings, expected=safe, unsafe=False)
    _compare_fix(case, settings, expected={**safe, **case.unsafe_fixed}, unsafe=True)
    if not case.fixed and not case.unsafe_fixed:
        offered = [str(diagnostic.place) for diagnostic in report.diagnostics if diagnostic.fix is not None]
        _require(not offered, case, f"a fix is offered, but the case has no `fixed` block: {', '.join(offered)}")


def _settings(case: Case, local_rules: Sequence[str | Path]) -> Settings:
    settings = Settings()
    if case.toml is not None:
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder, "pyproject.toml")
            config.write_text(case.toml, encoding="utf-8")
            try:
                settings = load_settings(config)
            except ConfigError as error:
                raise CaseError(f"{case.page}:{case.row}: {case}: {error}") from None
    confidence = settings.min_confidence if "min-confidence" in (case.toml or "") else Confidence.POSSIBLE
    return dataclasses.replace(
        settings,
        select=settings.select or (case.rule,),
        min_confidence=confidence,
        local_rules=(*settings.local_rules, *map(str, local_rules)),
        root=Path.cwd(),
        origin=None,
    )


def _compare_findings(case: Case, report: Report) -> None:
    """Pairs announced with reported findings; the pickiest announcement chooses first."""
    found = list(report.diagnostics)
    missing = []
    for expectation in sorted(case.expectations, key=lambda e: (e.confidence is None) + (e.part is None)):
        match = next((diagnostic for diagnostic in found if expectation.matches(diagnostic)), None)
        if match is None:
            missing.append(expectation)
        else:
            found.remove(match)
    rows: dict[tuple[str, int], tuple[list[str], list[str]]] = {}
    for expectation in missing:
        rows.setdefault((expectation.path, expectation.row), ([], []))[0].append(str(expectation))
    for diagnostic in found:
        shown = f'{diagnostic.code} {diagnostic.confidence.label} "{diagnostic.message}"'
        rows.setdefault((diagnostic.path, diagnostic.place.location.row), ([], []))[1].append(shown)
    lines = []
    for (path, row), (expected, reported) in sorted(rows.items()):
        code = (case.files[path].splitlines() or [""])[row - 1 : row]
        lines.append(f"{case.page}:{case.first_rows[path] + row - 1}: ({path}:{row}) {''.join(code).strip()}")
        lines.append(f"    expected: {'; '.join(expected) or 'nothing more'}")
        lines.append(f"    found:    {'; '.join(reported) or 'nothing more'}")
    _require(not lines, case, "\n".join(lines))


def _compare_fix(case: Case, settings: Settings, *, expected: Mapping[str, str], unsafe: bool) -> None:
    """Fixes the files to the end and compares; fixing again must change nothing, and what parsed must parse."""
    what = "all fixes" if unsafe else "the safe fixes"
    contents = {path: text.encode("utf-8") for path, text in case.files.items()}
    result = {**contents, **fix_contents(contents, settings, unsafe=unsafe)}
    diffs = [diff for path in expected if (diff := _diff(path, expected[path], result[path].decode("utf-8")))]
    _require(not diffs, case, f"after {what} (- expected, + found):\n{''.join(diffs)}")
    again = {**result, **fix_contents(result, settings, unsafe=unsafe)}
    diffs = [diff for path in result if (diff := _diff(path, result[path].decode(), again[path].decode()))]
    _require(not diffs, case, f"{what} change their own result:\n{''.join(diffs)}")
    broken = [path for path in result if result[path] != contents[path] and not _parses(path, result[path])]
    _require(not broken, case, f"{what} leave code that does not parse: {', '.join(broken)}")


def _parses(path: str, data: bytes) -> bool:
    try:
        with_deep_stack(parse, open_document(path, data))
    except (UnparsableSource, UnreadableDocument):
        return False
    return True


def _diff(path: str, expected: str, found: str) -> str:
    return "".join(
        line if line.endswith("\n") else line + "\n\\ no newline at the end\n"
        for line in difflib.unified_diff(expected.splitlines(True), found.splitlines(True), path, path)
    )


def _require(condition: bool, case: Case, message: str) -> None:
    __tracebackhide__ = True
    if not condition:
        raise AssertionError(f"{case.page}:{case.row}: {case}\n{message}")
