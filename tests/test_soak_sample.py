"""A sample of `make soak`: real files of this environment, checked and fixed as a user would."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.soak.installed import copy_files, copy_tree, installed_files, sample_of
from benchmarks.soak.run import Soak, soak

NUM_INSTALLED = 300
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Soak:
    folder = tmp_path_factory.mktemp("soak") / "code"
    copy_files(sample_of(installed_files(), size=NUM_INSTALLED, seed=0), folder)
    copy_tree(EXAMPLES, folder / "examples")
    return soak(folder, jobs=1)


def test_real_code_is_checked_and_fixed_without_trouble(result: Soak) -> None:
    assert result.problems == []


def test_nearly_all_files_of_the_sample_are_checked(result: Soak) -> None:
    assert result.num_files > NUM_INSTALLED
    assert result.num_checked > 0.9 * result.num_files


def test_the_sample_has_something_to_fix(result: Soak) -> None:
    assert result.num_changed["safe"] > 0


def test_a_sample_drawn_twice_is_the_same() -> None:
    files = sorted(Path(__file__).parent.rglob("*.py"))

    assert sample_of(files, size=3, seed=1) == sample_of(files, size=3, seed=1)
