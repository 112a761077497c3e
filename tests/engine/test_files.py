"""Finding the files to check, in real folders and real git repositories."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline_lint.engine.files import FileOptions, discover
from tests.conftest import WriteFiles


def found(
    *paths: str, exclude: Sequence[str] = (), git: bool = True, force: bool = False, root: str = "."
) -> list[str]:
    options = FileOptions(tuple(exclude), respect_gitignore=git, force_exclude=force, root=Path(root))
    discovery = discover(paths or (".",), options)
    assert discovery.failures == []
    return discovery.files


def failures(*paths: str) -> dict[str, str]:
    return {failure.path: failure.message for failure in discover(paths, FileOptions()).failures}


def git(*arguments: str, folder: Path | str = ".") -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_a_folder_is_searched_for_modules_stubs_and_notebooks(project: WriteFiles) -> None:
    project({"b.py": "", "a/x.pyi": "", "a/b/n.ipynb": "", "a/readme.md": "", "script": "", "x.pyc": ""})
    assert found() == ["a/b/n.ipynb", "a/x.pyi", "b.py"]


def test_files_below_a_folder_are_sorted_folder_by_folder(project: WriteFiles) -> None:
    project({"a/x.py": "", "a-b/x.py": "", "a.py": "", "B.py": ""})
    assert found() == ["B.py", "a/x.py", "a-b/x.py", "a.py"]


def test_paths_are_reported_as_they_were_typed(project: WriteFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project({"models/net.py": "", "train.py": ""})
    assert found("models") == found("./models/") == ["models/net.py"]
    assert found(str(folder / "models")) == [f"{folder}/models/net.py"]
    monkeypatch.chdir(folder / "models")
    assert found("../train.py", "..") == ["../train.py", "../models/net.py"]


def test_a_file_is_taken_once_however_often_it_is_named(project: WriteFiles) -> None:
    folder = project({"a/x.py": "", "y.py": ""})
    assert found("y.py", "./y.py", ".", "a", str(folder)) == ["y.py", "a/x.py"]


def test_a_named_file_needs_no_suffix(project: WriteFiles) -> None:
    project({"bin/train": "", "notes.txt": ""})
    assert found("bin/train", "notes.txt") == ["bin/train", "notes.txt"]


def test_folders_of_tools_are_left_out(project: WriteFiles) -> None:
    names = (
        ".git",
        ".venv",
        "venv",
        "node_modules",
        "build",
        "dist",
        "__pypackages__",
        ".tox",
        ".nox",
        "site-packages",
    )
    project({f"src/{name}/x.py": "" for name in (*names, ".mypy_cache", ".ipynb_checkpoints", "kept")})
    assert found() == ["src/kept/x.py"]


def test_a_folder_of_tools_is_searched_when_named_or_taken_back(project: WriteFiles) -> None:
    project({"build/x.py": "", "dist/y.py": ""})
    assert found("build") == ["build/x.py"]
    assert found(exclude=["!build"]) == ["build/x.py"]


def test_exclude_has_patterns_relative_to_the_root(project: WriteFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project({"a/gen/x.py": "", "gen/y.py": "", "a/z_pb2.py": "", "a/k.py": ""})
    assert found(exclude=["/gen", "*_pb2.py"]) == ["a/gen/x.py", "a/k.py"]
    monkeypatch.chdir(folder / "a")
    assert found(exclude=["/a/gen"], root=str(folder)) == ["k.py", "z_pb2.py"]


def test_a_later_pattern_takes_back_what_an_earlier_excludes(project: WriteFiles) -> None:
    project({"a_test.py": "", "b_test.py": ""})
    assert found(exclude=["*_test.py", "!b_test.py"]) == ["b_test.py"]


def test_named_files_are_excluded_only_by_force(project: WriteFiles) -> None:
    project({"gen/x.py": "", "build/y.py": "", "z.py": ""})
    paths = ("gen/x.py", "build/y.py", "z.py", "gen")
    assert found(*paths, exclude=["gen/"]) == ["gen/x.py", "build/y.py", "z.py"]
    assert found(*paths, exclude=["gen/"], force=True) == ["z.py"]


def test_a_file_that_git_tracks_though_it_ignores_it_can_be_named(project: WriteFiles) -> None:
    project({"x.py": "", ".gitignore": "*.py"})
    assert found() == []
    assert found("x.py", force=True) == ["x.py"]


def test_gitignore_counts_at_every_level(project: WriteFiles) -> None:
    project({".gitignore": "*_gen.py\n", "a/.gitignore": "!keep_gen.py\nlocal.py\n"})
    project(dict.fromkeys(("x_gen.py", "local.py", "a/keep_gen.py", "a/y_gen.py", "a/local.py", "a/b/local.py"), ""))
    git("init", "-q")
    assert found() == ["a/keep_gen.py", "local.py"]
    assert found("a") == ["a/keep_gen.py"]
    assert len(found(git=False)) == 6


def test_gitignore_can_be_saved_by_any_editor(project: WriteFiles) -> None:
    project({".gitignore": b"\xef\xbb\xbfa.py\r\nb.py  \r\n\r\n# caf\xe9\r\n", "a.py": "", "b.py": "", "c.py": ""})
    assert found() == ["c.py"]


def test_what_one_clone_ignores_is_left_out(project: WriteFiles) -> None:
    folder = project({"x.py": "", "a/scratch.py": ""})
    git("init", "-q")
    (folder / ".git/info").mkdir(exist_ok=True)
    (folder / ".git/info/exclude").write_text("scratch.py\n")
    assert found() == ["x.py"]
    assert found("a") == []


def test_a_linked_work_tree_shares_what_the_clone_ignores(project: WriteFiles) -> None:
    folder = project({"main/x.py": "", "main/scratch.py": ""})
    git("init", "-q", folder="main")
    git("add", "x.py", "scratch.py", folder="main")
    git("commit", "-qm", "x", folder="main")
    git("worktree", "add", "-q", "../tree", folder="main")
    (folder / "main/.git/info").mkdir(exist_ok=True)
    (folder / "main/.git/info/exclude").write_text("scratch.py\n")
    assert found("tree") == ["tree/x.py"]


def test_a_repository_inside_another_is_not_ruled_by_it(project: WriteFiles) -> None:
    folder = project(
        {".gitignore": "x.py\n", "inner/x.py": "", "inner/y.py": "", "inner/.gitignore": "y.py\n", "x.py": ""}
    )
    git("init", "-q")
    git("init", "-q", folder=folder / "inner")
    assert found() == ["inner/x.py"]
    assert found("inner") == ["inner/x.py"]


def test_an_ignored_folder_is_searched_when_named(project: WriteFiles) -> None:
    project(
        {
            ".gitignore": "out/\n*.tmp.py\n",
            "out/a/x.py": "",
            "out/a/y.tmp.py": "",
            "env/.gitignore": "*",
            "env/z.py": "",
        }
    )
    git("init", "-q")
    assert found() == []
    assert found("out") == found("out/a") == ["out/a/x.py"]


@pytest.mark.parametrize("seed", range(25))
def test_a_search_finds_what_git_does(project: WriteFiles, seed: int) -> None:
    """Random folders with random .gitignore files, against the list that git makes of them."""
    chance = random.Random(seed)
    atoms = ["a", "foo", "*", "*.py", "x.py", "f*", "**", "?", "[ab]", "lib", "*.pyi", "fo\\o", "[!a]*", "b.*", "*.so"]

    def pattern() -> str:
        body = "/".join(chance.choice(atoms) for _ in range(chance.choice([1, 1, 1, 2, 3])))
        return chance.choice(["", "", "/", "!", "!/"]) + body + chance.choice(["", "", "/", " "])

    folders = [""]
    files: dict[str, str | bytes] = {}
    for _ in range(6):
        folders.append(chance.choice(folders) + chance.choice(["a/", "b/", "foo/", "lib/"]))
    for folder in folders:
        for name in chance.sample(["x.py", "foo.py", "b.c.pyi", "n.ipynb", "fo.so", "x.so"], 3):
            files[folder + name] = ""
        if chance.random() < 0.5:
            files[folder + ".gitignore"] = "\n".join(pattern() for _ in range(3)) + "\n"
    project(files)
    git("init", "-q")
    listed = git("ls-files", "-z", "--others", "--exclude-standard").split("\0")
    assert sorted(found()) == sorted(name for name in listed if name.endswith((".py", ".pyi", ".ipynb")))


def test_links_to_folders_are_not_followed(project: WriteFiles) -> None:
    folder = project({"a/x.py": ""})
    (folder / "a/loop").symlink_to(folder, target_is_directory=True)
    (folder / "b.py").symlink_to(folder / "a", target_is_directory=True)
    assert found() == ["a/x.py"]


def test_a_linked_folder_is_searched_when_named(project: WriteFiles) -> None:
    folder = project({"a/x.py": ""})
    (folder / "link").symlink_to("a")
    assert found("link") == ["link/x.py"]
    assert found("link", "a") == ["link/x.py"]


def test_a_linked_file_is_taken_once_under_its_own_name(project: WriteFiles, tmp_path: Path) -> None:
    folder = project({"src/net.py": ""})
    (tmp_path / "outside.py").touch()
    (folder / "a_link.py").symlink_to("src/net.py")
    (folder / "b_link.py").symlink_to(tmp_path / "outside.py")
    (folder / "c_link.py").symlink_to(tmp_path / "outside.py")
    assert found() == ["b_link.py", "src/net.py"]
    assert found("a_link.py") == ["a_link.py"]
    assert found("a_link.py", "src/net.py") == ["src/net.py"]


def test_a_broken_link_is_passed_over_unless_named(project: WriteFiles) -> None:
    folder = project({"x.py": ""})
    (folder / "lost.py").symlink_to("nowhere.py")
    (folder / "self.py").symlink_to("self.py")
    assert found() == ["x.py"]
    told = failures("lost.py", "self.py")
    assert "symbolic link to nowhere.py" in told["lost.py"]
    assert "symbolic link to self.py" in told["self.py"]


def test_a_folder_named_like_a_module_is_a_folder(project: WriteFiles) -> None:
    project({"x.py/y.py": ""})
    assert found() == found("x.py") == ["x.py/y.py"]


def test_a_path_that_does_not_exist_is_named(project: WriteFiles) -> None:
    project({"x.py": ""})
    discovery = discover(["nope.py", "x.py", "x.py/y.py", "a\0b"], FileOptions())
    assert discovery.files == ["x.py"]
    assert [failure.path for failure in discovery.failures] == ["nope.py", "x.py/y.py", "a\0b"]
    assert discovery.failures[0].message == "Cannot check this: there is no such file or folder"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in the file system")
def test_pipes_and_sockets_are_passed_over_unless_named(project: WriteFiles) -> None:
    folder = project({"x.py": ""})
    os.mkfifo(folder / "pipe.py")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.py")
        assert found() == ["x.py"]
        assert "neither a file nor a folder" in failures("pipe.py", "socket.py")["pipe.py"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_that_may_not_be_read_is_named(project: WriteFiles) -> None:
    folder = project({"open/x.py": "", "closed/y.py": ""})
    (folder / "closed").chmod(0)
    try:
        discovery = discover(["."], FileOptions())
    finally:
        (folder / "closed").chmod(0o700)
    assert discovery.files == ["open/x.py"]
    assert [(failure.path, failure.message) for failure in discovery.failures] == [
        ("closed", "Cannot list this folder: Permission denied")
    ]


def test_names_that_are_not_text_are_found(project: WriteFiles) -> None:
    folder = project()
    name = os.fsdecode(b"caf\xe9 \n x.py")
    (folder / name).touch()
    (folder / ".gitignore").write_text("nothing.py\n")
    assert found() == [name]


def test_folders_nested_deeper_than_python_calls_are_searched(project: WriteFiles) -> None:
    folder = project()
    depth = sys.getrecursionlimit() + 200
    try:
        os.chdir(folder)
        for _ in range(depth):
            os.mkdir("d")  # noqa: PTH102 - the path is longer than the system takes at once
            os.chdir("d")
        os.chdir(folder)
        assert found() == []
    finally:
        # pytest's own clean-up recurses, and would fail on them later.
        os.chdir(folder)
        subprocess.run(["rm", "-rf", "d"], check=True)


def test_patterns_that_are_none_are_passed_over(project: WriteFiles) -> None:
    project({".gitignore": "!\n\\\n/\n[\n#x.py\n\\#x.py\n\n   \ny.py\n", "x.py": "", "#x.py": "", "y.py": ""})
    assert found() == ["x.py"]


def test_a_file_needs_no_pattern_matcher(project: WriteFiles) -> None:
    project({"x.py": ""})
    code = (
        "import sys; from pipeline_lint.engine.files import *\n"
        "assert discover(['x.py', '.'], FileOptions()).files == ['x.py']\n"
        "assert 'pathspec' not in sys.modules and 'libcst' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
