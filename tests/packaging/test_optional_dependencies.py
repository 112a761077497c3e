"""Everything but the extras works where what they bring cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPTIONAL = ("torch", "tensorboard", "numpy", "pygls", "lsprotocol", "rich", "hypothesis", "pytest")


@pytest.fixture
def without_extras(tmp_path: Path) -> dict[str, str]:
    """An environment in which importing anything optional fails, also in worker processes."""
    for name in OPTIONAL:
        error = f"raise ModuleNotFoundError('{name} cannot be imported here', name='{name}')\n"
        (tmp_path / "shadow").mkdir(exist_ok=True)
        (tmp_path / "shadow" / f"{name}.py").write_text(error)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "shadow"), str(ROOT)])}


def run(environment: dict[str, str], cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_packages_import(without_extras: dict[str, str], tmp_path: Path) -> None:
    done = run(without_extras, tmp_path, "-c", "import pipeline_lint, runtime_guard")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_whole_check_and_fix_run(without_extras: dict[str, str], tmp_path: Path, jobs: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for index in range(40):
        (project / f"loss_{index}.py").write_text(
            "import torch\n\n\ndef f(x):\n    return torch.log(torch.sigmoid(x))\n"
        )
    check = run(without_extras, project, "-m", "pipeline_lint", "check", "--jobs", jobs, "--no-cache")
    assert check.returncode == 1, check.stderr
    assert check.stdout.count("TRN201") >= 40
    fix = run(without_extras, project, "-m", "pipeline_lint", "fix", "--jobs", jobs)
    assert fix.returncode == 0, fix.stdout + fix.stderr
    assert "logsigmoid" in (project / "loss_7.py").read_text()


@pytest.mark.parametrize("command", [["rules"], ["explain", "TRN201"], ["--help"]])
def test_the_other_commands_run(without_extras: dict[str, str], tmp_path: Path, command: list[str]) -> None:
    done = run(without_extras, tmp_path, "-m", "pipeline_lint", *command)
    assert done.returncode == 0, done.stderr


def test_the_server_says_what_to_install(without_extras: dict[str, str], tmp_path: Path) -> None:
    done = run(without_extras, tmp_path, "-m", "pipeline_lint", "server")
    assert done.returncode != 0
    assert "pip install 'pipeline-lint[server]'" in done.stderr
