"""Which folder files belong to."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_lint import check_paths
from pipeline_lint.engine.roots import deepest_folder, project_root
from tests.packaging.working_tree import git

MODEL = """\
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        low, high = x, x
        return low, high
"""
USER = "from net.model import Net\n\nlow, high = Net()(1)\n"


def touch(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return [str(folder / name) for name in names]


@pytest.mark.parametrize("marker", ["pyproject.toml", "setup.py", "setup.cfg", "pipeline-lint.toml", ".git"])
def test_the_nearest_marker_above_all_files_counts(marker: str, tmp_path: Path) -> None:
    files = touch(tmp_path, "repository/package/nets/a.py", "repository/package/tests/b.py")
    touch(tmp_path, "repository/setup.py", f"repository/package/{marker}")
    assert project_root(files) == tmp_path / "repository" / "package"
    assert project_root([*files, *touch(tmp_path, "repository/c.py")]) == tmp_path / "repository"


def test_the_deepest_folder_holds_all_files(tmp_path: Path) -> None:
    files = touch(tmp_path, "a/b/c.py", "a/b/d/e.py")
    assert deepest_folder(files) == tmp_path / "a" / "b"


def written(folder: Path, user: str) -> str:
    """What is said of the model in `packages/net` where `user` uses it."""
    for path, text in {"packages/net/model.py": MODEL, user: USER}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    [finding] = [each for each in check_paths([folder / "packages/net"]).diagnostics if each.code == "TRN101"]
    return finding.message


def test_a_package_with_a_build_file_is_a_project_of_its_own(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert "it would also change" in written(tmp_path, "packages/train.py")
    touch(tmp_path, "packages/net/setup.cfg")
    assert "constructed nowhere" in written(tmp_path, "packages/train.py")


def test_a_repository_that_ignores_a_folder_is_not_its_project(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("packages/net/\n", encoding="utf-8")
    assert "constructed nowhere" in written(tmp_path, "packages/train.py")
