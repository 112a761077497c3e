"""Example projects of several files: trained, refactored, trained again, to the bit the same."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from pipeline_lint import check_paths, fix_paths

PROJECTS = Path(__file__).parent / "projects"
NAMES = sorted(path.name for path in PROJECTS.iterdir() if (path / "train.py").exists() or (path / "main.py").exists())
NEEDED = {"lightning_classifier": "lightning"}
RULES = ("TRN101", "TRN102")
UNPROVEN = {("detector", "dataclass")}
"""`DataParallel` on several devices gathers no dataclasses."""


@contextmanager
def modules_of(folder: Path) -> Iterator[None]:
    """Imports find the folder's files first, and forget them afterwards."""
    known = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None)
            if file is not None and Path(file).is_relative_to(folder):
                del sys.modules[name]


def trained(folder: Path) -> tuple[list[float], str]:
    """The losses of a training run, and a digest of the parameters after it."""
    with modules_of(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = importlib.import_module("train" if (folder / "train.py").exists() else "main")
        losses, model = script.main()
        values = b"".join(value.detach().cpu().numpy().tobytes() for value in model.state_dict().values())
    return losses, hashlib.blake2b(values).hexdigest()


def run_tests_of(folder: Path) -> int:
    """Calls each test of the project; returns how many there are."""
    count = 0
    with modules_of(folder):
        for path in sorted(folder.glob("test_*.py")):
            module = importlib.import_module(path.stem)
            for name, function in sorted(functions_of(module)):
                function()
                count += name.startswith("test_")
    return count


def functions_of(module: ModuleType) -> Iterator[tuple[str, object]]:
    for name, value in vars(module).items():
        if name.startswith("test_"):
            yield name, value
        elif name.startswith("Test"):
            yield from ((each, getattr(value(), each)) for each in vars(value) if each.startswith("test_"))


def copied(name: str, tmp_path: Path) -> Path:
    if name in NEEDED and importlib.util.find_spec(NEEDED[name]) is None:
        pytest.skip(f"{NEEDED[name]} is not installed")
    folder = tmp_path / name
    shutil.copytree(PROJECTS / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "pyproject.toml").write_text(f"[tool.pipeline-lint]\nselect = {list(RULES)}\n", encoding="utf-8")
    return folder


def test_there_are_projects_enough() -> None:
    assert len(NAMES) >= 8


@pytest.mark.parametrize(
    ("name", "style"),
    [
        *((name, "constants") for name in NAMES),
        ("vae", "literals"),
        *((name, ("typed-dict", "dataclass")[index % 2]) for index, name in enumerate(NAMES)),
        ("metric_learning", "dataclass"),
    ],
)
def test_a_project_trains_to_the_bit_as_before(name: str, style: str, tmp_path: Path) -> None:
    folder = copied(name, tmp_path)
    # Loaders collate no dataclasses.
    styles = {"tuple-returning-forward": style, "tuple-returning-getitem": style.replace("dataclass", "typed-dict")}
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        for rule, chosen in styles.items():
            file.write(f'\n[tool.pipeline-lint.{rule}]\noutput-style = "{chosen}"\n')
    assert len(list(folder.rglob("*.py"))) >= 4
    before = trained(folder)
    num_tests = run_tests_of(folder)
    assert num_tests >= 2
    found = check_paths([folder])
    assert found.diagnostics

    report = fix_paths([folder], unsafe=(name, style) in UNPROVEN)

    assert not report.failures
    assert len(report.changed_paths) >= 2
    assert [str(each.place) + each.message for each in report.diagnostics] == []
    assert trained(folder) == before
    assert run_tests_of(folder) == num_tests
    assert check_paths([folder]).diagnostics == []
