"""Whether a value is made of learned parameters alone."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.learned import is_learned
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

HEAD = """
import math
import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, is_trained):
        self.weight = nn.Parameter(torch.randn(3, 3))
        self.shift = nn.Parameter(torch.zeros(1, *self.shape))
        self.layer = nn.Linear(3, 3)
        if is_trained:
            self.scale = nn.Parameter(torch.zeros(3))
        else:
            self.register_buffer("scale", torch.zeros(1, *self.shape))

    def forward(self, x, y, index):
"""


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("self.weight", True),
        ("self.scale", True),
        ("2 * self.weight[0].to(x.device) + self.shift", True),
        ("self.weight + math.log(self.temperature)", True),
        ("F.linear(F.one_hot(index, 3).float(), self.weight)", True),
        ("x", False),
        ("3.0 * torch.ones(3)", False),
        ("self.layer(x)", False),
        ("x @ self.weight", False),
        ("self.weight + self.other(x)", False),
    ],
)
def test_only_parameters_and_constants_are_learned(expression: str, expected: bool) -> None:
    code = f"{HEAD}        return torch.exp({expression})\n"
    source: Source = parse(open_document("example.py", code.encode()))
    (site,) = source.fact(Ranges).sites("exp")
    assert is_learned(site.input) is expected
