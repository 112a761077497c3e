"""How surely identities go wrong."""

from __future__ import annotations

import pytest

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.documents import open_document
from pipeline_lint.facts.algebra.identities import Identities
from pipeline_lint.facts.algebra.identity_risks import Cause, Risk, risk_of
from pipeline_lint.parsing import parse

HEAD = """import torch
import torch.nn.functional as F


def f(x, y, w, deg, log_p, var, log_var, tau, self, image, cutoff=0.5, gain=10):
"""

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
        ("torch.log(1 + x)", ROUNDING_POSSIBLE),
        ("y / torch.log(1 + x)", ROUNDING_LIKELY),
        ("torch.log(1 + var / x ** 2)", ROUNDING_LIKELY),
        ("torch.log(1 + var)", ROUNDING_POSSIBLE),
        ("x.sign() * torch.log(1 + x.abs())", ROUNDING_LIKELY),
        ("y + torch.log(1 + x)", ROUNDING_POSSIBLE),
        ("torch.log(1 + deg)", ROUNDING_POSSIBLE),
        ("torch.log(1 + x.floor())", None),
        ("torch.exp(x) - 1", ROUNDING_POSSIBLE),
        ("torch.exp(var) - 1", ROUNDING_LIKELY),
        ("torch.exp(log_var) - 1", ROUNDING_POSSIBLE),
        ("(torch.exp(x) - 1) / x", ROUNDING_LIKELY),
        ("(torch.exp(x + y) - 1) / y", ROUNDING_POSSIBLE),
        ("torch.exp(x) - 1 + y", ROUNDING_POSSIBLE),
        ("torch.exp(x) - 1 - x", ROUNDING_POSSIBLE),
        ("(torch.exp(x) - 1 - x) / x ** 2", ROUNDING_LIKELY),
        ("(torch.exp(x) - 1) > y", None),
        ("1 - torch.exp(x)", ROUNDING_POSSIBLE),
        ("torch.sqrt(1 - torch.exp(x))", ROUNDING_POSSIBLE),
        ("y / torch.sqrt(1 - torch.exp(x))", ROUNDING_LIKELY),
        ("(1 - torch.cos(x)) / x ** 2", ROUNDING_LIKELY),
        ("torch.where(y, x, (1 - torch.cos(x)) / x)", ROUNDING_POSSIBLE),
        ("torch.log(1 + torch.exp(x.clamp(tau, 1 - tau).log()))", ROUNDING_POSSIBLE),
        ("1 / (1 + torch.exp(gain * (cutoff - image)))", OVERFLOW_POSSIBLE),
        ("(lambda z: z.exp().log1p())(x)", None),
    ],
)
def test_the_risk_of_an_identity(expression: str, risk: Risk | None) -> None:
    source = parse(open_document("example.py", f"{HEAD}    return {expression}\n".encode()))
    (identity,) = source.fact(Identities).all
    assert risk_of(source, identity) == risk


@pytest.mark.parametrize(
    ("code", "confidence"),
    [
        ("def f(x):\n    return 1 / (1 + torch.exp(-x))", Confidence.CERTAIN),
        ("@torch.no_grad()\ndef f(x):\n    return 1 / (1 + torch.exp(-x))", Confidence.POSSIBLE),
        ("@torch.no_grad()\ndef f(x):\n    return torch.exp(x) / (1 + torch.exp(x))", Confidence.CERTAIN),
        ("def f(x):\n    x = x + 1\n    x[x > 0] = 0\n    return torch.log(1 + torch.exp(x))", Confidence.LIKELY),
        ("def f(x):\n    return torch.log(torch.exp(x) - 1)", Confidence.LIKELY),
        ("def init_weights(x):\n    return torch.log(torch.exp(x) - 1)", Confidence.POSSIBLE),
        ("class NoiseScheduler:\n    def step(self, h):\n        return (torch.exp(h) - 1) / h", Confidence.POSSIBLE),
        (
            "class M(nn.Module):\n    def forward(self):\n        return torch.log(1 + torch.exp(self.x))",
            Confidence.POSSIBLE,
        ),
        (
            "class M(nn.Module):\n    def forward(self):\n        return torch.log(1 + torch.exp(self.logits))",
            Confidence.CERTAIN,
        ),
    ],
)
def test_the_code_around_an_identity_counts(code: str, confidence: Confidence) -> None:
    source = parse(open_document("example.py", f"import torch\nfrom torch import nn\n\n\n{code}\n".encode()))
    (identity,) = source.fact(Identities).all
    risk = risk_of(source, identity)
    assert risk is not None
    assert risk.confidence is confidence
