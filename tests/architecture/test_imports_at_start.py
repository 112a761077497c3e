"""What importing a module brings along, seen in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WARM_PATH = (
    "pipeline_lint.api",
    "pipeline_lint.cli",
    "pipeline_lint.config",
    "pipeline_lint.diagnostic",
    "pipeline_lint.document",
    "pipeline_lint.engine.baseline",
    "pipeline_lint.engine.cache",
    "pipeline_lint.engine.files",
    "pipeline_lint.engine.run",
    "pipeline_lint.engine.suppress",
    "pipeline_lint.reporter",
)
"""What a run needs whose results are all in the cache."""

BASE_DEPENDENCIES = {"click", "pathspec", "typing_extensions", "tomli", "colorama"}


def modules_after(statement: str) -> set[str]:
    """The modules that `statement` loads into a new interpreter, besides those that it starts with."""
    report = "print(json.dumps(sorted(set(sys.modules) - before)))"
    script = f"import sys, json; before = set(sys.modules)\n{statement}\n{report}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def third_party(modules: set[str], package: str) -> set[str]:
    return {name.split(".")[0] for name in modules} - sys.stdlib_module_names - {package}


@pytest.mark.parametrize("package", ["pipeline_lint", "runtime_guard"])
def test_importing_a_package_brings_nothing_along(package: str) -> None:
    assert third_party(modules_after(f"import {package}"), package) == set()


def test_the_command_line_needs_base_dependencies_only() -> None:
    assert third_party(modules_after("import pipeline_lint.cli"), "pipeline_lint") <= BASE_DEPENDENCIES


def test_the_guards_command_line_needs_click_only() -> None:
    assert third_party(modules_after("import runtime_guard.__main__"), "runtime_guard") <= {"click", "colorama"}


@pytest.mark.parametrize("module", WARM_PATH)
def test_a_run_from_the_cache_needs_no_parser(module: str) -> None:
    assert "libcst" not in third_party(modules_after(f"import {module}"), "pipeline_lint")


def test_reporters_need_click_at_most() -> None:
    statement = "import pipeline_lint.reporter as r\nfor name in r.reporter_names(): r.load_reporter(name)"
    assert third_party(modules_after(statement), "pipeline_lint") <= {"click", "colorama"}


def test_a_module_of_a_package_can_be_imported_first() -> None:
    """No module depends on another having been imported before it."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("pipeline_lint", "runtime_guard")
        for path in sorted((ROOT / package).rglob("*.py"))
        # What needs an extra that is not installed cannot be imported at all.
        if path.stem not in ("__init__", "__main__") and not {"server", "adapters"} & {*path.parts}
    ]
    # One interpreter for all: each import begins without any module of ours.
    script = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    for known in [m for m in sys.modules if m.split('.')[0] in ('pipeline_lint', 'runtime_guard')]:\n"
        "        del sys.modules[known]\n"
        "    importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)
