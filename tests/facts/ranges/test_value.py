"""Values: what is reached, joins, widening, narrowing and the promotion of dtypes."""

from __future__ import annotations

import itertools
import math

import libcst as cst
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.ranges import value as values
from pipeline_lint.facts.ranges.value import (
    NUMBER,
    SEQUENCE,
    TENSOR,
    UNKNOWN,
    Evidence,
    Operands,
    Value,
    both,
    constant,
    either,
    join,
    narrowed,
    promoted,
    rounded_ends,
    same,
    same_elements,
    weakened,
    widen,
)

CERTAIN, LIKELY, POSSIBLE = Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE
ZERO, ONE = Evidence(CERTAIN, "it is 0"), Evidence(CERTAIN, "it is 1")
PERHAPS = Evidence(LIKELY, "perhaps")
INFINITY = math.inf


def probability(**changes: object) -> Value:
    return Value(0.0, 1.0, ZERO, ONE, ZERO, kind=TENSOR).but(**changes)


class TestReaching:
    def test_an_end_is_reached_as_its_evidence_says(self) -> None:
        assert probability().reaches(0, 0) == ZERO
        assert probability().reaches(1, 1) == ONE

    def test_the_inside_is_possible(self) -> None:
        found = probability().reaches(0.5, 0.5)
        assert found is not None
        assert found.confidence is POSSIBLE

    def test_the_strongest_evidence_of_a_stretch_counts(self) -> None:
        value = Value(-1.0, 1.0, PERHAPS, ONE)
        assert value.reaches(-2, 2) == ONE
        assert value.reaches(-2, 0.5) == PERHAPS

    def test_nothing_beyond_the_ends_is_reached(self) -> None:
        assert probability().reaches(1.5, 2) is None
        assert probability().reaches(-INFINITY, -1e-45) is None

    def test_0_inside_is_reached_where_there_is_evidence(self) -> None:
        assert Value(-1.0, 1.0, zero=PERHAPS).reaches(0, 0) == PERHAPS

    def test_what_is_never_0_does_not_reach_it(self) -> None:
        value = Value(-1.0, 1.0, is_nonzero=True)
        assert value.reaches(0, 0) is None
        assert not value.may_be_zero
        assert value.reaches(-1, 1) is not None

    def test_a_constant_is_reached_for_certain(self) -> None:
        found = constant(0.5).reaches(0, 1)
        assert found is not None
        assert found.confidence is CERTAIN
        assert found.witness == "it is 0.5"

    def test_a_value_of_which_nothing_is_known_may_be_anything(self) -> None:
        found = Value().reaches(3, 3)
        assert found == Evidence(POSSIBLE, "nothing in the code rules it out")


class TestEvidence:
    def test_weakening_keeps_what_is_weak(self) -> None:
        assert weakened(ONE) == Evidence(LIKELY, "it is 1")
        assert weakened(PERHAPS) == PERHAPS
        assert weakened(None) is None

    def test_both_is_the_weaker(self) -> None:
        assert both(ONE, PERHAPS) == PERHAPS
        assert both(None, ONE) is None

    def test_either_is_the_stronger_and_of_equals_the_first(self) -> None:
        assert either(None, PERHAPS, ONE, ZERO) == ONE
        assert either() is None
        assert either(None) is None


class TestJoining:
    def test_the_range_is_the_hull(self) -> None:
        joined = join(Value(0.0, 1.0), Value(-2.0, 0.5))
        assert (joined.low, joined.high) == (-2.0, 1.0)

    def test_nothing_stays_certain(self) -> None:
        joined = join(probability(), Value(0.5, 2.0, at_high=ONE))
        assert joined.at_low == weakened(ZERO)
        assert joined.at_high == weakened(ONE)
        assert joined.zero == weakened(ZERO)

    def test_a_value_joined_with_itself_is_itself(self) -> None:
        value = probability()
        assert join(value, value) is value

    def test_0_is_excluded_where_both_exclude_it(self) -> None:
        assert join(Value(1.0, 2.0), Value(-2.0, -1.0)).is_nonzero
        assert not join(Value(1.0, 2.0), Value(-2.0, 0.0)).is_nonzero
        assert join(Value(is_nonzero=True), Value(1.0, 2.0)).is_nonzero

    def test_dtypes_and_kinds_that_differ_are_not_known(self) -> None:
        joined = join(Value(dtype="float16", kind=TENSOR), Value(dtype="float32", kind=NUMBER))
        assert joined.dtype is None
        assert joined.kind == "unknown"

    def test_items_are_joined_one_by_one(self) -> None:
        joined = join(
            Value(kind=SEQUENCE, items=(constant(1.0), constant(2.0))),
            Value(kind=SEQUENCE, items=(constant(3.0), constant(2.0))),
        )
        assert joined.items is not None
        assert [(item.low, item.high) for item in joined.items] == [(1.0, 3.0), (2.0, 2.0)]

    def test_tuples_of_different_lengths_have_no_items(self) -> None:
        assert join(Value(kind=SEQUENCE, items=(UNKNOWN,)), Value(kind=SEQUENCE, items=())).items is None

    def test_equal_values_keep_their_number(self) -> None:
        value = probability()
        joined = join(value, narrowed(value, 0.5, 1.0))
        assert same(joined, value)

    def test_gradients_flow_where_they_do_on_one_path(self) -> None:
        assert join(Value(has_gradient=False), Value()).has_gradient

    @given(st.lists(st.floats(-10, 10), min_size=4, max_size=4))
    def test_all_that_either_can_be_is_in_the_join(self, ends: list[float]) -> None:
        one, other = (Value(*sorted(pair)) for pair in (ends[:2], ends[2:]))
        joined = join(one, other)
        assert joined.low <= min(one.low, other.low)
        assert joined.high >= max(one.high, other.high)
        assert (joined.low, joined.high) == (join(other, one).low, join(other, one).high)


