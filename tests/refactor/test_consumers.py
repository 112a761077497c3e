"""Everything that can be done with an output, over several files: found, rewritten, and computing the same.

The pages in `consumers/` are literate cases (see `pipeline_lint/testing.py`). A case with a `main.py` is run before and
after its fix, and prints the same.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import runpy
import warnings
from pathlib import Path

import pytest

from pipeline_lint import fix_paths
from pipeline_lint.testing import Case, load_cases, run_case
from tests.refactor.test_training_is_unchanged import modules_of

CASES = [case for path in sorted((Path(__file__).parent / "consumers").glob("*.md")) for case in load_cases(path)]
OPTIONAL = ("accelerate", "lightning", "timm")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_consumer_is_rewritten_or_named_in_the_message(case: Case) -> None:
    run_case(case)


@pytest.mark.parametrize("case", [case for case in CASES if "main.py" in case.files], ids=str)
def test_a_program_prints_the_same_after_the_fix(case: Case, tmp_path: Path) -> None:
    code = "\n".join(case.files.values())
    missing = [name for name in OPTIONAL if f"import {name}" in code or f"from {name}" in code]
    missing = [name for name in missing if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    for path, text in case.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    toml = case.toml or f'[tool.pipeline-lint]\nselect = ["{case.rule}"]\n'
    (tmp_path / "pyproject.toml").write_text(toml, encoding="utf-8")
    before = printed(tmp_path)

    report = fix_paths([tmp_path])

    assert report.changed_paths
    assert printed(tmp_path) == before


def printed(folder: Path) -> str:
    """What the project's `main.py` prints."""
    output = io.StringIO()
    with modules_of(folder), warnings.catch_warnings(), contextlib.redirect_stdout(output):
        warnings.simplefilter("ignore")
        runpy.run_path(str(folder / "main.py"), run_name="__main__")
    return output.getvalue()
