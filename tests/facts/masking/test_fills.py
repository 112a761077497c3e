"""The fills that are found behind the argument of a softmax."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.masking.fills import Fill, fills
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse

INF = float("inf")


def found(body: str) -> list[Fill]:
    code = "import torch\n\n\ndef f(x, y, mask, flag, scale):\n" + indent(dedent(body).strip("\n"), "    ") + "\n"
    source = parse(open_document("example.py", code.encode()))
    (site,) = source.fact(Ranges).sites("softmax")
    return list(fills(site.input))


@pytest.mark.parametrize(
    ("body", "constant"),
    [
        ("return x.masked_fill(mask, -1e9).softmax(-1)", -1e9),
        ("x.masked_fill_(mask, -1e9)\nreturn x.softmax(-1)", -1e9),
        ("return torch.where(mask, x, -torch.inf).softmax(-1)", -INF),
        ("return torch.where(mask, -torch.inf, x).softmax(-1)", -INF),
        ("x[mask] = -1e4\nreturn x.softmax(-1)", -1e4),
        ("return (x + (1 - mask) * -1e4).softmax(-1)", -1e4),
        ("return (x - 1e4 * (1 - mask)).softmax(-1)", -1e4),
        ("return (x + (mask - 1) * 1e4).softmax(-1)", -1e4),
        ("if flag:\n    x = x.masked_fill(mask, -1e9)\nreturn x.softmax(-1)", -1e9),
        ("return (-x.masked_fill(mask, 1e9)).softmax(-1)", -1e9),
        ("return (scale * x.masked_fill(mask, -1e9)).view(2, 3).float().softmax(-1)", -1e9),
        ("return (x.masked_fill(mask, -1e9) / -2).softmax(-1)", 1e9),
        ("bias = torch.zeros(3).masked_fill(mask, -torch.inf)\nreturn (x + bias).softmax(-1)", -INF),
    ],
)
def test_a_fill_is_found_with_the_constant_that_reaches_the_softmax(body: str, constant: float) -> None:
    assert [fill.constant for fill in found(body)] == [constant]


@pytest.mark.parametrize(
    "body",
    [
        "return x.softmax(-1)",
        "return (x * mask).softmax(-1)",
        "return x.masked_fill(mask, scale).softmax(-1)",
        "return x.masked_fill(mask, torch.finfo(x.dtype).min).softmax(-1)",
        "return torch.tanh(x.masked_fill(mask, -1e9)).softmax(-1)",
        "return (x + 0.5 * y).softmax(-1)",
        "x[0] = -1e9\nreturn x.softmax(-1)",
    ],
)
def test_other_scores_have_none(body: str) -> None:
    assert not found(body)


def test_what_happens_between_fill_and_softmax_is_told() -> None:
    (plain,) = found("return x.masked_fill(mask, -1e9).softmax(-1)")
    (moved,) = found("return (x.masked_fill(mask, -1e9) + y).softmax(-1)")
    (part,) = found("return torch.cat([y, x.masked_fill(mask, -1e9)]).softmax(-1)")
    assert (plain.is_moved, plain.is_whole, plain.is_negated) == (False, True, False)
    assert moved.is_moved
    assert not part.is_whole
