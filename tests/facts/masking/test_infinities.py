"""Values of which some elements are infinite for certain."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.masking.infinities import infinity_in
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse


def is_infinite(body: str) -> bool:
    code = "import torch\n\n\ndef f(x, mask):\n" + indent(dedent(body).strip("\n"), "    ") + "\n"
    (*_, site) = parse(open_document("example.py", code.encode())).fact(Ranges).sites("neg")
    return infinity_in(site.input) is not None


@pytest.mark.parametrize(
    "body",
    [
        "torch.neg(x.masked_fill(mask, float('-inf')))",
        "torch.neg(torch.where(mask, x, torch.inf))",
        "torch.neg(torch.full_like(x, float('inf')))",
        "torch.neg(torch.ones_like(x) * float('inf'))",
        "y = torch.ones_like(x) * float('inf')\ny[0] = 1\ntorch.neg(y)",
        "torch.neg(x.masked_fill(mask, -torch.inf).log_softmax(-1).view(-1) + 1)",
    ],
)
def test_infinities_that_are_written_are_found(body: str) -> None:
    assert is_infinite(body)


@pytest.mark.parametrize(
    "body",
    [
        "torch.neg(x)",
        "torch.neg(torch.log(x))",
        "torch.neg(x.masked_fill(mask, -1e9))",
        "torch.neg(x.masked_fill(mask, -torch.inf).softmax(-1))",
        "torch.neg(1 / x.masked_fill(mask, torch.inf))",
        "y = x.masked_fill(mask, torch.inf)\ntorch.neg(torch.where(torch.isfinite(y), y, x))",
        "torch.neg(torch.nan_to_num(x.masked_fill(mask, torch.inf)))",
    ],
)
def test_what_is_only_unbounded_or_was_cured_has_none(body: str) -> None:
    assert not is_infinite(body)
