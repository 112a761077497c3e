from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline_lint.reporters import gitlab
from tests.reporters.example_reports import empty_report, full_report, options


def issues() -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = json.loads(gitlab.render(full_report(), options()))
    return result


def test_nothing_found_is_an_empty_list() -> None:
    assert gitlab.render(empty_report(), options()) == "[]\n"


def test_an_issue_has_what_gitlab_requires() -> None:
    first = issues()[0]
    assert set(first) == {"description", "check_name", "fingerprint", "severity", "location"}
    assert first["location"] == {"path": "models/verlust/größe 1.py", "lines": {"begin": 5, "end": 5}}


def test_fingerprints_are_unique() -> None:
    assert len({each["fingerprint"] for each in issues()}) == 6


def test_the_severity_follows_the_confidence() -> None:
    assert [each["severity"] for each in issues()] == ["major", "minor", "major", "info", "major", "major"]


def test_an_issue_in_a_notebook_names_the_cell() -> None:
    issue = issues()[5]
    assert issue["location"]["lines"] == {"begin": 1, "end": 1}
    assert issue["description"].endswith("(cell 2, row 3)")


def test_paths_are_relative_to_the_repository_that_the_job_checked_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_PROJECT_DIR", str(folder.parent))
    assert issues()[2]["location"]["path"] == f"{folder.name}/models/verlust/größe 1.py"
