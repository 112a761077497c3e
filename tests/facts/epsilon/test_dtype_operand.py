"""The operand that has the dtype of an expression, for limits such as `torch.finfo(x.dtype).tiny`."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.epsilon.dtype_operand import limit
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse


def code_of_limit(argument: str) -> str | None:
    """How the smallest number of the dtype of a logarithm's argument is written."""
    imports = "import torch\nimport torch.nn.functional as F\n"
    code = f"{imports}\n\ndef f(self, p, q, n, mask, R):\n    return torch.log({argument})\n"
    source = parse(open_document("example.py", code.encode()))
    sites = source.fact(Ranges).sites("log")
    site = next(site for site in sites if source.code(site.node) == f"torch.log({argument})")
    found = limit(source, site.operands["input"], site.input, "tiny", at=site.node)
    return found.code if found is not None else None


@pytest.mark.parametrize(
    ("argument", "operand"),
    [
        ("p", "p"),
        ("self.p", "self.p"),
        ("-p", "p"),
        ("1 - p", "p"),
        ("p * 2 + 1e-8", "p"),
        ("2 * (1 - p)", "p"),
        ("p[0]", "p[0]"),
        ("p[:, 0]", "p"),
        ("p[..., 0] - 1", "p"),
        ("R[0, 0] + R[1, 1]", "R"),
        ("p.sum(dim=-1, keepdim=True)", "p"),
        ("torch.sum(p ** 2)", "p"),
        ("F.softmax(q, dim=1) * p", "q"),
        ("F.cosine_similarity(p, q)", "p"),
        ("(p.exp() + 1).mean()", "p"),
    ],
)
def test_the_operand_with_the_dtype_is_found(argument: str, operand: str) -> None:
    assert code_of_limit(argument) == f"torch.finfo({operand}.dtype).tiny"


@pytest.mark.parametrize(
    "argument",
    ["p / n", "g(p)", "p @ q", "(p > 0).sum()", "mask", "p.argmax(1)", "torch.rand(3)"],
)
def test_what_may_be_a_number_a_mask_or_of_another_dtype_is_not_taken(argument: str) -> None:
    assert code_of_limit(argument) is None


@pytest.mark.parametrize(
    ("argument", "dtype"),
    [("g(p).half()", "float16"), ("p.sum(dtype=torch.float64)", "float64"), ("g(p).float()", "float32")],
)
def test_a_dtype_that_is_known_needs_no_operand(argument: str, dtype: str) -> None:
    assert code_of_limit(argument) == f"torch.finfo(torch.{dtype}).tiny"
