"""What tells that a value is float16, and which squares overflow."""

from __future__ import annotations

from textwrap import indent

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.half.half_values import is_cast_back, is_half, knows_half, square_below, wider_after
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def total(body: str) -> tuple[Source, Site]:
    """The one `sum` of a function's body."""
    code = "import torch\n\n\ndef f(x, y, dim, g_16, fp16_grads, grads):\n" + indent(body, "    ") + "\n"
    source: Source = parse(open_document("example.py", code.encode()))
    (site,) = source.fact(Ranges).sites("sum")
    return source, site


@pytest.mark.parametrize(
    "body",
    [
        "return x.half().sum()",
        "return x.to(torch.float16).abs().sum()",
        "return torch.zeros(3, dtype=torch.half).sum()",
        "return g_16.sum()",
        "return fp16_grads[0].data.sum()",
        "return [g.sum() for g in g_16]",
        "return [p.grad.abs().sum() for p in fp16_grads]",
        "for index, g in enumerate(fp16_grads):\n    g.sum().backward()",
        "for p, g in zip(grads, fp16_grads):\n    g.sum().backward()",
    ],
)
def test_dtypes_and_names_tell_of_float16(body: str) -> None:
    source, site = total(body)
    assert is_half(source, site.operands["input"], site.input)


@pytest.mark.parametrize(
    "body",
    [
        "return x.sum()",
        "return x.half().float().sum()",
        "return g_16.float().sum()",
        "return g_16.to(y).sum()",
        "return [g.sum() for g in grads]",
        "for p, g in zip(fp16_grads, grads):\n    g.sum().backward()",
        "return x.bfloat16().sum()",
    ],
)
def test_other_values_are_not_taken_for_float16(body: str) -> None:
    source, site = total(body)
    assert not is_half(source, site.operands["input"], site.input)


@pytest.mark.parametrize(
    ("squared", "is_square"),
    [
        ("x.square()", True),
        ("x ** 2", True),
        ("torch.pow(x, 3)", True),
        ("(x * x)", True),
        ("x.square().float()", True),
        ("x.sigmoid().square()", False),
        ("x * y", False),
        ("x ** 0.5", False),
    ],
)
def test_squares_of_what_may_be_large_are_seen(squared: str, is_square: bool) -> None:
    source, site = total(f"return ({squared}).sum()")
    assert (square_below(source, site.input) is not None) == is_square


@pytest.mark.parametrize(
    ("body", "is_back"),
    [
        ("return x.square().sum().to(x.dtype)", True),
        ("return x.square().sum().sqrt().type_as(x)", True),
        ("dtype = x.dtype\nreturn (x.square().sum() + 1e-5).to(dtype=dtype)", True),
        ("return x.square().sum().to(y.dtype)", False),
        ("return x.square().sum().to(x.device)", False),
        ("return (x.square().sum() * y).to(x.dtype)", False),
        ("return x.square().sum()", False),
    ],
)
def test_a_cast_back_is_one_to_the_dtype_of_what_was_squared(body: str, is_back: bool) -> None:
    source, site = total(body)
    square = square_below(source, site.input)
    assert square is not None
    assert is_cast_back(source, site.node, square.operands[0]) == is_back


@pytest.mark.parametrize(
    ("body", "knows"),
    [
        ("if y.dtype == torch.float16:\n    y = y + 1\nreturn x.sum()", True),
        ("if y.dtype in [torch.float16, torch.bfloat16]:\n    y = y + 1\nreturn x.sum()", True),
        ("if y.dtype == torch.float16:\n    x = x.float()\nreturn x.sum()", False),
        ("return x.sum()", False),
    ],
)
def test_a_function_knows_float16_that_asks_for_it_and_casts_nothing_up(body: str, knows: bool) -> None:
    source, site = total(body)
    assert knows_half(source, site.node) == knows


@pytest.mark.parametrize(
    ("body", "dtype"),
    [
        ("return x.square().sum().float()", "float32"),
        ("return (x.square().sum() + 1e-5).sqrt().to(torch.float64)", "float64"),
        ("return x.square().sum().half()", None),
        ("return (x.square().sum() * y).float()", None),
        ("return x.square().sum()", None),
    ],
)
def test_a_cast_to_a_wider_dtype_may_come_late(body: str, dtype: str | None) -> None:
    source, site = total(body)
    assert wider_after(source, site.node) == dtype
