"""Losses of which another one in the same function casts its operands."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.half.loss_casts import cast_operands, has_cast_twin
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse

HEAD = "import torch.nn.functional as F\n\n\n"


def twins(code: str) -> list[bool]:
    source = parse(open_document("example.py", (HEAD + code).encode()))
    return [has_cast_twin(source, site) for site in source.fact(Ranges).sites("mse_loss")]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def f(a, b):\n    return F.mse_loss(a, b) + F.mse_loss(a.float(), b.float())\n", [True, False]),
        ("def f(a, b):\n    return F.mse_loss(a, b) + F.mse_loss(a, b.float())\n", [False, False]),
        ("def f(a, b):\n    return F.mse_loss(a, b) + F.l1_loss(a.float(), b.float())\n", [False]),
        (
            "def f(a, b):\n    return F.mse_loss(a, b)\ndef g(a, b):\n    return F.mse_loss(a.float(), b.float())\n",
            [False] * 2,
        ),
    ],
)
def test_a_twin_is_the_same_loss_in_the_same_function_with_both_operands_cast(code: str, expected: list[bool]) -> None:
    assert twins(code) == expected


def test_what_is_cast_already_is_not_cast_again() -> None:
    source = parse(open_document("example.py", (HEAD + "def f(a, b):\n    F.mse_loss(a - b, b.float())\n").encode()))
    (site,) = source.fact(Ranges).sites("mse_loss")
    edits = cast_operands(source, site)
    assert edits is not None
    assert [edit.text for edit in edits] == ["(a - b).float()"]
