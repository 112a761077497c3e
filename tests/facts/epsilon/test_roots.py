"""Roots of sums of squares and variances as the code spells them, and as torch writes them."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.epsilon.roots import deviation_code, norm_code, squared_operand
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def expression(code: str) -> tuple[Source, cst.BaseExpression]:
    """What is assigned to `result`."""
    source: Source = parse(open_document("example.py", f"import torch\n\nresult = {code}\n".encode()))
    (assign,) = source.nodes(cst.Assign)
    return source, assign.value


@pytest.mark.parametrize(
    ("code", "norm"),
    [
        ("torch.sqrt((x ** 2).sum(dim=1))", "torch.linalg.vector_norm(x, dim=1)"),
        ("torch.sqrt(torch.sum(x.square(), (0, 1), keepdim=k))", "torch.linalg.vector_norm(x, dim=(0, 1), keepdim=k)"),
        ("torch.sqrt((a - b).square().sum(0))", "torch.linalg.vector_norm(a - b, dim=0)"),
        ("(x.a * x.a).sum() ** 0.5", "torch.linalg.vector_norm(x.a)"),
        ("torch.pow((f(x) ** 2.0).sum(-1), 1 / 2)", "torch.linalg.vector_norm(f(x), dim=-1)"),
    ],
)
def test_the_root_of_a_sum_of_squares_is_a_norm(code: str, norm: str) -> None:
    reference = norm_code(*expression(code))
    assert reference is not None
    assert reference.code == norm


@pytest.mark.parametrize(
    "code",
    [
        "torch.sqrt((x * y).sum())",
        "torch.sqrt((f(x) * f(x)).sum())",
        "torch.sqrt((x ** 3).sum())",
        "torch.sqrt((x ** 2).mean())",
        "torch.sqrt((x ** 2).sum(0, 1))",
        "torch.sqrt((x ** 2).sum(dtype=d))",
        "torch.sqrt((x ** 2).sum(), out=y)",
        "((x ** 2).sum()) ** 0.25",
        "(x ** 2).sum()",
    ],
)
def test_other_roots_are_none(code: str) -> None:
    assert norm_code(*expression(code)) is None


@pytest.mark.parametrize(
    ("code", "deviation"),
    [
        ("x.var(0).sqrt()", "x.std(0)"),
        ("torch.sqrt(torch.var(x, 0, unbiased=False))", "torch.std(x, 0, unbiased=False)"),
        ("(x - y).var() ** 0.5", "(x - y).std()"),
        ("x.mean(0).sqrt()", None),
        ("x.var(0)", None),
        ("x.var(0) ** 2", None),
    ],
)
def test_the_root_of_a_variance_is_a_standard_deviation(code: str, deviation: str | None) -> None:
    assert deviation_code(*expression(code)) == deviation


@pytest.mark.parametrize("code", ["x ** 2", "x.pow(2.0)", "torch.pow(x, 2)", "x.square()", "x * x", "torch.mul(x, x)"])
def test_squares_are_known_in_every_spelling(code: str) -> None:
    source, node = expression(code)
    operand = squared_operand(source, node)
    assert operand is not None
    assert source.code(operand) == "x"
