from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_lint.reporters.parts.paths import absolute_path, project_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/project/models/net.py", "models/net.py"),
        ("/project/models/../net.py", "net.py"),
        ("/project/..net.py", "..net.py"),
        ("/elsewhere/net.py", "/elsewhere/net.py"),
        ("/project", "."),
        ("/", "/"),
    ],
)
def test_a_path_is_relative_where_it_lies_in_the_project(path: str, expected: str) -> None:
    assert project_path(path, "/project") == expected


def test_a_relative_path_begins_in_this_folder(folder: Path) -> None:
    assert project_path("./a/net.py", str(folder)) == "a/net.py"
    assert absolute_path("./a/../net.py") == str(folder / "net.py")


def test_a_symbolic_link_keeps_its_name(folder: Path) -> None:
    (folder / "real.py").touch()
    (folder / "link.py").symlink_to("real.py")
    assert absolute_path("link.py") == str(folder / "link.py")
