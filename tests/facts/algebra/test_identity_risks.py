"""How surely identities go wrong."""

from __future__ import annotations

import pytest

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.documents import open_document
from pipeline_lint.facts.algebra.identities import Identities
from pipeline_lint.facts.algebra.identity_risks import Cause, Risk, risk_of
from pipeline_lint.parsing import parse

HEAD = "import torch\nimport torch.nn.functional as F\n\n\ndef f(x, y, w, deg, log_p, tau, self):\n"

OVERFLOW_CERTAIN = Risk(Confidence.CERTAIN, Cause.OVERFLOW)
OVERFLOW_LIKELY = Risk(Confidence.LIKELY, Cause.OVERFLOW)
OVERFLOW_POSSIBLE = Risk(Confidence.POSSIBLE, Cause.OVERFLOW)
UNDERFLOW_LIKELY = Risk(Confidence.LIKELY, Cause.UNDERFLOW)
UNDERFLOW_POSSIBLE = Risk(Confidence.POSSIBLE, Cause.UNDERFLOW)
ROUNDING_CERTAIN = Risk(Confidence.CERTAIN, Cause.ROUNDING)
ROUNDING_LIKELY = Risk(Confidence.LIKELY, Cause.ROUNDING)
ROUNDING_POSSIBLE = Risk(Confidence.POSSIBLE, Cause.ROUNDING)


@pytest.mark.parametrize(
    ("expression", "risk"),
    [
        ("torch.log(1 + torch.exp(x))", OVERFLOW_CERTAIN),
        ("torch.log(1 + torch.exp(F.cosine_similarity(x, y) / tau))", OVERFLOW_POSSIBLE),
        ("torch.log(1 + torch.exp(-x.abs()))", ROUNDING_POSSIBLE),
        ("torch.log1p(torch.exp(-x.abs()))", None),
        ("torch.log(1 + torch.exp(torch.linspace(0, 9, 4)))", None),
        ("1 / (1 + torch.exp(-x))", OVERFLOW_CERTAIN),
        ("2 / (1 + torch.exp(-x))", OVERFLOW_CERTAIN),
        ("y / (1 + torch.exp(-x))", OVERFLOW_LIKELY),
        ("1 / (1 + torch.exp(-x.abs()))", None),
        ("torch.log(torch.exp(x).sum(1))", OVERFLOW_CERTAIN),
        ("torch.log((w * torch.exp(x)).sum(1))", OVERFLOW_LIKELY),
        ("torch.log(torch.exp(log_p).sum(1))", UNDERFLOW_LIKELY),
        ("torch.log(torch.exp(log_p).sum(1) + 1e-6)", None),
        ("torch.log(torch.exp(-((x - y) ** 2) / tau).sum(1))", UNDERFLOW_POSSIBLE),
        ("torch.log(torch.exp(x - x.max()).sum(1))", None),
        ("torch.log(torch.exp(torch.tanh(x)).sum(1))", None),
        ("torch.log(1 - torch.exp(log_p))", ROUNDING_CERTAIN),
        ("torch.log(1 - torch.exp(x.clamp(max=-1e-6)))", None),
        ("torch.log(torch.exp(x) - 1)", OVERFLOW_LIKELY),
        ("torch.log(torch.exp(torch.sigmoid(x)) - 1)", None),
        ("torch.log(1 + x)", ROUNDING_LIKELY),
        ("y + torch.log(1 + x)", ROUNDING_POSSIBLE),
        ("torch.log(1 + deg)", ROUNDING_POSSIBLE),
        ("torch.log(1 + x.floor())", None),
        ("torch.exp(x) - 1", ROUNDING_LIKELY),
        ("torch.exp(x) - 1 + y", ROUNDING_POSSIBLE),
        ("torch.exp(x) - 1 - x", ROUNDING_LIKELY),
        ("(torch.exp(x) - 1) > y", None),
        ("1 - torch.exp(x)", ROUNDING_POSSIBLE),
        ("torch.sqrt(1 - torch.exp(x))", ROUNDING_LIKELY),
        ("(1 - torch.cos(x)) / x ** 2", ROUNDING_LIKELY),
        ("torch.where(y, x, (1 - torch.cos(x)) / x)", ROUNDING_POSSIBLE),
        ("(lambda z: z.exp().log1p())(x)", None),
    ],
)
def test_the_risk_of_an_identity(expression: str, risk: Risk | None) -> None:
    source = parse(open_document("example.py", f"{HEAD}    return {expression}\n".encode()))
    (identity,) = source.fact(Identities).all
    assert risk_of(source, identity) == risk
