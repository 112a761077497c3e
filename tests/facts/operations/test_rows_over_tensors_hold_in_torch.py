"""Every row that works on whole tensors, held against torch: reductions, reshapes, products, losses, layers."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from pipeline_lint.facts.operations import OPERATIONS
from tests.facts.operations.proof import prove_in_all_dtypes
from tests.facts.operations.torch_calls import Line
from tests.facts.operations.worlds import all_lines

LINES = [line for line in all_lines(OPERATIONS) if line.arrangement not in ("elementwise", "constants")]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.code)
def test_the_row_says_what_torch_does(line: Line) -> None:
    prove_in_all_dtypes(line, OPERATIONS)
