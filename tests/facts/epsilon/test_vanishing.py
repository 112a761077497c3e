"""Why a value that is never negative is 0 at times."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.epsilon.vanishing import is_kept_off, why_zero
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

HEAD = """\
import torch
import torch.nn.functional as F


def f(x, y, mask, eps, model):
"""


def rooted(body: str) -> tuple[Source, cst.BaseExpression, object]:
    """The operand of the square root in a function's body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    source: Source = parse(open_document("example.py", (HEAD + lines).encode()))
    (site,) = source.fact(Ranges).sites("sqrt")
    return source, site.operands["input"], site.values["input"]


def reason(body: str) -> str | None:
    _, node, value = rooted(body)
    evidence = why_zero(value, node)  # type: ignore[arg-type]
    return evidence.witness if evidence is not None else None


@pytest.mark.parametrize(
    ("operand", "witness"),
    [
        ("(x - y) ** 2", "equal"),
        ("x * x", "zeros"),
        ("x.abs().sum(0)", "zeros"),
        ("(x * x).sum(0) / 3", "zeros"),
        ("x.var(0)", "equal"),
        ("F.mse_loss(x, y)", "equal"),
        ("2 * (x - y).abs().mean()", "equal"),
        ("model(x).squared_dist", "equal"),
        ("dot(x, x)", "zeros"),
    ],
)
def test_squares_errors_and_variances_are_0_at_times(operand: str, witness: str) -> None:
    found = reason(f"return torch.sqrt({operand})")
    assert found is not None
    assert witness in found


@pytest.mark.parametrize(
    "operand",
    [
        "x",
        "x.abs()",
        "x * x + 1",
        "(x + 1).abs()",
        "x.exp() + 1",
        "y_var",
        "scheduler.variance(x)",
        "model(x).variance",
    ],
)
def test_other_values_are_not_known_to_be(operand: str) -> None:
    assert reason(f"return torch.sqrt({operand})") is None


@pytest.mark.parametrize(
    "body",
    [
        "return torch.sqrt(self.variance)",
        "return torch.sqrt(x.abs() + eps)",
        "return torch.sqrt(x.abs() + self.eps.abs())",
        "safe_x = x.abs()\nreturn torch.sqrt(safe_x)",
        "return torch.sqrt(torch.where(mask, x.abs(), torch.ones_like(x)))",
        "z = x.masked_fill(mask, 1.0)\nreturn torch.sqrt(z * z + y * y)",
    ],
)
def test_an_author_keeps_values_off_0_in_ways_that_ranges_do_not_show(body: str) -> None:
    assert is_kept_off(*rooted(body))  # type: ignore[arg-type]


@pytest.mark.parametrize("operand", ["x.abs()", "torch.where(mask, x.abs(), 0.0)", "x.abs() + y.abs()"])
def test_other_values_are_not_kept_off(operand: str) -> None:
    assert not is_kept_off(*rooted(f"return torch.sqrt({operand})"))  # type: ignore[arg-type]
