"""When a selection is taken to be empty at times, and what proves that it is not."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def means(body: str) -> list[bool]:
    """For each `.mean()` of a function's body whether what it is of may be empty."""
    code = "import torch\n\n\ndef f(x, y, mask, pairs):\n" + indent(dedent(body).strip("\n"), "    ") + "\n"
    source: Source = parse(open_document("example.py", code.encode()))
    return [site.input.empty is not None for site in source.fact(Ranges).sites("mean")]


@pytest.mark.parametrize(
    "selection",
    [
        "x[x > 0]",
        "x[mask]",
        "torch.masked_select(x, mask)",
        "x[(x > 0).nonzero()]",
        "x[(x > 0).nonzero().squeeze(1)]",
        "x[torch.where(x > 0)[0]]",
        "x[torch.argwhere(x > 0)]",
        "x[get_all_pairs(y)]",
        "x[x > 0] - y[x > 0]",
        "x[x > 0].exp().view(-1)",
    ],
)
def test_what_a_condition_or_search_selects_may_be_empty(selection: str) -> None:
    assert means(f"return ({selection}).mean()") == [True]


@pytest.mark.parametrize(
    "selection",
    ["x", "x[0]", "x[1:]", "x[y]", "x[0, 1]", "torch.where(x > 0, x, y)", "x * mask", "x.masked_fill(mask, 0)"],
)
def test_other_values_are_not_taken_to_be_empty(selection: str) -> None:
    assert means(f"return ({selection}).mean()") == [False]


def test_positions_that_are_unpacked_select_nothing_at_times() -> None:
    assert means("i, j = torch.where(x > 0)\nreturn x[i, j].mean()") == [True]


@pytest.mark.parametrize(
    "test",
    [
        "selected.numel() > 0",
        "selected.numel()",
        "len(selected)",
        "len(selected) > 0",
        "len(selected) >= 1",
        "selected.shape[0] > 0",
        "selected.size(0) != 0",
        "chosen.any()",
        "chosen.sum() > 0",
        "chosen.sum()",
        "torch.any(chosen)",
        "chosen.any() and y is not None",
    ],
)
def test_a_test_of_the_selection_or_of_its_mask_proves_that_there_is_something(test: str) -> None:
    body = f"""
    chosen = x > 0
    selected = x[chosen]
    if {test}:
        return (selected - 1).abs().mean()
    """
    assert means(body) == [False]


@pytest.mark.parametrize(
    "test", ["not chosen.any()", "len(selected) == 0", "selected.numel() == 0", "chosen.sum() == 0"]
)
def test_leaving_where_there_is_nothing_proves_it_for_the_rest(test: str) -> None:
    body = f"""
    chosen = x > 0
    selected = x[chosen]
    if {test}:
        return x.sum() * 0
    return selected.mean()
    """
    assert means(body) == [False]


def test_a_test_of_another_mask_proves_nothing() -> None:
    body = """
    if (y > 0).any():
        return x[x > 0].mean()
    """
    assert means(body) == [True]


def test_a_tensor_does_not_become_empty_by_what_is_assigned_to_some_of_its_elements() -> None:
    assert means("x = x.clone()\nx[mask] = y[mask]\nreturn x.mean()") == [False]
