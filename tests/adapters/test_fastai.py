"""Trainings with a Learner of fastai: what is shown of them, and what is said of a bad step."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("fastai", reason="pip install fastai")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Importing it warns, of what newer torch has deprecated.
    from fastai.callback.core import Callback
    from fastai.callback.training import GradientAccumulation, GradientClip
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.optimizer import SGD, OptimWrapper

from runtime_guard import IncidentWarning, TrainingIncident
from runtime_guard.adapters import FastaiGuard
from runtime_guard.sinks.memory import Memory
from tests.adapters import small_training as small

pytestmark = pytest.mark.filterwarnings("ignore:.*doesn't have a `device`", "ignore::DeprecationWarning")


class WithEntropy(nn.Module):
    """Hands the loss its inputs, as the plain loop does."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small.Net()

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.net(inputs), 0.01 * self.net.entropy(inputs)


class Seen(Callback):
    """Notes them, and gives the run the random numbers of the plain loop."""

    def __init__(self, *, raises: bool) -> None:
        super().__init__()
        self.seen: list[float] = []
        self.raises = raises

    def before_fit(self) -> None:
        small.seed()
        small.Net()

    def after_loss(self) -> None:
        self.seen.append(self.learn.loss.item())
        if self.raises and not self.learn.loss.isfinite():
            raise ValueError(f"the loss is {self.learn.loss}")


def loss_of(outputs: tuple[torch.Tensor, torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
    prediction, entropy = outputs
    return (prediction - targets).square().mean() + entropy


def trained(
    guard: FastaiGuard | None = None, *, is_bad: bool = False, raises: bool = False, cbs: Any = (), wraps: bool = False
) -> tuple[WithEntropy, list[float]]:
    small.seed()
    model, losses = WithEntropy(), Seen(raises=raises)
    own = partial(SGD, mom=0.9, wd=0.0)
    learn = Learner(
        DataLoaders(small.loader(is_bad=is_bad), small.loader(), device=torch.device("cpu")),
        model,
        loss_func=loss_of,
        opt_func=partial(OptimWrapper, opt=torch.optim.SGD, momentum=0.9) if wraps else own,
        cbs=[losses, GradientClip(small.MAX_NORM), *cbs, *([] if guard is None else [guard])],
        moms=None,
    )
    with learn.no_bar(), learn.no_logging():
        learn.fit(small.NUM_EPOCHS, lr=0.05, wd=0.0)
    return model, losses.seen


def named_alike(rows: small.Rows) -> small.Rows:
    return [(step, {key.replace("/net.", "/"): value for key, value in row.items()}) for step, row in rows]


def without_epochs(rows: small.Rows) -> small.Rows:
    """Of updates only: the Learner validates as well, which ends up in the epoch's row."""
    wanted = ("gradients/", "loss/loss", "optimizer/lr", "optimizer/momentum", "optimizer/weight_decay")
    found = [(step, {k: v for k, v in row.items() if k.startswith(wanted)}) for step, row in rows]
    return [(step, row) for step, row in found if "loss/loss" in row]


@pytest.mark.parametrize("wraps", [False, True])
def test_readings_are_those_of_the_plain_loop(wraps: bool) -> None:
    memory = Memory()
    trained(FastaiGuard(sinks=[memory]), wraps=wraps)
    rows = without_epochs(named_alike(small.training_rows(memory)))
    assert rows == without_epochs(small.plain_rows())
    assert len(small.validation_losses(memory)) == small.NUM_EPOCHS * small.NUM_BATCHES


@pytest.mark.parametrize("num", [1, 2])
def test_a_guarded_run_is_bit_identical(num: int) -> None:
    cbs = [] if num == 1 else [GradientAccumulation(num * small.BATCH_SIZE)]
    expected, losses = trained(cbs=cbs)
    model, guarded = trained(FastaiGuard(sinks=[Memory()]), cbs=cbs)
    assert guarded == losses
    assert small.same(model, expected)


def test_a_bad_step_is_run_again_and_raised() -> None:
    guard = FastaiGuard()
    with pytest.raises(TrainingIncident, match="log made inf"):
        trained(guard, is_bad=True)
    small.assert_names_the_fault(guard.guard.incidents[0], module="net.entropy")


def test_of_accumulated_batches_the_bad_one_is_named() -> None:
    guard = FastaiGuard()
    with pytest.raises(TrainingIncident, match="micro-batch 2 of 2"):
        trained(guard, is_bad=True, cbs=[GradientAccumulation(2 * small.BATCH_SIZE)])
    # fastai multiplies its loss in place afterwards, so what is kept of the first run is another number.
    small.assert_names_the_fault(guard.guard.incidents[0], step=1, module="net.entropy", is_bit_equal=False)


@pytest.mark.parametrize("wraps", [False, True])
def test_a_skipped_step_leaves_no_trace(wraps: bool) -> None:
    guard = FastaiGuard(policy="skip")
    with pytest.warns(IncidentWarning):
        model, _ = trained(guard, is_bad=True, wraps=wraps)
    assert len(guard.guard.incidents) == small.NUM_EPOCHS
    assert small.same(model.net, small.without_the_bad_batch())


def test_an_error_that_bad_numbers_made_becomes_an_incident() -> None:
    guard = FastaiGuard()
    with pytest.raises(TrainingIncident, match="log made inf"):
        trained(guard, is_bad=True, raises=True)
    assert str(guard.guard.incidents[0].error).startswith("ValueError: ")
