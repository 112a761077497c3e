"""Programs that use an output in ways that a dict does not stand: each prints the same after the safe fixes.

The pages in `programs/` are literate cases (see `pipeline_lint/testing.py`), each with a `main.py`, beside which stand
`network.py` and `data.py`. Programs of `rewritten.md` are fixed; those of `left_alone.md` must not be, as something in
them needs the tuple, or hides who gets it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline_lint import fix_paths
from pipeline_lint.testing import Case, load_cases
from tests.refactor.test_consumers import printed

PROGRAMS = Path(__file__).parent / "programs"
CASES = [
    pytest.param(case, page == "rewritten.md", id=f"{page}: {case}")
    for page in ("rewritten.md", "left_alone.md")
    for case in load_cases(PROGRAMS / page)
]


@pytest.mark.parametrize(("case", "is_rewritten"), CASES)
def test_a_program_prints_the_same_after_the_fix(
    case: Case, is_rewritten: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in PROGRAMS.glob("*.py"):
        shutil.copy(path, tmp_path)
    for name, text in case.files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    toml = '[tool.pipeline-lint]\nselect = ["TRN101", "TRN102", "TRN103"]\n'
    (tmp_path / "pyproject.toml").write_text(toml, encoding="utf-8")
    # Some save files.
    monkeypatch.chdir(tmp_path)
    before = printed(tmp_path)
    assert before.strip()

    report = fix_paths([tmp_path])

    assert bool(report.changed_paths) == is_rewritten
    assert printed(tmp_path) == before
