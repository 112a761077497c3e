"""Where a loss is computed, by function or module."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.losses.loss_calls import loss_calls
from pipeline_lint.parsing import parse

HEAD = "import torch.nn.functional as F\nfrom torch import nn\n\n"


def predictions(code: str) -> list[str]:
    source = parse(open_document("example.py", (HEAD + code).encode()))
    found = loss_calls(source, function="torch.nn.functional.mse_loss", module="torch.nn.MSELoss")
    return [source.code(each.prediction) for each in found]


@pytest.mark.parametrize(
    "code",
    [
        "F.mse_loss(p, t)\n",
        "F.mse_loss(target=t, input=p)\n",
        "nn.MSELoss()(p, t)\n",
        "loss = nn.MSELoss().cuda()\nloss(p, t)\n",
        "loss = nn.MSELoss()\ndef f():\n    loss(p, target=t)\n",
        "class A:\n    def __init__(self): self.loss = F.mse_loss\n    def f(self): self.loss(p, t)\n",
        "def f(loss):\n    loss(p, t)\n\n\nf(nn.MSELoss())\n",
    ],
)
def test_a_loss_is_found_however_it_is_held(code: str) -> None:
    assert predictions(code) == ["p"]


@pytest.mark.parametrize(
    "code",
    [
        "F.l1_loss(p, t)\n",
        "nn.L1Loss()(p, t)\n",
        "loss = nn.MSELoss()\nloss(*p, t)\n",
        "loss = nn.MSELoss() if a else nn.L1Loss()\nloss(p, t)\n",
        "loss = nn.MSELoss()\ndef f(loss):\n    loss(p, t)\n",
    ],
)
def test_another_loss_is_not(code: str) -> None:
    assert predictions(code) == []
