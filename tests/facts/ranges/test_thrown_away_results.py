"""Results that are thrown away after they were computed, and zeros that are filled before."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

HEAD = "import math\nimport torch\n\n\ndef f(x, y, mask):\n"


def only_site(body: str, name: str) -> Site:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    source: Source = parse(open_document("example.py", (HEAD + lines).encode()))
    (site,) = source.fact(Ranges).sites(name)
    return site


def statement_of(code: str) -> str:
    return code if " = " in code else f"return {code}"


@pytest.mark.parametrize(
    "throwing_away",
    [
        "torch.where(torch.isnan(y), torch.zeros_like(y), y)",
        "torch.where(torch.isfinite(y), y, 0)",
        "torch.where(~torch.isinf(y) & (x > 3), y, 0)",
        "y.masked_fill(torch.isinf(y), 0)",
        "y.masked_fill_(y == float('inf'), 0)",
        "y.masked_fill(y == math.inf, 0)",
        "y[torch.isfinite(y)]",
        "y.masked_select(torch.isfinite(y))",
        "y[y != y] = 0",
        "y[torch.isinf(y)] = 0",
        "y.nan_to_num()",
    ],
)
def test_a_mask_that_asks_whether_a_result_is_finite_hides_where_it_is_not(throwing_away: str) -> None:
    site = only_site(f"y = x.abs() ** -0.5\n{statement_of(throwing_away)}", "pow")
    assert site.is_masked(site.hazards[0])


@pytest.mark.parametrize(
    "keeping", ["y[mask]", "torch.where(torch.isnan(x), 0, y)", "y[torch.isnan(x)] = 0", "y[y > 2]"]
)
def test_other_masks_do_not(keeping: str) -> None:
    site = only_site(f"y = x.abs() ** -0.5\n{statement_of(keeping)}", "pow")
    assert not site.is_masked(site.hazards[0])


@pytest.mark.parametrize(
    "filled",
    [
        "d + (d == 0) * 1e-16",
        "d + d.eq(0).float() * 1e-16",
        "1e-16 * (d == 0.0).float() + d",
    ],
)
def test_what_is_added_to_zeros_alone_leaves_none(filled: str) -> None:
    site = only_site(f"d = (x - y).abs()\nd = {filled}\ntorch.sqrt(d)", "sqrt")
    assert site.reached(site.hazards[0]) is None


@pytest.mark.parametrize("filled", ["d + (x == 0) * 1e-16", "d + (d == 1) * 1e-16", "d + (d == 0) * y"])
def test_what_is_added_elsewhere_leaves_them(filled: str) -> None:
    site = only_site(f"d = (x - y).abs()\nd = {filled}\ntorch.sqrt(d)", "sqrt")
    assert site.reached(site.hazards[0]) is not None


@pytest.mark.parametrize("item", ["x[..., 0]", "x[:, None]", "x[..., 1:]", "x[0, :, 2]"])
def test_an_item_is_the_same_wherever_it_is_taken(item: str) -> None:
    site = only_site(f"return torch.where({item} > 0, {item}.log(), 0)", "log")
    assert site.reached(site.hazards[0]) is None
