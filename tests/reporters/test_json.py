from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from pipeline_lint.diagnostic import Edit, Location
from pipeline_lint.reporters import json as json_reporter
from tests.reporters.example_reports import LOSS, empty_report, full_report, options, script

RUFF_FIELDS = {"code", "name", "message", "filename", "location", "end_location", "fix", "url", "noqa_row", "cell"}


def findings() -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = json.loads(json_reporter.render(full_report(), options()))
    return result


def test_every_finding_has_the_fields_of_ruff_and_our_own() -> None:
    assert [set(each) for each in findings()] == [RUFF_FIELDS | {"confidence", "witness", "related"}] * 6


def test_nothing_found_is_an_empty_list() -> None:
    assert json_reporter.render(empty_report(), options()) == "[]\n"


def test_file_names_are_absolute(folder: Path) -> None:
    assert findings()[0]["filename"] == str(folder / "models/verlust/größe 1.py")


def test_a_finding_has_its_place_its_certainty_and_what_it_speaks_of(folder: Path) -> None:
    likely, of_tuple, in_notebook = findings()[1], findings()[2], findings()[4]
    assert likely["location"] == {"row": 5, "column": 60}
    assert likely["end_location"] == {"row": 5, "column": 72}
    assert (likely["confidence"], likely["witness"], likely["fix"]) == ("likely", "q = 0.0", None)
    assert of_tuple["related"][0] == {
        "message": "unpacks it",
        "filename": str(folder / "train.py"),
        "cell": None,
        "location": {"row": 2, "column": 5},
        "end_location": {"row": 2, "column": 18},
    }
    assert (in_notebook["cell"], in_notebook["fix"]["edits"][0]["cell"]) == (2, 2)


def test_the_edits_of_a_fix_can_be_applied_by_whoever_reads_them() -> None:
    source = script("a.py", LOSS)
    first = full_report().diagnostics[0]
    assert first.fix is not None
    lines = LOSS.splitlines(keepends=True)
    for each in reversed(findings()[0]["fix"]["edits"]):
        start, end = Location(**each["location"]), Location(**each["end_location"])
        assert start.row == end.row
        line = lines[start.row - 1]
        lines[start.row - 1] = line[: start.column - 1] + each["content"] + line[end.column - 1 :]
    edits: list[Edit] = sorted(first.fix.edits, key=lambda edit: edit.start)
    assert "".join(lines) == source.splice(edits).decode()


def test_the_page_of_a_rule_is_linked_where_it_is_known() -> None:
    assert [each["url"] for each in findings()[:3]] == [
        "docs/rules/log-of-sigmoid.md",
        None,
        "https://example.org/rules/tuple-returning-forward",
    ]


def test_statistics_have_the_fields_of_ruff() -> None:
    counts = json.loads(json_reporter.render(full_report(), options(statistics=True)))
    assert counts[1] == {
        "code": "TRN307",
        "name": "deprecated-amp",
        "count": 2,
        "fixable": False,
        "fixable_count": 1,
    }


def test_a_name_that_is_no_utf8_comes_back_as_it_was() -> None:
    report = full_report()
    strange = dataclasses.replace(report.diagnostics[0].place, path="/\udcff.py")
    report.diagnostics[0] = dataclasses.replace(report.diagnostics[0], place=strange)
    assert json.loads(json_reporter.render(report, options()))[0]["filename"] == "/\udcff.py"
