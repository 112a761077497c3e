"""A fix over several files: one patch, all or nothing, and nothing outside the files that were given."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pipeline_lint import check_paths, fix_paths
from pipeline_lint.cli import main
from tests.packaging.working_tree import git

MODEL = """\
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return self.low(x), self.high(x)
"""
USER = """\
from model import Net

low, high = Net()(1)
"""
NAMED_USER = """\
from model import OUTPUT_HIGH, OUTPUT_LOW, Net

outputs = Net()(1)
low = outputs[OUTPUT_LOW]
high = outputs[OUTPUT_HIGH]
"""
NOTEBOOK: dict[str, Any] = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {},
            "outputs": [{"name": "stdout", "output_type": "stream", "text": ["3\n"]}],
            "source": ["from model import Net\n", "low, high = Net()(1)\n", "print(low)"],
        }
    ],
    "metadata": {"language_info": {"name": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture
def lint() -> Callable[..., Result]:
    def run(*words: str) -> Result:
        return CliRunner().invoke(main, words, prog_name="pipeline-lint")

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, {"model.py": MODEL, "train.py": USER, "tools/use.py": USER, "pyproject.toml": TOML})
    monkeypatch.chdir(tmp_path)
    return tmp_path


TOML = '[tool.pipeline-lint]\nselect = ["TRN101", "TRN102"]\n'


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))}


def message(folder: Path) -> str:
    return " ".join(each.message for each in check_paths([folder]).diagnostics)


def test_the_diff_is_one_patch_that_git_applies(project: Path, lint: Callable[..., Result]) -> None:
    (project / "crlf.py").write_bytes(USER.replace("\n", "\r\n").encode())
    (project / "open.py").write_bytes(USER.rstrip("\n").encode())
    (project / "notes.ipynb").write_text(json.dumps(NOTEBOOK, indent=1), encoding="utf-8")
    git(project, "init", "--quiet")
    git(project, "config", "core.autocrlf", "false")
    patch = lint("fix", "--no-cache", "--unsafe-fixes", "--diff").stdout_bytes
    before = texts(project)

    subprocess.run(["git", "apply", "-"], cwd=project, input=patch, check=True)

    applied = {path: (project / path).read_bytes() for path in [*before, "notes.ipynb"]}
    assert texts(project) != before
    for path, text in before.items():
        (project / path).write_bytes(text.encode())
    (project / "crlf.py").write_bytes(USER.replace("\n", "\r\n").encode())
    (project / "notes.ipynb").write_text(json.dumps(NOTEBOOK, indent=1), encoding="utf-8")
    fix_paths([project], unsafe=True)
    assert {path: (project / path).read_bytes() for path in applied} == applied
    assert b"outputs[OUTPUT_LOW]" in applied["notes.ipynb"]
    assert b'"3\\n"' in applied["notes.ipynb"]
    assert applied["train.py"].decode() == NAMED_USER


def test_a_notebook_meets_no_models_of_another(project: Path) -> None:
    """A series of lessons: each has its own `Encoder`, and functions that nothing calls."""
    for name, names in (("1.ipynb", "hidden, cell"), ("2.ipynb", "outputs, hidden")):
        source = f"""\
from torch import nn

class Encoder(nn.Module):
    def forward(self, x):
        {names} = self.rnn(x)
        return {names}

class Translator(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        {names} = self.encoder(x)
        return hidden

translator = Translator(Encoder())

def translate(model, sentence):
    {names} = model.encoder(sentence)
    return hidden
"""
        notebook = {**NOTEBOOK, "cells": [{**NOTEBOOK["cells"][0], "source": source.splitlines(keepends=True)}]}
        (project / name).write_text(json.dumps(notebook), encoding="utf-8")

    report = fix_paths([project / "1.ipynb", project / "2.ipynb"], unsafe=True)

    assert {Path(path).name for path in report.changed_paths} == {"1.ipynb", "2.ipynb"}
    # What the function gets is not known, and the other lesson's `Encoder` it is not.
    assert "outputs = model.encoder(sentence)\\n" in (project / "1.ipynb").read_text(encoding="utf-8")
    assert check_paths([project / "1.ipynb", project / "2.ipynb"]).diagnostics == []


def test_no_file_changes_when_one_of_them_cannot_be_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = texts(project)
    replace = os.replace

    def refuse(source: str, target: str) -> None:
        if str(target).endswith("train.py"):
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)

    report = fix_paths([project])

    assert report.failures
    assert texts(project) == before


def test_a_suppressed_place_keeps_all_files_as_they_are(project: Path) -> None:
    write(project, {"model.py": MODEL.replace("high(x)", "high(x)  # noqa: TRN101")})
    before = texts(project)

    fix_paths([project], unsafe=True)

    assert texts(project) == before


def test_a_partial_run_changes_nothing_and_says_what_else_would_change(project: Path) -> None:
    before = texts(project)
    report = fix_paths([project / "model.py"])
    assert texts(project) == before
    [finding] = report.diagnostics
    assert "it would also change" in finding.message
    assert "train.py" in finding.message
    assert "run `pipeline-lint fix` on the whole project" in finding.message


def test_a_partial_run_of_a_consumer_finds_nothing(project: Path) -> None:
    assert fix_paths([project / "train.py"]).diagnostics == []


def test_a_cached_partial_run_sees_a_new_consumer(project: Path) -> None:
    (project / "train.py").unlink()
    (project / "tools" / "use.py").unlink()
    assert "is constructed nowhere" in message(project / "model.py")
    assert "is constructed nowhere" in message(project / "model.py")

    write(project, {"late.py": USER})

    assert "it would also change late.py" in message(project / "model.py").replace(str(project) + os.sep, "")


def test_a_cached_partial_run_sees_a_changed_consumer(project: Path) -> None:
    assert "it would also change" in message(project / "model.py")
    write(project, {"train.py": "", "tools/use.py": ""})
    assert "is constructed nowhere" in message(project / "model.py")
