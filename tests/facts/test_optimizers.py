"""What is known of optimizers agrees with torch, and with what they do to float16 parameters."""

from __future__ import annotations

import inspect

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.optimizers import adaptive_optimizer, adaptive_optimizers
from pipeline_lint.parsing import parse

torch = pytest.importorskip("torch")

NAMES = ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SparseAdam")


@pytest.mark.parametrize("name", NAMES)
def test_the_defaults_are_those_of_torch(name: str) -> None:
    known = adaptive_optimizer(f"torch.optim.{name}")
    parameters = inspect.signature(getattr(torch.optim, name)).parameters
    assert known is not None
    assert known.default_eps == parameters["eps"].default
    assert known.eps_position == list(parameters).index("eps")


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("Adadelta", "SparseAdam")])
def test_float16_weights_become_nan_with_the_default_and_stay_finite_with_the_fix(name: str, foreach: bool) -> None:
    for eps, stays_finite in ((None, False), (1e-4, True)):
        weight = torch.ones(3, dtype=torch.float16, requires_grad=True)
        options = {} if eps is None else {"eps": eps}
        optimizer = getattr(torch.optim, name)([weight], lr=1e-3, foreach=foreach, **options)
        for _ in range(10):
            weight.grad = torch.tensor([0.0, 1e-4, 1e-2], dtype=torch.float16)
            optimizer.step()
        assert bool(torch.isfinite(weight).all()) is stays_finite


def test_a_fused_optimizer_keeps_float16_weights_finite() -> None:
    weight = torch.ones(2, dtype=torch.float16, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=1e-3, fused=True)
    weight.grad = torch.tensor([0.0, 1e-4], dtype=torch.float16)
    optimizer.step()
    assert bool(torch.isfinite(weight).all())


@pytest.mark.parametrize("path", ["torch.optim.SGD", "timm.optim.AdaBelief", "optimizers.Adam", "bitsandbytes.Lion"])
def test_other_classes_are_not_taken_for_one(path: str) -> None:
    assert adaptive_optimizer(path) is None


def test_epsilons_are_found_by_position_keyword_group_and_partial() -> None:
    code = (
        "import functools\nimport torch\n"
        "torch.optim.Adam(p, 1e-3, (0.9, 0.9), 1e-1)\n"
        "torch.optim.Adam(*p, 1e-3, (0.9, 0.9), 1e-1)\n"
        "torch.optim.Adagrad(p, eps=1e-2)\n"
        "torch.optim.Adam([{'params': p, 'eps': 1e-3}], eps=x)\n"
        "functools.partial(torch.optim.Adam, eps=1e-4)\n"
    )
    uses = list(adaptive_optimizers(parse(open_document("example.py", code.encode()))))
    assert [use.value for use in uses] == [1e-1, 1e-8, 1e-2, None, 1e-3, 1e-4]
    assert all(isinstance(use.call, cst.Call) for use in uses)
