"""Which masks may cover a whole row."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.documents import open_document
from pipeline_lint.facts.masking.covering import is_part_of_the_model, may_cover_a_row
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

LIKELY, POSSIBLE = Confidence.LIKELY, Confidence.POSSIBLE


def source_of(mask: str, before: str = "") -> Source:
    code = f"import torch\n\n\ndef f(x, mask, padding_mask, lengths, other, n):\n    {before}\n"
    code += f"    return x.masked_fill({mask}, 0.5)\n"
    return parse(open_document("example.py", code.encode()))


def covers(mask: str, before: str = "pass") -> Confidence | None:
    (site,) = source_of(mask, before).fact(Ranges).sites("masked_fill")
    return may_cover_a_row(site.values["mask"], mask)


@pytest.mark.parametrize(
    "mask",
    [
        "mask[:, None] * mask[:, :, None]",
        "~(mask[:, None, :] & padding_mask[:, :, None])",
        "mask.unsqueeze(1) & mask.unsqueeze(2)",
        "torch.logical_and(mask[:, None], mask[:, :, None])",
        "mask[..., None].bool() * mask[:, None]",
        "valid_mask",
        "adj == 0",
        "~is_visible",
    ],
)
def test_padded_queries_and_what_may_be_missing_cover_a_row(mask: str) -> None:
    assert covers(mask) is LIKELY


@pytest.mark.parametrize(
    "mask",
    [
        "mask",
        "~mask",
        "mask == 0",
        "mask[:, None].bool()",
        "padding_mask | mask",
        "mask[:, None] & padding_mask[:, None]",
        "torch.arange(n)[None] >= lengths[:, None]",
        "torch.triu(torch.ones(n, n), 1).bool() | padding_mask",
    ],
)
def test_padding_leaves_something_of_each_row_as_a_rule(mask: str) -> None:
    assert covers(mask) is POSSIBLE


@pytest.mark.parametrize(
    "mask",
    [
        "torch.triu(torch.ones(n, n), 1).bool()",
        "torch.ones(n, n).tril() == 0",
        "~torch.tril(torch.ones(n, n)).bool()",
        "torch.eye(n).bool()",
        "torch.arange(n)[None] > torch.arange(n)[:, None]",
        "torch.isnan(x)",
        "x != x",
        "mask & ~mask.all(-1, keepdim=True)",
        "causal_mask",
        "self.future_mask",
        "x < x.topk(3).values[..., -1:]",
        "x < x.amax(-1, keepdim=True)",
    ],
)
def test_triangles_and_choices_leave_something_in_each_row(mask: str) -> None:
    assert covers(mask) is None


@pytest.mark.parametrize("mask", ["other", "x > other", "indices_to_remove", "~action_mask"])
def test_what_is_not_known_or_chosen_is_only_possible(mask: str) -> None:
    assert covers(mask) is POSSIBLE


def test_a_mask_of_which_something_was_taken_away_is_only_possible() -> None:
    assert covers("mask", "mask[:, 0] = False") is POSSIBLE


def test_an_attribute_that_only_init_makes_is_a_part_of_the_model() -> None:
    code = """
class Model:
    def __init__(self, size):
        self.kernel = make(size)
        self.lengths = None

    def forward(self, x, lengths):
        self.kernel = self.kernel.to(x.device)
        self.lengths = make(lengths)
        return x[self.kernel == 0], x[self.lengths == 0]
"""
    source = parse(open_document("example.py", code.encode()))
    found = [is_part_of_the_model(source, each) for each in source.nodes(cst.Comparison)]
    assert found == [True, False]
