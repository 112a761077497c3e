"""Divisors that are 0 in theory only, and those that data, masks and empty regions make 0."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pipeline_lint.config import Settings
from pipeline_lint.diagnostic import Confidence
from pipeline_lint.engine.run import check_contents


def confidences(code: str, filename: str = "model.py") -> set[Confidence]:
    """How sure the rule is of the divisions of a file, the possible ones included."""
    text = "import numpy as np\nimport torch\nfrom torch import nn\n\n\n" + dedent(code).strip("\n") + "\n"
    settings = Settings(select=("TRN206",), min_confidence=Confidence.POSSIBLE)
    report = check_contents({filename: text.encode()}, settings)
    assert not report.failures
    return {diagnostic.confidence for diagnostic in report.diagnostics}


MODULE = """
class Model(nn.Module):
    def __init__(self, encoder, dim):
        super().__init__()
        self.encoder = encoder
        self.projection = nn.Linear(dim, dim)
        self.direction = nn.Parameter(torch.randn(dim))
        self.log_scale = nn.Parameter(torch.zeros(dim))

    def forward(self, x, tokens):
"""

THEORY = {
    "the output of a layer": MODULE + "        y = self.projection(x)\n        return y / y.norm(dim=-1, keepdim=True)",
    "the output of a network": MODULE + "        y = self.encoder(x)\n        return (y - y.mean()) / y.std()",
    "what is called an embedding": "def f(text_embeds):\n    return text_embeds / text_embeds.norm(dim=1)[:, None]",
    "a parameter": MODULE + "        return self.direction / self.direction.norm(dim=-1, keepdim=True)",
    "the exponential of a parameter": MODULE + "        return x / torch.exp(self.log_scale)",
    "draws": "def f(samples):\n    return (samples - samples.mean(0)) / samples.std(0)",
    "weights of a sum": "def f(x, weights):\n    return (x * weights).sum(1) / weights.sum(1)",
    "a histogram": "def f(hist):\n    return hist / hist.sum(1, keepdim=True)",
    "the norm of a whole tensor": "def f(x):\n    return x / x.norm()",
    "computed vectors": "def f(x):\n    r = x.pairs\n    return r / torch.norm(r, dim=1, keepdim=True)",
    "a projection on a direction": "def f(u, w):\n    return u * w.div(w.pow(2).sum(dim=-1, keepdim=True))",
    "an angle's tangent": "def f(x, y):\n    return torch.atan(x / (y > 0.5).sum())",
    "padding": "def f(x, padding_mask):\n    return x.sum(1) / (~padding_mask).sum(1)",
    "attention": "def f(x, attention_mask):\n    return x / attention_mask.sum(1)",
    "ties with the maximum": "def f(x, s):\n    return x / (s == s.max(-1, keepdim=True).values).sum(-1)",
    "an element less than a batch": "def f(x):\n    n = x.shape[0]\n    return (x.T @ x) / (n - 1)",
    "a sine of something else": "def f(x, t):\n    return x / (t.cos() + t.sin())",
    "an entry of a matrix": "def f(m):\n    return m / m[..., 2:3, 2:3]",
    "the degrees of the ends of edges": "def f(row, n):\n    return 1.0 / degree(row, n)",
    "a variance that a name tells": "def f(x, p):\n    return x / p.variance",
    "the order of a norm": "def f(x, config):\n    p = config.p\n    return x.abs().sum() / p",
    "a total": "def f(loss, total):\n    return loss.sum() / total",
    "numpy's norm": "def f(v):\n    return v / np.linalg.norm(v, axis=1, keepdims=True)",
    "a test of the divisor elsewhere": """
        def f(correct, pred):
            proposed = (pred > 0.5).sum()
            if proposed == 0:
                print("nothing was proposed")
            return correct / proposed
        """,
    "a test of the quotient": """
        def evaluate(x, mask):
            rate = x / x.norm(dim=1, keepdim=True)
            return torch.isnan(rate).any()
        """,
    "a quotient that torch.where picks": """
        def f(x, y):
            share = x / x.norm(dim=1, keepdim=True)
            return torch.where(y > 0, share, torch.zeros_like(share))
        """,
    "a plot": "def plot_values(x):\n    return (x - x.min()) / (x.max() - x.min())",
    "a counter that is no metric": """
        class Timer:
            def __init__(self):
                self.total = 0
                self.seconds = torch.zeros(1)

            def update(self, n):
                self.total += n

            def mean(self):
                return self.seconds / self.total
        """,
}


@pytest.mark.parametrize("code", THEORY.values(), ids=THEORY.keys())
def test_what_is_zero_in_theory_only_is_possible(code: str) -> None:
    assert confidences(code) == {Confidence.POSSIBLE}


PRACTICE = {
    "points": "def f(x):\n    return x / x.norm(dim=-1, keepdim=True)",
    "points that may be equal": "def f(a, b):\n    d = a - b\n    return d / torch.norm(d, dim=1, keepdim=True)",
    "a cosine": "def f(a, b):\n    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))",
    "a constant image": "def f(x):\n    return (x - x.mean()) / x.std()",
    "an image's range": "def f(img):\n    return (img - img.min()) / (img.max() - img.min())",
    "silence": "def f(wave):\n    return wave / wave.abs().max()",
    "numpy's silence": "def f(wave):\n    return wave / np.max(np.abs(wave))",
    "rows": "def f(x):\n    return x / x.sum(1, keepdim=True)",
    "a node without neighbours": "def f(adj, x):\n    return (adj @ x) / adj.sum(-1, keepdim=True)",
    "what relu cut": "def f(x):\n    gates = torch.relu(x)\n    return x.sum() / gates.sum()",
    "a score of two masks": "def f(x, y):\n    return 2 * (x * y).sum() / (x.sum() + y.sum())",
    "a union of masks": "def f(pred, y):\n    return (pred & y).float().sum() / (pred | y).float().sum()",
    "boxes": "def f(overlap, area1, area2):\n    return overlap / (area1 + area2 - overlap)",
    "what is above a threshold": "def f(x, correct):\n    return correct / (x > 0.5).sum()",
    "one pixel": "def f(grid):\n    height = grid.shape[2]\n    return grid / (height - 1)",
    "one class": "def f(c):\n    n = len(torch.unique(c))\n    return n / (n - 1)",
    "an angle over its sine": "def f(theta):\n    return theta / (2.0 * theta.sin())",
    "a depth": "def f(points):\n    return points[..., :2] / points[..., 2:]",
    "a clamp at 0": "def f(x, y):\n    return x / y.clamp(min=0)",
}


@pytest.mark.parametrize("code", PRACTICE.values(), ids=PRACTICE.keys())
def test_what_data_and_masks_make_zero_is_likely(code: str) -> None:
    assert confidences(code) == {Confidence.LIKELY}


def test_the_same_division_is_possible_in_tests_and_metrics() -> None:
    code = PRACTICE["points"]
    assert confidences(code, "tests/test_points.py") <= {Confidence.POSSIBLE}
    assert confidences(code, "package/metrics/points.py") <= {Confidence.POSSIBLE}


BOUNDED = {
    "the hull of two boxes": "def f(x, a, b):\n    return x / (torch.max(a, b) - torch.min(a, b) + 1).clamp(min=0)",
    "an epsilon in the union": "def f(overlap, a, b):\n    return overlap / ((a + 1e-16) + b - overlap)",
    "both halves of a mask": "def f(x, mask):\n    m = mask.bool()\n    return x / (m.sum() + (~m).sum())",
    "a loop over what is counted": """
        def f(words):
            found, kept = 0.0, [word for word in words if word > 0]
            for word in kept:
                found += word / len(kept)
            return found
        """,
}


@pytest.mark.parametrize("code", BOUNDED.values(), ids=BOUNDED.keys())
def test_a_bound_that_the_range_does_not_show_silences(code: str) -> None:
    assert confidences(code) == set()
