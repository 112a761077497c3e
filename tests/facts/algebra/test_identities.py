"""Formulas written out by hand, recognised, written again, and executed both ways."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.algebra.identities import Identities
from pipeline_lint.facts.algebra.identity import Identity, Kind
from pipeline_lint.facts.algebra.identity_code import identity_written
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

HEAD = "import math\n\nimport torch\nimport torch.nn.functional as F\n\n\ndef f(x, y):\n"

FORMULAS = [
    ("torch.log(1 + torch.exp(x))", Kind.SOFTPLUS, "F.softplus(x)"),
    ("x.exp().log1p()", Kind.SOFTPLUS, "F.softplus(x)"),
    ("torch.log(torch.exp(x - y) + 1)", Kind.SOFTPLUS, "F.softplus(x - y)"),
    ("torch.log(torch.exp(x).sum(1))", Kind.LOGSUMEXP, "torch.logsumexp(x, dim=1)"),
    ("x.exp().sum(0, keepdim=True).log()", Kind.LOGSUMEXP, "torch.logsumexp(x, dim=0, keepdim=True)"),
    ("torch.log(torch.exp(x * y).sum())", Kind.LOGSUMEXP, "torch.logsumexp((x * y).flatten(), 0)"),
    ("torch.log(torch.exp(x).mean(1))", Kind.LOG_OF_MEAN, "torch.logsumexp(x, dim=1) - math.log(x.shape[1])"),
    ("torch.exp(-x).mean().log()", Kind.LOG_OF_MEAN, "torch.logsumexp((-x).flatten(), 0) - math.log((-x).numel())"),
    ("torch.log(1 + torch.exp(x).sum(1))", Kind.SOFTPLUS_OF_LOGSUMEXP, "F.softplus(torch.logsumexp(x, dim=1))"),
    ("torch.log(torch.exp(x) + torch.exp(2 * y))", Kind.LOGADDEXP, "torch.logaddexp(x, 2 * y)"),
    ("torch.log(1 - torch.exp(-x.abs() - 1))", Kind.LOG_OF_COMPLEMENT, "torch.log(-torch.expm1(-x.abs() - 1))"),
    ("torch.log(torch.exp(y) - 1)", Kind.INVERSE_SOFTPLUS, "y + torch.log(-torch.expm1(-y))"),
    (
        "torch.log(torch.expm1(x * x + 1))",
        Kind.INVERSE_SOFTPLUS,
        "(x * x + 1) + torch.log(-torch.expm1(-(x * x + 1)))",
    ),
    ("torch.log(1 + x * x)", Kind.LOG1P, "torch.log1p(x * x)"),
    ("(x * x + 1).log()", Kind.LOG1P, "(x * x).log1p()"),
    ("torch.exp(x) / torch.exp(x).sum(1, keepdim=True)", Kind.SOFTMAX, "torch.softmax(x, dim=1)"),
    ("torch.exp(x) / torch.exp(x).sum()", Kind.SOFTMAX, "torch.softmax(x.flatten(), 0).view_as(x)"),
    ("torch.exp(x + y).div(torch.exp(x + y).sum(0))", Kind.SOFTMAX, "torch.softmax(x + y, dim=0)"),
    ("1 / (1 + torch.exp(-x))", Kind.SIGMOID, "torch.sigmoid(x)"),
    ("torch.reciprocal(torch.exp(x) + 1)", Kind.SIGMOID, "torch.sigmoid(-x)"),
    ("(1 + torch.exp(-2 * x)) ** -1", Kind.SIGMOID, "torch.sigmoid(2 * x)"),
    ("torch.exp(x) / (torch.exp(x) + 1)", Kind.SIGMOID, "torch.sigmoid(x)"),
    ("x / (1 + torch.exp(-x))", Kind.SIGMOID, "x * torch.sigmoid(x)"),
    ("torch.div(x + y, 1 + torch.exp(-x + y))", Kind.SIGMOID, "(x + y) * torch.sigmoid(-(-x + y))"),
    ("torch.exp(x) / (torch.exp(x) + torch.exp(y))", Kind.SIGMOID_OF_DIFFERENCE, "torch.sigmoid(x - y)"),
    ("torch.exp(y) / (torch.exp(x - 1) + torch.exp(y))", Kind.SIGMOID_OF_DIFFERENCE, "torch.sigmoid(y - (x - 1))"),
    ("(torch.exp(x) - torch.exp(-x)) / (torch.exp(x) + torch.exp(-x))", Kind.TANH, "torch.tanh(x)"),
    ("(torch.exp(-x) - torch.exp(x)) / (torch.exp(x) + torch.exp(-x))", Kind.TANH, "torch.tanh(-x)"),
    ("(torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1)", Kind.TANH, "torch.tanh(x)"),
    ("(1 - torch.exp(-2 * x)) / (1 + torch.exp(-2 * x))", Kind.TANH, "torch.tanh(x)"),
    ("(1 - torch.exp(x)) / (1 + torch.exp(x))", Kind.TANH, "torch.tanh(-x / 2)"),
    ("(torch.exp(x - y) - 1) / (1 + torch.exp(x - y))", Kind.TANH, "torch.tanh((x - y) / 2)"),
    ("torch.exp(x) - 1", Kind.EXPM1, "torch.expm1(x)"),
    ("(x - y).exp() - 1.0", Kind.EXPM1, "(x - y).expm1()"),
    ("1 - torch.exp(x)", Kind.COMPLEMENT_OF_EXP, "-torch.expm1(x)"),
    ("torch.sub(1, torch.exp(x))", Kind.COMPLEMENT_OF_EXP, "-torch.expm1(x)"),
    ("1 - torch.cos(x)", Kind.COMPLEMENT_OF_COS, "2 * torch.sin(x / 2) ** 2"),
    ("1 - (x + y).cos()", Kind.COMPLEMENT_OF_COS, "2 * torch.sin((x + y) / 2) ** 2"),
]

OTHERS = [
    "torch.log(2 + torch.exp(x))",
    "torch.log(1 - x)",
    "torch.log(torch.exp(x) - torch.exp(y))",
    "torch.log(torch.exp(x).max())",
    "torch.exp(x) / torch.exp(y).sum()",
    "torch.exp(x) / (2 + torch.exp(x))",
    "(1 + torch.exp(x)) ** -2",
    "(torch.exp(x) - torch.exp(-y)) / (torch.exp(x) + torch.exp(-y))",
    "torch.exp(x) + 1",
    "-1 - torch.exp(x)",
    "torch.exp(x) - 2",
    "torch.cos(x) - 1",
    "1 + torch.cos(x)",
    "torch.exp(model(x)) / torch.exp(model(x)).sum()",
    "math.log(1 + math.exp(x))",
]


def source_of(*lines: str) -> Source:
    code = HEAD + "".join(f"    {line}\n" for line in lines)
    return parse(open_document("example.py", code.encode()))


def identities_in(*lines: str) -> list[Identity]:
    return source_of(*lines).fact(Identities).all


def written(expression: str) -> str | None:
    """The expression with the function in place of the formula."""
    source = source_of(f"return {expression}")
    (identity,) = source.fact(Identities).all
    edits = identity_written(source, identity)
    if edits is None:
        return None
    (edit,) = edits
    return source.text[: edit.start] + edit.text + source.text[edit.end :]


@pytest.mark.parametrize(("expression", "kind", "result"), FORMULAS, ids=[formula for formula, _, _ in FORMULAS])
def test_a_formula_is_recognised_as_one_identity(expression: str, kind: Kind, result: str) -> None:
    (identity,) = identities_in(f"return {expression}")
    assert identity.kind is kind
    assert identity.definitions == ()


@pytest.mark.parametrize("expression", OTHERS)
def test_other_formulas_are_none(expression: str) -> None:
    assert identities_in(f"return {expression}") == []


@pytest.mark.parametrize(("expression", "kind", "result"), FORMULAS, ids=[formula for formula, _, _ in FORMULAS])
def test_the_function_is_written_in_its_place(expression: str, kind: Kind, result: str) -> None:
    assert written(expression) == f"{HEAD}    return {result}\n"


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="executes torch")
@pytest.mark.parametrize("expression", [formula for formula, _, _ in FORMULAS])
def test_the_function_gives_the_same_values_and_gradients(expression: str) -> None:
    import torch

    def outcome(code: str) -> list[Any]:
        namespace: dict[str, Any] = {}
        exec(code, namespace)
        x = torch.tensor([[-3.0, 0.5, 2.0], [1.0, 0.25, -4.0]], dtype=torch.float64, requires_grad=True)
        y = torch.tensor([[0.5, 1.5, 1.0], [2.0, 0.125, 0.75]], dtype=torch.float64, requires_grad=True)
        value = namespace["f"](x, y)
        (value * (1 + torch.arange(value.numel()).view_as(value))).sum().backward()
        return [value.detach(), x.grad, y.grad]

    code = written(expression)
    assert code is not None
    for expected, found in zip(outcome(f"{HEAD}    return {expression}\n"), outcome(code), strict=True):
        torch.testing.assert_close(found, expected)


def test_each_node_belongs_to_the_largest_identity() -> None:
    found = identities_in("e = torch.exp(x) - 1", "return torch.log(e), e")
    assert [identity.kind for identity in found] == [Kind.INVERSE_SOFTPLUS]


def test_names_on_the_way_are_noted() -> None:
    (identity,) = identities_in("e = torch.exp(x)", "total = e.sum(1, keepdim=True)", "return e / total")
    assert identity.kind is Kind.SOFTMAX
    assert {definition.name for definition in identity.definitions} == {"e", "total"}
    assert identity.reduction is not None


@pytest.mark.parametrize(
    ("expression", "has_epsilon", "is_weighted", "is_reshaped"),
    [
        ("torch.log(torch.exp(x).sum(1) + 1e-8)", True, False, False),
        ("torch.log(torch.exp(x).sum(1).clamp(min=1e-8))", True, False, False),
        ("torch.log((y * torch.exp(x)).sum(1))", False, True, False),
        ("torch.exp(x) / (torch.exp(x).sum(1, keepdim=True) + eps)", True, False, False),
        ("torch.exp(x) / torch.exp(x).sum(1)[:, None]", False, False, True),
        ("torch.exp(x) * y / (torch.exp(x) * y).sum(1, keepdim=True)", False, True, False),
    ],
)
def test_what_the_function_does_not_take(
    expression: str, has_epsilon: bool, is_weighted: bool, is_reshaped: bool
) -> None:
    (identity,) = identities_in(f"return {expression}")
    assert (identity.has_epsilon, identity.is_weighted, identity.is_reshaped) == (has_epsilon, is_weighted, is_reshaped)


@pytest.mark.parametrize(
    "lines",
    [
        ("return x.exp_().add(1).log()",),
        ("return torch.log(1 + torch.exp(x, out=y))",),
        ("return torch.exp(x) / torch.exp(x).sum((0, 1), keepdim=True)",),
        ("return torch.exp(x) / torch.exp(x).sum(1)",),
        ("return torch.log(torch.exp(x).sum(1, dtype=torch.float64))",),
        ("return torch.log(torch.exp(x).sum(1, keepdim=y))",),
        ("z = torch.log(1 + x)", "x.add_(1)", "return z"),
        ("z = torch.exp(x) - 1", "z.add_(1)", "return z"),
        ("e = torch.exp(x)", "x = x + 1", "return torch.log(1 + e)"),
        ("e = 1 + g(x)", "return torch.log(e)"),
    ],
)
def test_no_code_where_it_could_compute_something_else(lines: tuple[str, ...]) -> None:
    source = source_of(*lines)
    (identity,) = source.fact(Identities).all
    assert identity_written(source, identity) is None
