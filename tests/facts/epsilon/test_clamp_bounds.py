"""Bounds of clamps that are crossed, misprinted, or beyond the domain of what follows."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.epsilon.clamp_bounds import bounds_past_domain, crossed_bounds
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def read(expression: str) -> Source:
    code = f"import torch\n\n\ndef f(x, low, high, eps=1e-5):\n    return {expression}\n"
    source: Source = parse(open_document("example.py", code.encode()))
    return source


@pytest.mark.parametrize(
    ("clamp", "meant"),
    [
        ("x.clamp(1, 0)", None),
        ("torch.clamp(x, max=-1.0, min=0.5)", None),
        ("x.clamp(1e9, 1)", "1e-9"),
        ("x.clamp(min=1e8)", "1e-8"),
        ("x.clamp_min(1.5e+06)", "1.5e-6"),
    ],
)
def test_crossed_and_misprinted_bounds_are_seen(clamp: str, meant: str | None) -> None:
    (site,) = read(clamp).fact(Ranges).sites("clamp", "clamp_min")
    crossed = crossed_bounds(site)
    assert crossed is not None
    assert crossed.meant == meant


@pytest.mark.parametrize(
    "clamp", ["x.clamp(0, 1)", "x.clamp(1, 1)", "x.clamp(low, high)", "x.clamp(max=1e9)", "x.clamp(-1e9, 1e9)"]
)
def test_other_bounds_may_be_meant(clamp: str) -> None:
    (site,) = read(clamp).fact(Ranges).sites("clamp", "clamp_min")
    assert crossed_bounds(site) is None


@pytest.mark.parametrize(
    ("expression", "num_bounds"),
    [
        ("torch.atanh(x.clamp(max=1 + eps))", 1),
        ("torch.acos(x.clamp(-1 - eps, 1 + eps))", 2),
        ("torch.asin(x.clamp(-(1 + 1e-6), 1.000001))", 2),
        ("torch.acos(x.clamp(-1.0 - low_eps, 1.0 + low_eps))", 2),
        ("torch.log(1 - x.clamp(max=1 + eps))", 1),
        ("torch.log1p(-x.clamp(max=1 + eps))", 1),
        ("torch.acos(x.clamp(-1 + eps, 1 - eps))", 0),
        ("torch.acos(x.clamp(-1, 1))", 0),
        ("torch.acos(x.clamp(-2, 2))", 0),
        ("torch.log(x.clamp(max=1 + eps))", 0),
    ],
)
def test_bounds_just_beyond_a_domain_are_seen(expression: str, num_bounds: int) -> None:
    source = read(expression)
    (site,) = source.fact(Ranges).sites("atanh", "acos", "asin", "log", "log1p")
    past = bounds_past_domain(source, site)
    assert (len(past.bounds) if past is not None else 0) == num_bounds
