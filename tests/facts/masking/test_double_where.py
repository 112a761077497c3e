"""The double where computes the same, with finite gradients, as executed by torch; and where it cannot be written."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline_lint.config import Settings
from pipeline_lint.diagnostic import Confidence
from pipeline_lint.engine.fix_files import fix_contents

torch = pytest.importorskip("torch")

HEAD = "import torch\n\n\ndef some_loss(x, y):\n"
EXPRESSIONS = (
    "torch.where(x > 0, torch.log(x), 0.0)",
    "torch.where(x <= 0, torch.zeros_like(x), x.sqrt())",
    "torch.where(x > 0, -y * torch.log2(x) / 2, y)",
    "torch.where(y != 0, x / y, x)",
    "torch.where((y != 0) & (x > 0), ((x - 1) / y).abs(), x * y)",
    "torch.where(x > 0.1, x ** (1 / 3), x)",
    "torch.where(x > 0, torch.rsqrt(x), x)",
    "torch.where(x < 20, torch.log(1 + torch.exp(x)), x)",
    "torch.where(x.abs() < 1, torch.acos(x), x)",
    "torch.where(x.abs() < 1, torch.atanh(x) * y, x)",
    "torch.where(x > 1, torch.acosh(x), x)",
    "torch.where(x > -1, torch.log1p(x), x)",
    "torch.where(y > 0, x / torch.sqrt(y), 0.0)",
    "torch.where(x[:, None] > 0, x[:, None].log() * y, 0.0)",
    "torch.log(x)[x > 0]",
    "(1 / y)[y != 0]",
    "torch.log(x).masked_fill(x <= 0, 0.0)",
    "torch.sqrt(x) * (x > 0)",
    "(x > 0).float() * x.pow(0.5)",
)


def fixed(body: str) -> str:
    settings = Settings(select=("TRN210",), min_confidence=Confidence.POSSIBLE)
    return fix_contents({"example.py": f"{HEAD}    {body}\n".encode()}, settings, unsafe=False)["example.py"].decode()


def outcome(code: str, dtype: Any) -> list[Any]:
    """Value and gradients for zeros, negative and large numbers, and the edges of domains."""
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    x = torch.tensor([0.0, 1.0, -1.0, 0.5, -3.0, 100.0, 0.0, 2.0], dtype=dtype, requires_grad=True)
    y = torch.tensor([0.0, 2.0, 0.0, -1.0, 3.0, 1.0, 4.0, 0.5], dtype=dtype, requires_grad=True)
    value = namespace["some_loss"](x, y)
    value.float().sum().backward()
    return [value.detach(), *(each.grad if each.grad is not None else torch.zeros_like(each) for each in (x, y))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_values_and_gradients_stay_where_they_were_finite(expression: str, dtype: Any) -> None:
    before = f"{HEAD}    return {expression}\n"
    after = fixed(f"return {expression}")
    assert after != before
    old, new = outcome(before, dtype), outcome(after, dtype)
    assert not all(torch.isfinite(each).all() for each in old[1:])
    assert all(torch.isfinite(each).all() for each in new), after
    for old_tensor, new_tensor in zip(old, new, strict=True):
        is_finite = torch.isfinite(old_tensor)
        torch.testing.assert_close(new_tensor[is_finite], old_tensor[is_finite])


@pytest.mark.parametrize(
    "body",
    [
        "return torch.where(x.cumsum(0) > 0, 1 / x.cumsum(0), x)",
        "return torch.where(x > 0, torch.log(x).cumsum(0), x)",
        "return torch.where(x > 0, torch.log(x).T, x)",
        "return (x / y)[y != 0]",
        "z = torch.log(x)\n    return torch.where(x > 0, z, 0), z",
        "z = x / y\n    keep = y != 0\n    return torch.where(keep, z, 0)",
        "z = x / y\n    z[y == 0] = 0\n    return z",
        "return torch.nan_to_num(x / x.sum())",
        "return torch.where(x > 0, torch.log(x, out=y), 0)",
    ],
)
def test_what_might_compute_another_thing_is_left(body: str) -> None:
    assert fixed(body) == f"{HEAD}    {body}\n"
