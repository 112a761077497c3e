"""Squares behind sums, means and roots."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.squares import cast_before, reduced_square, square_of
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def squared(expression: str) -> tuple[Source, str | None, str | None]:
    """The source, and the code of the square that `expression` is, and of that which it is a mean or sum of."""
    code = f"import torch\n\n\ndef f(x, y, eps):\n    return ({expression}).float()\n"
    source = parse(open_document("example.py", code.encode()))
    value = source.fact(Ranges).sites("float")[-1].input
    one, other = square_of(value), reduced_square(value)
    return source, source.code(one.node) if one else None, source.code(other.node) if other else None


@pytest.mark.parametrize(
    "expression", ["x.square()", "x**2", "torch.pow(x, 2)", "x * x", "x.pow(4)", "torch.mul(x, x)"]
)
def test_a_square_is_found_however_it_is_spelled(expression: str) -> None:
    assert squared(expression)[1:] in [(expression, None), (f"({expression})", None)]


@pytest.mark.parametrize("expression", ["x * y", "x**1.5", "x**0.5", "x + x", "x.abs()"])
def test_other_products_and_powers_are_none(expression: str) -> None:
    assert squared(expression)[1:] == (None, None)


@pytest.mark.parametrize(
    "expression", ["x.square().mean()", "(x.square().sum(1) + eps).sqrt()", "1 * x.square().mean().add(1e-5).rsqrt()"]
)
def test_a_square_is_found_behind_its_mean_or_sum(expression: str) -> None:
    assert squared(expression)[1:] == (None, "x.square()")


@pytest.mark.parametrize(
    ("expression", "operands"),
    [("x.square()", ["x.float()"]), ("(x - y) ** 2", ["(x - y).float()"]), ("x * x", ["x.float()", "x.float()"])],
)
def test_the_cast_goes_to_what_is_squared(expression: str, operands: list[str]) -> None:
    source, *_ = squared(expression)
    square = square_of(source.fact(Ranges).sites("float")[-1].input)
    assert square is not None
    edits = cast_before(source, square)
    assert edits is not None
    assert [edit.text for edit in edits] == operands


def test_a_square_in_place_is_left_where_it_is() -> None:
    source, *_ = squared("x.square_()")
    square = square_of(source.fact(Ranges).sites("float")[-1].input)
    assert square is None or cast_before(source, square) is None
