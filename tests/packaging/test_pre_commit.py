"""The two hooks under the real pre-commit, from a commit of this working tree, in a scratch repository."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.working_tree import clean_environment, copy_working_tree, git, without_package_index

FAULTY = "import torch\n\n\ndef loss(logits):\n    return -torch.log(torch.sigmoid(logits)).mean()\n"


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the working tree as its only commit."""
    folder = tmp_path_factory.mktemp("hooks") / "pipeline-lint"
    copy_working_tree(folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=All")
    return folder


@pytest.fixture(scope="module")
def environment(hooks: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With pre-commit's environments built, once for all tests."""
    environment = clean_environment(PRE_COMMIT_HOME=str(tmp_path_factory.mktemp("pre-commit")), NO_COLOR="1")
    project = tmp_path_factory.mktemp("first")
    git(project, "init", "--quiet")
    write_config(project, hooks)
    done = pre_commit(project, environment, "install-hooks")
    if done.returncode != 0:
        without_package_index(done.stdout)
    return environment


@pytest.fixture
def project(hooks: Path, environment: dict[str, str], tmp_path: Path) -> Path:
    """A user's repository in which the hooks are installed."""
    git(tmp_path, "init", "--quiet")
    write_config(tmp_path, hooks)
    (tmp_path / "pyproject.toml").write_text('[tool.pipeline-lint]\nexclude = ["vendored/"]\n')
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=Before the hooks")
    done = pre_commit(tmp_path, environment, "install")
    assert done.returncode == 0, done.stdout
    return tmp_path


def write_config(project: Path, hooks: Path) -> None:
    config = f"""\
repos:
  - repo: {hooks}
    rev: {git(hooks, "rev-parse", "HEAD").strip()}
    hooks:
      - id: pipeline-lint-fix
      - id: pipeline-lint
"""
    (project / ".pre-commit-config.yaml").write_text(config)


def pre_commit(project: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(project, environment, sys.executable, "-m", "pre_commit", *arguments)


def run(project: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def commit(
    project: Path, environment: dict[str, str], path: str, content: str, *, skip: str = ""
) -> subprocess.CompletedProcess[str]:
    """Commits one file as a user does, without the hook named in `skip`."""
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text(content)
    git(project, "add", path)
    return run(project, {**environment, "SKIP": skip}, "git", "commit", "--message=Change")


def num_commits(project: Path) -> int:
    return len(git(project, "log", "--format=%h").split())


def test_a_commit_with_a_finding_fails_and_shows_it(project: Path, environment: dict[str, str]) -> None:
    done = commit(project, environment, "train.py", FAULTY, skip="pipeline-lint-fix")
    assert done.returncode == 1
    assert "train.py:5:" in done.stdout
    assert "TRN201" in done.stdout
    assert num_commits(project) == 1


def test_the_fix_hook_repairs_and_the_second_commit_passes(project: Path, environment: dict[str, str]) -> None:
    done = commit(project, environment, "train.py", FAULTY)
    assert done.returncode == 1
    assert "files were modified by this hook" in done.stdout
    fixed = (project / "train.py").read_text()
    assert "logsigmoid" in fixed
    assert num_commits(project) == 1
    again = commit(project, environment, "train.py", fixed)
    assert again.returncode == 0, again.stdout
    assert num_commits(project) == 2


def test_clean_code_is_committed_at_once(project: Path, environment: dict[str, str]) -> None:
    done = commit(project, environment, "train.py", "import torch\n")
    assert done.returncode == 0, done.stdout
    assert num_commits(project) == 2


def test_an_excluded_file_is_left_alone_although_it_is_named(project: Path, environment: dict[str, str]) -> None:
    done = commit(project, environment, "vendored/train.py", FAULTY)
    assert done.returncode == 0, done.stdout
    assert (project / "vendored/train.py").read_text() == FAULTY


def test_a_notebook_is_checked(project: Path, environment: dict[str, str]) -> None:
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": FAULTY}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    done = commit(project, environment, "train.ipynb", json.dumps(notebook), skip="pipeline-lint-fix")
    assert done.returncode == 1
    assert "TRN201" in done.stdout


def test_files_that_are_not_python_are_not_looked_at(project: Path, environment: dict[str, str]) -> None:
    done = commit(project, environment, "notes.txt", FAULTY)
    assert done.returncode == 0, done.stdout
    assert "(no files to check)" in done.stdout
