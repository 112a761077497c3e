"""Elements that are computed where they go wrong, and thrown away afterwards."""

from __future__ import annotations

import pytest

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.documents import open_document
from pipeline_lint.facts.masking.exclusions import Exclusion, exclusion_of
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

HEAD = "import torch\n\n\ndef f(x, y, mask, eps):\n"
CERTAIN, LIKELY, POSSIBLE = Confidence.CERTAIN, Confidence.LIKELY, Confidence.POSSIBLE


def excluded(body: str, name: str) -> Exclusion | None:
    """What the only operation of this name meets in elements that are thrown away."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    source: Source = parse(open_document("example.py", (HEAD + lines).encode()))
    (site,) = source.fact(Ranges).sites(name)
    return exclusion_of(source, site)


@pytest.mark.parametrize(
    ("body", "name", "kind", "confidence"),
    [
        ("return torch.where(x > 0, x.log(), 0)", "log", "where", CERTAIN),
        ("return torch.where(y == 0, 0, x / y)", "div", "where", CERTAIN),
        ("return torch.where(x > 0.05, x.sqrt(), 0)", "sqrt", "where", LIKELY),
        ("return torch.where(x > 3, x.sqrt(), 0)", "sqrt", "where", POSSIBLE),
        ("return torch.where(x < 20, x.exp(), x)", "exp", "where", LIKELY),
        ("return torch.where(x > 0.05, (x + 1) ** 2.4, 0)", "pow", "where", POSSIBLE),
        ("z = x.log()\nreturn torch.where(x > 0, z, 0)", "log", "where", CERTAIN),
        ("return x.log()[x > 0]", "log", "index", CERTAIN),
        ("return x.log().masked_fill(x <= 0, 0)", "log", "masked_fill", CERTAIN),
        ("z = x.log()\nz[x <= 0] = 0", "log", "masked_fill", CERTAIN),
        ("return x.sqrt() * (x > 0)", "sqrt", "multiply", CERTAIN),
        ("return x.log() * (x > 0)", "log", None, None),
        ("return torch.nan_to_num(x / y)", "div", "nan_to_num", POSSIBLE),
        ("return torch.nan_to_num(x / y + x.log())", "div", "nan_to_num", POSSIBLE),
        ("return torch.where(mask, x.log(), 0)", "log", None, None),
        ("return torch.where(y > 0, x.log(), 0)", "log", None, None),
        ("return torch.where(x > 0, (x + eps).log(), 0)", "log", None, None),
        ("return torch.where(x > 0, y / (x + 1e-10), 0)", "div", "where", POSSIBLE),
        ("return torch.where(x < 0, torch.expm1(torch.min(x, eps)), x)", "expm1", "where", POSSIBLE),
    ],
)
def test_an_exclusion_is_as_sure_as_the_condition_makes_it(
    body: str, name: str, kind: str | None, confidence: Confidence | None
) -> None:
    found = excluded(body, name)
    assert (found.kind if found is not None else None) == kind
    assert (found.evidence.confidence if found is not None else None) == confidence
