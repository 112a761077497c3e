"""Which values are masks."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.masking.masks import is_mask_like
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def source_of(mask: str) -> Source:
    code = f"import torch\n\n\ndef f(x, mask, padding_mask):\n    return x.masked_fill({mask}, 0.5)\n"
    return parse(open_document("example.py", code.encode()))


@pytest.mark.parametrize(
    ("value", "is_mask"),
    [
        ("mask", True),
        ("1 - mask", True),
        ("(x > 0).float()", True),
        ("mask.unsqueeze(1) * padding_mask", True),
        ("torch.sigmoid(x)", False),
        ("x", False),
        ("0.5", False),
    ],
)
def test_masks_are_0_and_1_without_a_gradient(value: str, is_mask: bool) -> None:
    (site,) = source_of(value).fact(Ranges).sites("masked_fill")
    assert is_mask_like(site.values["mask"]) is is_mask
