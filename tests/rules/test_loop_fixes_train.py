"""Small scripts train before and after the fixes of rules about loops: the same where a fix is neutral, else better."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest

from pipeline_lint.config import Settings
from pipeline_lint.diagnostic import Confidence
from pipeline_lint.engine.fix_files import fix_contents

torch = pytest.importorskip("torch")

SETUP = """\
import torch
import torch.nn as nn
import torch.nn.functional as F


def parts(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))
    inputs = torch.randn(8, 16, 4)
    return model, [(x, x.sum(dim=1, keepdim=True)) for x in inputs]


"""


def fixed(rule: str, code: str, *, unsafe: bool = True) -> str:
    settings = Settings(select=(rule,), min_confidence=Confidence.POSSIBLE)
    result = fix_contents({"example.py": (SETUP + code).encode()}, settings, unsafe=unsafe)["example.py"].decode()
    assert result != SETUP + code, "nothing was fixed"
    return result


def outcome(code: str) -> Any:
    namespace: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(code, namespace)
        return namespace["train"]()


def before_and_after(rule: str, code: str) -> tuple[Any, Any]:
    return outcome(SETUP + code), outcome(fixed(rule, code))


def test_missing_zero_grad_is_found_again_by_its_fix() -> None:
    code = """\
def train():
    weight = torch.tensor(1.0, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)
    losses = []
    for _ in range(10):
        loss = weight * weight
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
"""
    before, after = before_and_after("TRN401", code)
    assert before[6] > 0.9
    assert after == sorted(after, reverse=True)
    assert after[-1] < 0.02


def test_zero_grad_behind_the_step_gives_the_losses_of_large_batches() -> None:
    code = """\
def train(num=2):
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for index, x in enumerate(torch.randn(8, 16, 4)):
        (F.mse_loss(model(x), x.sum(dim=1, keepdim=True)) / num).backward()
        if index % num == num - 1:
            optimizer.step()
    return model.weight.detach()
"""
    large = """\
import torch
import torch.nn as nn
import torch.nn.functional as F


def train():
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x in torch.randn(8, 16, 4).reshape(4, 32, 4):
        optimizer.zero_grad()
        F.mse_loss(model(x), x.sum(dim=1, keepdim=True)).backward()
        optimizer.step()
    return model.weight.detach()
"""
    before, after = before_and_after("TRN401", code)
    expected = outcome(large)
    torch.testing.assert_close(after, expected)
    assert not torch.allclose(before, expected)


def test_a_closure_that_begins_with_zero_grad_lets_lbfgs_converge() -> None:
    code = """\
def train():
    torch.manual_seed(0)
    x, target = torch.randn(64, 4), torch.randn(64, 1)
    weight = torch.zeros(4, 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], lr=1, max_iter=50)

    def closure():
        loss = F.mse_loss(x @ weight, target)
        loss.backward()
        return loss

    optimizer.step(closure)
    return F.mse_loss(x @ weight, target).item(), F.mse_loss(x @ torch.linalg.lstsq(x, target).solution, target).item()
"""
    (before, _), (after, best) = before_and_after("TRN401", code)
    assert after == pytest.approx(best, rel=1e-5)
    assert not math.isclose(before, best, rel_tol=1e-2)
