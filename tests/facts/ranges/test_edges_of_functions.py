"""What conditions and names tell of values that come near the edge of a logarithm or an inverse function."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.documents import open_document
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.parsing import parse


def sites(body: str, *names: str) -> list[Site]:
    """The operations of these names in a function's body."""
    code = "import torch\n\n\ndef f(x, y, c, p, n):\n" + indent(dedent(body).strip("\n"), "    ") + "\n"
    return parse(open_document("example.py", code.encode())).fact(Ranges).sites(*names)


@pytest.mark.parametrize("condition", ["x.abs() < 1", "torch.abs(x) <= 0.999", "abs(x) < 1", "1 > x.abs()"])
def test_an_absolute_value_below_a_limit_bounds_the_value_on_both_sides(condition: str) -> None:
    (site,) = sites(f"return torch.acos(torch.where({condition}, x, torch.zeros_like(x)))", "acos")
    assert -1 < site.input.low < 0 < site.input.high < 1


def test_what_an_absolute_value_reaches_is_replaced_on_the_other_branch() -> None:
    (site,) = sites("edge = x.abs() >= 1\nreturn torch.where(edge, torch.zeros_like(x), x).acos()", "acos")
    assert -1 < site.input.low < 0 < site.input.high < 1


def test_a_finite_logarithm_is_of_something_positive() -> None:
    body = "log_p = torch.log(p)\nreturn torch.where(torch.isfinite(log_p), log_p, torch.zeros_like(p))"
    (site,) = sites(body, "log")
    assert all(site.is_masked(hazard) for hazard in site.hazards)


@pytest.mark.parametrize(
    ("selection", "selects"),
    [
        ("torch.where(n < 16, y, large)", True),
        ("torch.where(n.float() / 16 > 1, large, y)", True),
        ("torch.where(x < 16, y, large)", False),
    ],
)
def test_a_mask_selects_by_what_a_value_was_computed_from(selection: str, selects: bool) -> None:
    (site,) = sites(f"large = torch.log(n.float() / 16)\nreturn {selection}", "log")
    assert [mask.selects_by(site.input) for mask in site.masks] == [selects]


def confidence_of_zero(name: str) -> Confidence | None:
    code = f"import torch\n\n\ndef f({name}):\n    return torch.log({name})\n"
    (site,) = parse(open_document("example.py", code.encode())).fact(Ranges).sites("log")
    evidence = site.input.reaches(0.0, 0.0)
    return evidence.confidence if evidence is not None else None


@pytest.mark.parametrize("name", ["p", "probs", "prob", "posterior", "class_probabilities", "pt"])
def test_a_probability_reaches_0(name: str) -> None:
    assert confidence_of_zero(name) is Confidence.LIKELY


@pytest.mark.parametrize("name", ["posterior_variance", "posterior_mean", "prob_std", "alphas_cumprod", "alpha_prod_t"])
def test_moments_and_noise_schedules_are_no_probabilities(name: str) -> None:
    assert confidence_of_zero(name) is not Confidence.LIKELY
