"""Known findings: which are not reported again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline_lint.config import ConfigError
from pipeline_lint.diagnostic import Diagnostic
from pipeline_lint.documents import open_document
from pipeline_lint.engine.baseline import Baseline


def findings(text: str, path: str = "a.py") -> list[Diagnostic]:
    doc = open_document(path, text.encode())
    return [
        Diagnostic("TRN201", "log-of-sigmoid", "wrong", doc.place(index, index + 3))
        for index in range(len(text))
        if text.startswith("bad", index)
    ]


def saved(tmp_path: Path, text: str) -> Baseline:
    Baseline.of(findings(text), tmp_path / "known.json").save()
    return Baseline.load(tmp_path / "known.json")


def test_known_findings_are_not_new_wherever_their_lines_move(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    baseline = saved(tmp_path, "x = bad\ny = bad + 1\n")
    assert baseline.without_known(findings("import os\n\n\ny = bad + 1\n    x = bad\n")) == []


def test_a_second_one_alike_is_new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    baseline = saved(tmp_path, "x = bad\n")
    assert len(baseline.without_known(findings("x = bad\nx = bad\n"))) == 1


def test_another_line_file_or_rule_is_new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    baseline = saved(tmp_path, "x = bad\n")
    assert len(baseline.without_known(findings("x = bad * 2\n"))) == 1
    assert len(baseline.without_known(findings("x = bad\n", "b.py"))) == 1


def test_paths_are_relative_to_the_baseline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path, "x = bad\n")
    assert json.loads((tmp_path / "known.json").read_text())["findings"][0]["path"] == "a.py"
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert Baseline.load(tmp_path / "known.json").without_known(findings("x = bad\n", "../a.py")) == []


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"version": 2, "findings": []}', '{"version": 1, "findings": [1]}']
)
def test_a_file_that_is_no_baseline_is_refused_by_name(tmp_path, content):
    (tmp_path / "known.json").write_text(content)
    with pytest.raises(ConfigError, match=r"known\.json: "):
        Baseline.load(tmp_path / "known.json")


def test_a_missing_baseline_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="make it with `check --write-baseline"):
        Baseline.load(tmp_path / "known.json")
