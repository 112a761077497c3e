"""What `make` says on a machine that lacks something."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def fake_python(folder: Path, script: str) -> Path:
    program = folder / "fake-python"
    program.write_text(f"#!/bin/sh\n{textwrap.dedent(script)}")
    program.chmod(0o755)
    return program


def test_every_target_is_listed_and_explained(folder: Path) -> None:
    listed = make(folder).stdout
    for target in ("test", "demo", "lint", "format", "docs", "docs-check", "corpus", "bench", "soak", "clean"):
        assert f"make {target} " in listed


def test_a_missing_python_is_named(folder: Path) -> None:
    done = make(folder, "environment", "PYTHON=no-such-python")
    assert done.returncode != 0
    assert "There is no 'no-such-python' on this machine. Install Python 3.10 or newer" in done.stderr


def test_a_python_that_is_too_old_is_named(folder: Path) -> None:
    old = fake_python(folder, 'test "$1" = --version && echo Python 3.9.1\nexit 1\n')
    done = make(folder, "environment", f"PYTHON={old}")
    assert done.returncode != 0
    assert f"'{old}' is Python 3.9.1, but Python 3.10 or newer is needed" in done.stderr


def test_a_python_without_ensurepip_is_explained(folder: Path) -> None:
    bare = fake_python(folder, f'case "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"\n')
    done = make(folder, "environment", f"PYTHON={bare}")
    assert done.returncode != 0
    assert "its module ensurepip or venv is missing. On Debian and Ubuntu: apt install python3-venv" in done.stderr


def test_packages_are_installed_only_when_what_is_asked_for_changes(folder: Path) -> None:
    """With a Python in .venv that only notes what pip is asked to do."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (folder / ".venv" / ".created").touch()
    fake_python(folder, f'echo "$@" >> {folder}/calls\n').rename(programs / "python")

    def installed(*arguments: str) -> list[str]:
        (folder / "calls").write_text("")
        done = make(folder, "environment", *arguments)
        assert done.returncode == 0, done.stderr
        return (folder / "calls").read_text().splitlines()

    first = installed()
    assert first[0].endswith("-c constraints.txt torch==2.13.0")
    assert first[1].endswith("-c constraints.txt --editable .[dev]")
    assert installed() == []
    assert installed("TORCH=torch==2.6.0")[0].endswith("torch==2.6.0")
    later = (folder / ".venv" / ".installed").stat().st_mtime + 1
    os.utime(folder / "constraints.txt", (later, later))
    assert len(installed("TORCH=torch==2.6.0")) == 2


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "exec make test" in script.read_text()
