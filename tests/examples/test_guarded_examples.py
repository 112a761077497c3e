"""The guarded examples train, and fail with a verdict that names their logarithm of 0."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline_lint import check_paths
from tests.runtime_guard.processes import ROOT, python

FOLDER = ROOT / "examples" / "guarded"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
BLAMED = {"classify": "exposure (Exposure)", "segment": "LogDice", "language": "Confidence"}
FOUND_BEFORE = {"segment": "TRN204", "language": "TRN202"}
"""By reading. That a picture is black no code says."""


def run(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ("--epochs", "2", "--samples", "64", "--width", "8", "--logdir", str(folder / "run"))
    return python(folder, str(FOLDER / f"{name}.py"), *options, *arguments)


def test_every_guarded_example_is_tested() -> None:
    assert BLAMED.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_guarded_example_trains_and_is_shown(name: str, tmp_path: Path) -> None:
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stderr
    losses = [float(text) for text in re.findall(r"loss (\S+)", done.stdout)]
    assert losses[1] < losses[0]
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))
    assert not (tmp_path / "run" / "incidents").exists()
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_guarded_example_fails_with_its_verdict(name: str, tmp_path: Path) -> None:
    done = run(name, tmp_path, "--inject", "log0")
    assert done.returncode == 1
    verdict = done.stderr.partition("TrainingIncident: ")[2]
    assert "log made inf" in verdict
    assert BLAMED[name] in verdict
    (line,) = re.findall(rf"Line +\S+{name}\.py:(\d+)", verdict)
    assert "torch.log(" in (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()[int(line) - 1]
    # Away from the project, whose files would be read as well.
    diagnostics = check_paths([shutil.copy(FOLDER / f"{name}.py", tmp_path)]).diagnostics
    found = {diagnostic.code: diagnostic.place.location.row for diagnostic in diagnostics}
    assert found == ({FOUND_BEFORE[name]: int(line)} if name in FOUND_BEFORE else {})
