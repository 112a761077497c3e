"""Numbers as dtypes hold them: what torch does, without torch."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

import torch

from pipeline_lint.facts import floats
from pipeline_lint.facts.floats import LIMITS

DTYPES = sorted(LIMITS)
NUMBERS = st.floats(allow_nan=False)


def held(number: float, dtype: str) -> float:
    """The number as torch holds it."""
    return torch.tensor(number, dtype=torch.float64).to(getattr(torch, dtype)).item()


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits_are_those_of_torch(dtype: str) -> None:
    limits, info = LIMITS[dtype], torch.finfo(getattr(torch, dtype))
    assert (limits.eps, limits.tiny, limits.max) == (info.eps, info.tiny, info.max)
    assert held(limits.smallest, dtype) == limits.smallest
    assert held(limits.smallest / 2, dtype) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_exponent_has_a_finite_exponential_and_the_next_has_none(dtype: str) -> None:
    limit = torch.tensor(floats.rounded(LIMITS[dtype].max_exp, dtype), dtype=getattr(torch, dtype))
    assert limit.exp().isfinite()
    above = torch.tensor(floats.rounded(LIMITS[dtype].max_exp + 0.5, dtype), dtype=getattr(torch, dtype))
    assert above.exp().isinf()


@pytest.mark.parametrize("dtype", DTYPES)
@given(number=NUMBERS)
def test_numbers_are_rounded_as_torch_does(dtype: str, number: float) -> None:
    ours, real = floats.rounded(number, dtype), held(number, dtype)
    assert ours == real or ours == held(held(number, "float32"), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@given(number=st.floats(-1e4, 1e4))
def test_a_rounded_number_stays_as_it_is(dtype: str, number: float) -> None:
    once = floats.rounded(number, dtype)
    assert floats.rounded(once, dtype) == once


@pytest.mark.parametrize(
    ("number", "dtype", "expected"),
    [
        (1e-8, "float16", 0.0),
        (1e-8, "float32", 9.99999993922529e-09),
        (1 - 1e-8, "float32", 1.0),
        (1 - 1e-8, None, 1.0),
        (1 - 1e-7, "bfloat16", 1.0),
        (1 - 1e-8, "float64", 1 - 1e-8),
        (1e9, "float16", math.inf),
        (-1e9, "float16", -math.inf),
        (1e39, "float32", math.inf),
        (1e39, "bfloat16", math.inf),
        (-1e39, "bfloat16", -math.inf),
        (3.4e38, "bfloat16", math.inf),
        (math.inf, "float16", math.inf),
        (0.3, "int64", 0.3),
    ],
)
def test_what_a_dtype_cannot_hold_is_rounded(number: float, dtype: str | None, expected: float) -> None:
    assert floats.rounded(number, dtype) == expected


def test_nan_stays_nan() -> None:
    assert math.isnan(floats.rounded(math.nan, "float16"))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@given(number=NUMBERS)
def test_the_neighbours_are_those_of_torch(dtype: str, number: float) -> None:
    number = floats.rounded(number, dtype)
    tensor = torch.tensor(number, dtype=getattr(torch, dtype))
    for neighbour, direction in ((floats.next_above, math.inf), (floats.next_below, -math.inf)):
        if math.isinf(number):
            assert neighbour(number, dtype) == number
        else:
            expected = torch.nextafter(tensor, torch.tensor(direction, dtype=tensor.dtype)).item()
            assert neighbour(number, dtype) == expected


@given(number=st.floats(-3e38, 3e38))
def test_no_number_of_bfloat16_lies_between_neighbours(number: float) -> None:
    number = floats.rounded(number, "bfloat16")
    above = floats.next_above(number, "bfloat16")
    assert number < above
    between = floats.rounded((number + above) / 2, "bfloat16")
    assert between in (number, above)
    assert floats.next_below(above, "bfloat16") == number


def test_steps_are_taken_one_after_the_other() -> None:
    assert floats.next_above(1.0, "float16", 3) == 1 + 3 * 2**-10
    assert floats.next_below(1.0, "float16", 2) == 1 - 2 * 2**-11


def test_whole_numbers_have_no_neighbours() -> None:
    assert floats.next_above(3.0, "int64") == 3.0