class TestWidening:
    def test_ends_that_moved_go_to_infinity(self) -> None:
        widened = widen(Value(0.0, 1.0), Value(0.0, 1.5))
        assert (widened.low, widened.high) == (0.0, INFINITY)
        assert widened.at_high is None

    def test_ends_that_stayed_stay(self) -> None:
        widened = widen(probability(), probability())
        assert (widened.low, widened.high) == (0.0, 1.0)

    def test_a_second_round_changes_nothing_more(self) -> None:
        once = widen(Value(0.0, 1.0), Value(-1.0, 2.0))
        twice = widen(once, Value(-5.0, 9.0))
        assert (twice.low, twice.high) == (once.low, once.high)


class TestNarrowing:
    def test_a_bound_takes_the_evidence_of_the_end_that_it_cuts_off(self) -> None:
        value = narrowed(probability(), 0.1, INFINITY)
        assert (value.low, value.high) == (0.1, 1.0)
        assert value.at_low is None
        assert value.at_high == ONE
        assert value.zero is None

    def test_0_is_taken_out(self) -> None:
        value = narrowed(probability(), -INFINITY, INFINITY, is_nonzero=True)
        assert value.reaches(0, 0) is None

    def test_it_is_the_same_value(self) -> None:
        value = probability()
        assert same(value, narrowed(value, 0.5, 1.0))

    def test_a_contradiction_leaves_the_condition(self) -> None:
        value = narrowed(constant(0.0), 1.0, INFINITY)
        assert (value.low, value.high) == (1.0, INFINITY)


class TestNumbers:
    def test_new_values_are_different(self) -> None:
        assert not same(Value(), Value())
        assert not same_elements(Value(), Value())

    def test_a_changed_copy_is_the_same_value_unless_it_is_told(self) -> None:
        value = Value()
        assert same(value, value.but(dtype="float16"))
        other = value.but(number=values.fresh_number())
        assert not same(value, other)
        assert same_elements(value, other)
        assert not same_elements(value, value.but(number=values.fresh_number(), root=0))

    def test_whole_numbers_are_told(self) -> None:
        assert Value(dtype="bool").is_integer
        assert Value(is_count=True).is_integer
        assert not Value(dtype="float32").is_integer


class TestDtypes:
    def test_they_are_promoted_as_torch_does(self) -> None:
        torch = pytest.importorskip("torch")
        names = ("float64", "float32", "bfloat16", "float16", "int64", "bool")
        for one, other in itertools.product(names, names):
            expected = str(torch.promote_types(getattr(torch, one), getattr(torch, other))).removeprefix("torch.")
            assert promoted(Value(dtype=one, kind=TENSOR), Value(dtype=other, kind=TENSOR)) == expected, (one, other)

    def test_a_number_of_python_takes_the_dtype_of_a_tensor(self) -> None:
        tensor = Value(dtype="float16", kind=TENSOR)
        assert promoted(tensor, constant(1.0)) == "float16"
        assert promoted(constant(1.0), tensor) == "float16"

    def test_a_dtype_that_is_not_known_stays_so(self) -> None:
        assert promoted(Value(dtype="float16", kind=TENSOR), Value(kind=TENSOR)) is None

    @pytest.mark.parametrize(
        ("ends", "dtype", "steps", "expected"),
        [
            ((1e-8, 1 - 1e-8), "float32", 0, (9.99999993922529e-09, 1.0)),
            ((1e-8, 1 - 1e-8), "float16", 0, (0.0, 1.0)),
            ((0.5, 1.0), "float16", 2, (0.5 - 2 * 2**-12, 1.0 + 2 * 2**-10)),
            ((-INFINITY, INFINITY), "float16", 2, (-INFINITY, INFINITY)),
        ],
    )
    def test_ends_are_rounded_outwards(
        self, ends: tuple[float, float], dtype: str, steps: int, expected: tuple[float, float]
    ) -> None:
        assert rounded_ends(*ends, dtype, steps=steps) == expected


class TestOperands:
    def test_an_argument_that_is_not_given_is_not_known(self) -> None:
        operands = Operands(cst.Name("x"), {"input": constant(2.0)})
        assert operands.input.low == 2.0
        assert operands["other"] is UNKNOWN
        assert "other" not in operands

    def test_the_number_of_an_argument(self) -> None:
        operands = Operands(cst.Name("x"), {"eps": constant(1e-6), "dim": Value(0.0, 1.0)})
        assert operands.number("eps") == 1e-6
        assert operands.number("dim", 3.0) is None
        assert operands.number("p", 2.0) == 2.0
