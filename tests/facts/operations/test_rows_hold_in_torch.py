"""Every row that works element by element, held against torch at the numbers where floating point breaks."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import OPERATIONS
from tests.facts.operations.proof import prove, prove_in_all_dtypes, variables_of
from tests.facts.operations.samples import Interval
from tests.facts.operations.torch_calls import UNCHECKED, Line
from tests.facts.operations.worlds import all_lines

LINES = [line for line in all_lines(OPERATIONS) if line.arrangement in ("elementwise", "constants")]


def test_every_row_is_checked_or_has_a_reason_not_to_be() -> None:
    checked = {line.name for line in all_lines(OPERATIONS)}
    assert checked.isdisjoint(UNCHECKED)
    assert checked | set(UNCHECKED) == set(OPERATIONS)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.code)
def test_the_row_says_what_torch_does(line: Line) -> None:
    prove_in_all_dtypes(line, OPERATIONS)


_DRAWN = [line for line in LINES if len(variables_of(line)) in (1, 2)]


@st.composite
def intervals(draw: st.DrawFn, dtype: str) -> Interval:
    """An interval between two numbers of a dtype, perhaps without an end."""
    numbers = st.floats(-200, 200, width=16).map(lambda number: floats.rounded(number, dtype))
    ends = st.lists(numbers | st.just(-math.inf) | st.just(math.inf), min_size=2, max_size=2, unique=True)
    low, high = sorted(draw(ends))
    return low, high


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(_DRAWN), st.sampled_from(["float32", "bfloat16", "float16"]))
def test_the_row_holds_in_any_interval(data: st.DataObject, line: Line, dtype: str) -> None:
    drawn = [data.draw(intervals(dtype)) for _ in variables_of(line)]
    try:
        prove(line, dtype, OPERATIONS, [drawn])
    except NotImplementedError:
        assert dtype != "float32"
