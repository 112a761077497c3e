"""The wheel and the source distribution, built and installed for real, in an environment without torch."""

from __future__ import annotations

import email
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

import pipeline_lint
import runtime_guard
from tests.packaging.working_tree import ROOT, clean_environment, copy_working_tree, without_package_index

FAULTY = "import torch\n\nloss = torch.log(torch.sigmoid(100 * torch.ones(3)))\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    copy_working_tree(folder / "tree")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(folder / "tree")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def names_in_wheel(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_string(archive.read(name).decode())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel and what it requires, nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    programs = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "-c", ROOT / "constraints.txt", wheel],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        without_package_index(done.stderr)
    return programs


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False)


def test_the_wheel_holds_both_packages_whole(names_in_wheel: list[str]) -> None:
    in_tree = {
        path.relative_to(ROOT).as_posix()
        for package in ("pipeline_lint", "runtime_guard")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"pipeline_lint/py.typed", "runtime_guard/py.typed"} <= in_tree
    assert in_tree == {name for name in names_in_wheel if ".dist-info/" not in name}


def test_the_wheel_holds_the_licence(names_in_wheel: list[str]) -> None:
    assert [name for name in names_in_wheel if name.endswith(".dist-info/licenses/LICENSE")]


def test_the_source_distribution_holds_what_its_tests_need(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"LICENSE", "README.md", "Makefile", "constraints.txt", ".pre-commit-hooks.yaml", "examples/vae/train.py"}
    assert wanted <= names
    assert "tests/packaging/test_distribution.py" in names
    assert not [name for name in names if name.startswith((".venv", ".git/", "dist/"))]


def test_all_versions_are_one(metadata: Message) -> None:
    assert metadata["Version"] == pipeline_lint.__version__ == runtime_guard.__version__


def test_the_base_install_is_small(metadata: Message) -> None:
    required = {
        line.split(";")[0].strip().split(">")[0]
        for line in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in line
    }
    assert required == {"libcst", "click", "typing-extensions", "pathspec", "tomli"}


def test_no_requirement_names_an_index_or_a_url(metadata: Message) -> None:
    assert not [line for line in metadata.get_all("Requires-Dist", []) if "://" in line or "@" in line]


def test_installed_commands_give_their_version(installed: Path, tmp_path: Path) -> None:
    for command in ("pipeline-lint", "runtime-guard"):
        done = run(installed / command, "--version", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert pipeline_lint.__version__ in done.stdout


def test_the_installed_checker_finds_without_torch(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "python", "-c", "import torch", cwd=tmp_path).returncode == 1
    (tmp_path / "train.py").write_text(FAULTY)
    done = run(installed / "pipeline-lint", "check", "train.py", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "TRN201" in done.stdout
    assert done.stderr == ""


def test_the_installed_packages_import_without_torch(installed: Path, tmp_path: Path) -> None:
    script = "import pipeline_lint, runtime_guard; print(pipeline_lint.__file__, runtime_guard.__file__)"
    done = run(installed / "python", "-c", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(str(installed.parent) in file for file in done.stdout.split())


def test_the_installed_guard_says_that_torch_is_missing(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "runtime-guard", "environment", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "torch is not installed" in done.stdout
