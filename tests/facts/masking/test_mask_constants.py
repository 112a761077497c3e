"""Constants that are named for masking and mask nothing."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.masking.mask_constants import slipped_mask_constants
from pipeline_lint.parsing import parse


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("MASK_VALUE = -1e-7", ["MASK_VALUE"]),
        ("NEG_INF: float = -1e-9", ["NEG_INF"]),
        ("self.masked_score = -1e-4", ["masked_score"]),
        ("def f(x, mask_value=-1e-9): ...", ["mask_value"]),
        ("MASK_VALUE = -1e7", []),
        ("MASK_VALUE = 0.0", []),
        ("MASK_RATIO = -1e-7", []),
        ("EPSILON = -1e-7", []),
    ],
)
def test_small_negative_numbers_under_such_names(code: str, names: list[str]) -> None:
    assert list(slipped_mask_constants(parse(open_document("example.py", (code + "\n").encode())))) == names
