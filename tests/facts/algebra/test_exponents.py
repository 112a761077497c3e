"""How far exponents reach."""

from __future__ import annotations

import math

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.algebra.exponents import Exponents
from pipeline_lint.facts.code.reach import Reach
from pipeline_lint.parsing import parse

HEAD = """import math

import torch
import torch.nn.functional as F


def f(x, y, temperature, sigma, n, log_probs, self):
"""
INF = math.inf


def reach_of(*lines: str) -> Reach:
    """The reach of the argument of `use(...)`."""
    code = HEAD + "".join(f"    {line}\n" for line in lines)
    source = parse(open_document("example.py", code.encode()))
    (use,) = (call for call in source.nodes(cst.Call) if isinstance(call.func, cst.Name) and call.func.value == "use")
    return source.fact(Exponents).reach(use.args[0].value)


@pytest.mark.parametrize(
    ("expression", "low", "high"),
    [
        ("x", -INF, INF),
        ("model(x)", -INF, INF),
        ("x - y", -INF, INF),
        ("3", 3, 3),
        ("torch.tanh(x)", -1, 1),
        ("-torch.sigmoid(x)", -1, 0),
        ("2 * torch.sigmoid(x) - 1", -1, 1),
        ("torch.tanh(x) / 0.5", -2, 2),
        ("torch.cos(x) * torch.sigmoid(y)", -1, 1),
        ("x.abs()", 0, INF),
        ("-x.abs()", -INF, 0),
        ("-(x - y) ** 2", -INF, 0),
        ("-0.5 * (x / sigma).pow(2)", -INF, 0),
        ("-x * x", -INF, 0),
        ("-self.precision * (x - y) ** 2", -INF, 0),
        ("-torch.cdist(x, y) / temperature", -INF, 0),
        ("-distance(x, y)", -INF, 0),
        ("F.cosine_similarity(x, y) / temperature", -100, 100),
        ("F.cosine_similarity(x, y) / 0.1", -10, 10),
        ("x.clamp(-5, 5)", -5, 5),
        ("torch.clamp(x, max=10)", -INF, 10),
        ("x.clamp(max=self.limit)", -INF, 0),
        ("F.log_softmax(x, 1)", -INF, 0),
        ("log_probs", -INF, 0),
        ("log_probs[:, 0]", -INF, 0),
        ("x.abs().mean(1)", 0, INF),
        ("torch.tanh(x).sum(1)", -INF, INF),
        ("(x ** 2).sum(1)", 0, INF),
        ("torch.where(y, x.abs(), torch.tanh(x))", -1, INF),
        ("x.abs() if n else -1", -1, INF),
    ],
)
def test_a_formula_bounds_its_value(expression: str, low: float, high: float) -> None:
    reach = reach_of(f"use({expression})")
    assert (reach.low, reach.high) == (low, high)


@pytest.mark.parametrize(
    "lines",
    [
        ("use(x - x.max())",),
        ("use(x - x.max(1, keepdim=True)[0])",),
        ("use((x - x.amax(1, keepdim=True)) / temperature)",),
        ("use(x - torch.logsumexp(x, 1, keepdim=True))",),
        ("m, _ = x.max(1)", "use(x - m[:, None])"),
        ("m = x.amax(1)", "m = m.detach()", "use(x - m)"),
        ("x = x - x.max()", "use(x)"),
        ("x -= x.max()", "use(x)"),
        ("if n:", "    z = x - x.max()", "else:", "    z = x - x.max(1)[0]", "use(z)"),
        ("use(x - x_max if n else x.sub_(x_max))",),
        ("use(shifted)",),
    ],
)
def test_a_maximum_that_was_subtracted_is_seen(lines: tuple[str, ...]) -> None:
    reach = reach_of(*lines)
    assert reach.is_shifted
    assert reach.high == 0


@pytest.mark.parametrize(
    "lines", [("use(x - y)",), ("use(x - x.mean())",), ("m = x - x.max()", "use(y - m)"), ("use(x.max() - x)",)]
)
def test_other_differences_are_not_shifted(lines: tuple[str, ...]) -> None:
    assert not reach_of(*lines).is_shifted


@pytest.mark.parametrize(
    ("expression", "is_table"),
    [
        ("torch.arange(n)", True),
        ("torch.linspace(-6, 6, n) / sigma", True),
        ("-(torch.arange(n).float() - n // 2) ** 2 / (2 * sigma ** 2)", True),
        ("torch.tensor(0.5)", True),
        ("math.log(2)", True),
        ("torch.arange(n) * x", False),
        ("n * Z", False),
        ("x", False),
    ],
)
def test_tables_are_told_from_data(expression: str, is_table: bool) -> None:
    assert reach_of(f"use({expression})").is_table == is_table


def test_a_name_that_refers_to_itself_ends() -> None:
    assert reach_of("for _ in y:", "    x = x * x + x", "use(x)") == Reach()


@pytest.mark.parametrize(
    ("lines", "low", "high"),
    [
        (("s = F.cosine_similarity(x, y)", "s += 0.5 - s[0]", "use(s)"), -1.5, 2.5),
        (("s = F.cosine_similarity(x, y)", "s += margin", "s = s.exp()", "use(s)"), 0, INF),
        (("s = torch.tanh(x)", "s += y", "use(s)"), -INF, INF),
        (("s = torch.tanh(x)", "for _ in y:", "    s += 1", "use(s)"), -INF, INF),
    ],
)
def test_what_is_added_to_a_bounded_value_in_place_is_seen(lines: tuple[str, ...], low: float, high: float) -> None:
    reach = reach_of(*lines)
    assert (reach.low, reach.high) == (low, high)


def test_a_deep_formula_ends() -> None:
    assert reach_of(f"use({' + '.join(['x.abs()'] * 40)})").high == INF
