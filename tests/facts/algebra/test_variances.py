"""Variances by a difference."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.algebra.variances import Variance, Variances
from pipeline_lint.parsing import parse

HEAD = "import numpy as np\nimport torch\nimport torch.nn.functional as F\n\n\ndef f(x, y, n, w, self):\n"


def variances_in(*lines: str) -> list[Variance]:
    code = HEAD + "".join(f"    {line}\n" for line in lines)
    return parse(open_document("example.py", code.encode())).fact(Variances).all


@pytest.mark.parametrize(
    "lines",
    [
        ("return (x ** 2).mean() - x.mean() ** 2",),
        ("return torch.mean(x * x, 1) - torch.square(torch.mean(x, 1))",),
        ("return x.square().mean(dim=(1, 2), keepdim=True).sub(x.mean(dim=(1, 2), keepdim=True).pow(2))",),
        ("m = x.mean()", "s = x * x", "q = s.mean()", "return q - m * m"),
    ],
)
def test_means_of_torch_over_the_same_dims_can_be_replaced(lines: tuple[str, ...]) -> None:
    (variance,) = variances_in(*lines)
    assert variance.means is not None
    assert variance.operand is not None


@pytest.mark.parametrize(
    "lines",
    [
        ("return (x ** 2).mean(1) - x.mean(0) ** 2",),
        ("return (x ** 2).sum() / n - (x.sum() / n) ** 2",),
        ("return (x ** 2).sum() - x.sum() ** 2 / n",),
        ("total = x.sum()", "mean = total / n", "return (x * x).sum() - mean * total"),
        ("return F.avg_pool2d(x * x, 3) - F.avg_pool2d(x, 3) ** 2",),
        ("a, b = blur(x, w), blur(x * x, w)", "return b - a ** 2"),
        ("return self.blur(x ** 2) - self.blur(x) ** 2",),
        ("a, b = w(x), w(y)", "a2, b2 = a * a, b * b", "return w(x * x) - a2"),
        ("return (x ** 2).cumsum(0) / n - (x.cumsum(0) / n) ** 2",),
        ("return self.mean_sq - self.mean ** 2",),
        ("return ex2 - ex * ex",),
    ],
)
def test_other_averages_are_recognised(lines: tuple[str, ...]) -> None:
    (variance,) = variances_in(*lines)
    assert variance.means is None


@pytest.mark.parametrize(
    "lines",
    [
        ("return (x ** 2).mean() - y.mean() ** 2",),
        ("return (x * y).mean() - x.mean() * y.mean()",),
        ("return (x ** 2).sum() - x.sum() ** 2",),
        ("return (x ** 2).mean() - x.sum() ** 2",),
        ("return x.mean() ** 2 - (x ** 2).mean()",),
        ("return torch.exp(x ** 2) - torch.exp(x) ** 2",),
        ("return np.mean(x ** 2) - np.mean(x) ** 2",),
        ("return blur(x ** 2) - other(x) ** 2",),
        ("return x - y ** 2",),
        ("return mean - mean ** 2",),
        ("return 1 - x.mean() ** 2",),
        ("m = x.mean()", "x = x + 1", "return (x ** 2).mean() - m ** 2"),
        ("return np.sqrt(mean_sq - mean ** 2)",),
    ],
)
def test_other_differences_are_no_variances(lines: tuple[str, ...]) -> None:
    assert variances_in(*lines) == []
