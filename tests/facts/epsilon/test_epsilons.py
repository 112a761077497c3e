"""Epsilons, and whether they stand outside the operation that they are to protect."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.epsilon.epsilons import epsilon_outside, is_epsilon, outside_of_quotient
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


@pytest.mark.parametrize(
    "code", ["1e-8", "0.001", "eps", "self.eps", "EPSILON", "cfg.norm_eps", "10**-6", "float(eps)"]
)
def test_small_numbers_and_names_are_epsilons(code: str) -> None:
    assert is_epsilon(cst.parse_expression(code))


@pytest.mark.parametrize("code", ["1", "0.1", "0.0", "x", "steps", "epsilon_greedy(x)", "-1e-8"])
def test_other_numbers_and_names_are_not(code: str) -> None:
    assert not is_epsilon(cst.parse_expression(code))


def root_in(code: str) -> tuple[Source, cst.Call]:
    """The call of `root` in an expression."""
    source: Source = parse(open_document("example.py", f"import torch\n\ny = {code}\n".encode()))
    (call,) = (node for node in source.nodes(cst.Call) if source.code(node.func) == "root")
    return source, call


@pytest.mark.parametrize(
    ("code", "is_bound"),
    [
        ("root(x) + 1e-8", False),
        ("eps + root(x)", False),
        ("z / (root(x) + eps)", False),
        ("root(x).add(eps)", False),
        ("torch.add(root(x), 1e-6)", False),
        ("root(x).clamp(min=1e-6)", True),
        ("root(x).clamp_min(eps)", True),
        ("torch.clamp(root(x), 1e-6)", True),
    ],
)
def test_an_epsilon_is_outside_where_it_meets_the_result(code: str, is_bound: bool) -> None:
    outside = epsilon_outside(*root_in(code))
    assert outside is not None
    assert outside.is_bound == is_bound


@pytest.mark.parametrize(
    "code",
    [
        "root(x)",
        "root(x + eps)",
        "root(x) + 1",
        "root(x) - eps",
        "root(x) * eps",
        "root(x).clamp(1e-6, 1)",
        "y + root(x)",
    ],
)
def test_elsewhere_it_is_not(code: str) -> None:
    assert epsilon_outside(*root_in(code)) is None


def quotient_in(body: str) -> tuple[Source, cst.BinaryOperation]:
    """The division of `a` in a function's body."""
    code = (
        "import torch\n\nEPS = 1e-6\n\n\ndef f(a, b, noise_eps, eps=1e-8):\n    " + body.replace("\n", "\n    ") + "\n"
    )
    source: Source = parse(open_document("example.py", code.encode()))
    (node,) = (each for each in source.nodes(cst.BinaryOperation) if source.code(each).strip("()") == "a / b")
    return source, node


@pytest.mark.parametrize(
    "body",
    [
        "return a / b + eps",
        "return EPS + a / b",
        "return 2 * (a / b + 1e-6)",
        "q = a / b + eps\nreturn q.sum()",
        "q = a / b + eps\nreturn q / 2",
        "tiny = torch.finfo(a.dtype).eps\nreturn a / b + tiny",
    ],
)
def test_an_epsilon_behind_a_quotient_does_nothing(body: str) -> None:
    assert outside_of_quotient(*quotient_in(body)) is not None


@pytest.mark.parametrize(
    "body",
    [
        "return a / b",
        "return torch.log(a / b + eps)",
        "return (a / b + eps).sqrt()",
        "return 1 / (a / b + eps)",
        "q = a / b + eps\nreturn q * q.log()",
        "q = a / b + eps\nreturn b / q",
        "return a / b + noise_eps",
        "eps = torch.randn_like(a)\nreturn a / b + eps",
        "return (a / b).clamp(min=eps)",
    ],
)
def test_an_epsilon_may_be_for_what_follows_or_be_noise(body: str) -> None:
    assert outside_of_quotient(*quotient_in(body)) is None
