"""What keeps a divisor from 0 in the interpreter: tests of counts, defaults by `or`, changes in place."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.documents import open_document
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def confidences(body: str) -> list[Confidence | None]:
    """For each division of a function's body how sure it is that its divisor reaches 0."""
    code = "import torch\n\n\ndef f(x, mask, count=0):\n" + indent(dedent(body).strip("\n"), "    ") + "\n"
    source: Source = parse(open_document("example.py", code.encode()))
    found = []
    for site in source.fact(Ranges).sites("div"):
        evidence = site.values["other"].reaches(0.0, 0.0)
        found.append(evidence.confidence if evidence is not None else None)
    return found


def test_a_count_of_what_a_mask_selects_is_not_zero_once_the_mask_is_known_to_select_something() -> None:
    body = """
    positive = x > 0
    count = positive.sum()
    if not positive.any():
        return x
    return x / count
    """
    assert confidences(body) == [None]


def test_a_count_of_each_row_may_be_zero_although_the_mask_selects_something() -> None:
    body = """
    positive = x > 0
    count = positive.sum(1)
    if not positive.any():
        return x
    return x / count
    """
    assert confidences(body) == [Confidence.LIKELY]


@pytest.mark.parametrize("test", ["count == 0", "count.item() == 0", "int(count) == 0", "not count"])
def test_leaving_for_a_count_of_zero_proves_that_it_is_more(test: str) -> None:
    body = f"""
    count = (x > 0).sum()
    if {test}:
        return x
    return x / count
    """
    assert confidences(body) == [None]


def test_a_number_is_not_zero_behind_or() -> None:
    assert confidences("return x / (count or 1)") == [None]
    assert confidences("count = count or len(x)\nreturn x / (count or 2.0)") == [None]


def test_functions_that_change_their_argument_change_the_variable() -> None:
    assert confidences("torch.clamp_(x, min=1.0)\nreturn 1 / x") == [None]
    assert confidences("x.clamp_(min=1.0)\nreturn 1 / x") == [None]
    assert confidences("torch.relu_(x)\nreturn 1 / x") == [Confidence.CERTAIN]


def test_two_totals_that_start_at_zero_are_not_one() -> None:
    body = """
    signed, total = 0, 0
    for part in x:
        signed += part.sum()
        total += part.abs().sum() + 1
    return signed / (total + 1)
    """
    assert confidences(body) == [None]
