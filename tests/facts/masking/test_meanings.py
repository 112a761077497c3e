"""What a mask tells apart."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.masking.meanings import CHANCE, NEVER_EMPTY, PADDING, TELLING, UNKNOWN, meaning_of
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def meaning(mask: str, before: str = "pass") -> str:
    code = f"import torch\n\n\ndef f(x, mask, labels, lengths, tokens, scores, other):\n    {before}\n"
    code += f"    return x.masked_fill({mask}, 0.5)\n"
    source: Source = parse(open_document("example.py", code.encode()))
    (site,) = source.fact(Ranges).sites("masked_fill")
    return meaning_of(site.values["mask"], site.operands["mask"])


@pytest.mark.parametrize(
    "mask",
    [
        "labels != -100",
        "labels.ne(-100)",
        "~torch.isnan(x)",
        "scores > 0.5",
        "scores == 1",
        "(labels > 0) & mask",
        "mask & (labels > 0)",
        "valid_mask.bool()",
        "self.fg_mask",
        'batch["label_mask"]',
        "(x[:, None] == x[None]).triu(1)",
        "x[:, None] != x[None]",
        "find_positives(x, pos_thresh) & mask",
    ],
)
def test_labels_and_values_are_missing_at_times(mask: str) -> None:
    assert meaning(mask) == TELLING


@pytest.mark.parametrize(
    "mask",
    [
        "attention_mask",
        'batch["attention_mask"]',
        "padding_mask == 0",
        "make_pad_mask(lengths)",
        "lengths_to_mask(other)",
        "torch.arange(10) < other[:, None]",
        "tokens != 0",
        "tokens.ne(self.pad)",
        "labels != self.pad_id",
        "x.abs().sum(-1).ne(0)",
        "(labels > 0) | (tokens != 0)",
    ],
)
def test_padding_leaves_something(mask: str) -> None:
    assert meaning(mask) == PADDING


@pytest.mark.parametrize("mask", ["torch.rand(5) < 0.15", "torch.bernoulli(x)", "bool_masked_pos", "x > x.median()"])
def test_chance_and_ranks_leave_something_almost_surely(mask: str) -> None:
    assert meaning(mask) == CHANCE


@pytest.mark.parametrize("mask", ["mask", "mask == 1", "make(other)", "x == other"])
def test_a_mask_without_a_telling_name_is_unknown(mask: str) -> None:
    assert meaning(mask) == UNKNOWN


@pytest.mark.parametrize(
    "mask",
    [
        "torch.nn.functional.one_hot(labels) > 0",
        "torch.zeros_like(x).scatter(1, labels, 1) == 1",
        "torch.zeros_like(x).scatter(1, labels, 1).bool()",
    ],
)
def test_one_of_each_row_is_never_missing(mask: str) -> None:
    assert meaning(mask) == NEVER_EMPTY


def test_a_value_that_occurs_is_never_missing() -> None:
    assert meaning("labels == label", "label = torch.unique(labels)[0]") == NEVER_EMPTY
