"""What the fixes of worker-seed make of loaders: no two workers, and no two epochs, draw the same numbers."""

from __future__ import annotations

import pytest

from tests.rules.test_loop_fixes_train import SETUP, fixed, outcome

pytest.importorskip("torch")
pytest.importorskip("numpy")

DATASET = """\
import random
import numpy as np
from torch.utils.data import DataLoader, Dataset


class Noise(Dataset):
    def __init__(self):
        self.rng = {constructor}

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.tensor({draw})


def train():
    loader = DataLoader(Noise(), num_workers=2{settings})
    return [x.item() for _ in range(2) for x in loader]
"""

GENERATORS = [
    ("np.random.default_rng(0)", "self.rng.random()"),
    ("np.random.RandomState(0)", "self.rng.rand()"),
    ("random.Random(0)", "self.rng.random()"),
    ("torch.Generator()", "torch.rand(1, generator=self.rng).item()"),
]
SEEDS = [("lambda _: np.random.seed(0)", 2), ("lambda number: np.random.seed(number)", 4)]


@pytest.mark.parametrize(("constructor", "draw"), GENERATORS, ids=[constructor for constructor, _ in GENERATORS])
def test_generators_that_were_copied_draw_numbers_of_their_own(constructor: str, draw: str) -> None:
    code = DATASET.format(constructor=constructor, draw=draw, settings="")
    assert len(set(outcome(SETUP + code))) == 2, "two workers and two epochs draw the same two numbers"
    assert len(set(outcome(fixed("TRN411", code)))) == 8


@pytest.mark.parametrize(("init", "num_before"), SEEDS, ids=["constant", "of the worker"])
def test_seeds_that_repeated_are_derived_from_the_one_that_torch_gives(init: str, num_before: int) -> None:
    code = DATASET.format(constructor="None", draw="np.random.rand()", settings=f", worker_init_fn={init}")
    assert len(set(outcome(SETUP + code))) == num_before
    assert len(set(outcome(fixed("TRN411", code)))) == 8
