"""The example pipelines run as they are, are found faulty, and train just the same after their fixes."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_lint import check_paths, fix_paths
from pipeline_lint.diagnostic import Applicability

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"

EXPECTED = {
    "vae": {"TRN101", "TRN102", "TRN201", "TRN207"},
    "segmentation": {"TRN101", "TRN102", "TRN104", "TRN202", "TRN307", "TRN406"},
    "classifier": {"TRN101", "TRN102", "TRN202", "TRN307"},
}
DIVERGING = ("--steps", "20", "--lr", "0.2")


TRAINED: dict[tuple[object, ...], list[float]] = {}


def losses(folder: Path, *arguments: str) -> list[float]:
    """Trains, and returns the loss of each step. The same code is trained once."""
    key = (*arguments, *(path.read_bytes() for path in sorted(folder.glob("*.py"))))
    if key not in TRAINED:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "train.py", *arguments],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        TRAINED[key] = [float(value) for value in re.findall(r"loss (\S+)", done.stdout)]
    return TRAINED[key]


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The examples, free to be changed and under no configuration."""
    target = tmp_path / "examples"
    shutil.copytree(EXAMPLES, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return target


def test_every_example_is_tested() -> None:
    assert {path.parent.name for path in EXAMPLES.glob("*/train.py")} == EXPECTED.keys()


@pytest.mark.parametrize("example", EXPECTED)
def test_an_example_has_the_defects_it_is_there_for(copies: Path, example: str) -> None:
    report = check_paths([copies / example])
    assert not report.failures
    assert {diagnostic.code for diagnostic in report.diagnostics} == EXPECTED[example]


@pytest.mark.parametrize("unsafe", [False, True], ids=["safe fixes", "all fixes"])
@pytest.mark.parametrize("example", EXPECTED)
def test_an_example_trains_the_same_after_its_fixes(copies: Path, example: str, unsafe: bool) -> None:
    before = losses(copies / example, "--steps", "5")
    fixed = fix_paths([copies / example], unsafe=unsafe)
    assert fixed.changed_paths
    assert not fixed.failures
    after = losses(copies / example, "--steps", "5")
    assert len(before) == 5
    assert after == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize("example", EXPECTED)
def test_fixes_that_change_no_arithmetic_leave_every_loss_as_it_was(copies: Path, example: str) -> None:
    before = losses(copies / example, "--steps", "5")
    fixed = fix_paths([copies / example], unsafe=True, select=("precision", "loop"))
    assert not fixed.failures
    assert losses(copies / example, "--steps", "5") == before


@pytest.mark.parametrize("example", EXPECTED)
def test_no_fix_is_left_after_fixing(copies: Path, example: str) -> None:
    fix_paths([copies / example], unsafe=True)
    remaining = check_paths([copies / example]).diagnostics
    assert not [diagnostic for diagnostic in remaining if diagnostic.fix is not None]
    assert {diagnostic.code for diagnostic in remaining} <= {"TRN101", "TRN102", "TRN104"}


@pytest.mark.parametrize("example", EXPECTED)
def test_safe_fixes_alone_leave_only_unsafe_ones(copies: Path, example: str) -> None:
    fix_paths([copies / example])
    kinds = {
        diagnostic.fix.applicability for diagnostic in check_paths([copies / example]).diagnostics if diagnostic.fix
    }
    assert kinds <= {Applicability.UNSAFE}


def test_the_safe_fixes_save_a_run_from_its_nan(copies: Path) -> None:
    assert math.isnan(losses(copies / "vae", *DIVERGING)[-1])
    fix_paths([copies / "vae"])
    assert all(math.isfinite(loss) for loss in losses(copies / "vae", *DIVERGING))


def test_the_commands_of_the_readme_are_there() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert {f"`python examples/{example}/train.py --steps 5`" for example in EXPECTED} <= set(
        re.findall(r"`[^`]+`", text)
    )


def test_the_demonstration_runs_to_its_end(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    command = [sys.executable, str(EXAMPLES / "demo.py")]
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, timeout=200
    )
    shown = done.stdout
    assert done.returncode == 0, shown
    for line in ("step 20  loss nan", "log made inf", "use logsigmoid", "TRN201", "All checks passed!"):
        assert line in shown
    assert "nan" not in shown[shown.index("The same run after the fixes") :]
    *_, tensorboard, export = shown.strip().splitlines()
    (runs,) = tmp_path.glob("*/examples/runs")
    assert tensorboard.endswith(f"runtime-guard tensorboard {runs}")
    assert export.endswith(f"runtime-guard export {runs / 'broken'}")
    assert {path.name for path in runs.iterdir()} == {"broken", "fixed"}
    assert list((runs / "broken" / "incidents").iterdir())
