"""Trainings with Catalyst: what is shown of them, and what is said of a bad step."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("catalyst", reason="pip install catalyst==22.4 'accelerate<1.0', in an environment of its own")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # It is from 2022.
    from catalyst import dl

from runtime_guard import IncidentWarning, TrainingIncident
from runtime_guard.adapters import CatalystGuard
from runtime_guard.sinks.memory import Memory
from tests.adapters import small_training as small

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::UserWarning:catalyst",
    "ignore::UserWarning:accelerate",
)


class Runner(dl.Runner):
    def __init__(self, *, raises: bool) -> None:
        super().__init__()
        self.seen: list[float] = []
        self.raises = raises

    def on_experiment_start(self, runner: Any) -> None:
        super().on_experiment_start(runner)
        # The plain loop begins with the random numbers that are left after its net was made.
        small.seed()
        small.Net()
        self.random = torch.get_rng_state()

    def on_loader_start(self, runner: Any) -> None:
        super().on_loader_start(runner)
        torch.set_rng_state(self.random)  # Catalyst seeds each epoch; the plain loop goes on.

    def on_loader_end(self, runner: Any) -> None:
        self.random = torch.get_rng_state()
        super().on_loader_end(runner)

    def handle_batch(self, batch: Any) -> None:
        loss = self.model.loss(*batch)
        self.seen.append(loss.item())
        if self.raises and not loss.isfinite():
            raise ValueError(f"the loss is {loss}")
        self.batch_metrics["loss"] = loss


class Clip(dl.Callback):
    """Between backward and step; what Catalyst has for it fails on an attribute that it never sets."""

    def __init__(self) -> None:
        super().__init__(order=35)

    def on_batch_end(self, runner: Any) -> None:
        if runner.is_train_loader:
            nn.utils.clip_grad_norm_(runner.model.parameters(), small.MAX_NORM)


def trained(
    folder: Path,
    guard: CatalystGuard | None = None,
    *,
    is_bad: bool = False,
    raises: bool = False,
    accumulate: int = 1,
    validates: bool = False,
) -> tuple[small.Net, list[float]]:
    small.seed()
    model = small.Net()
    optimizer = small.optimizer_of(model)
    loaders = {"train": small.loader(is_bad=is_bad)}
    if validates:
        loaders["valid"] = small.loader()
    callbacks = [dl.BackwardCallback("loss"), dl.OptimizerCallback("loss", accumulation_steps=accumulate)]
    if accumulate == 1:
        callbacks.append(Clip())
    runner = Runner(raises=raises)
    runner.train(
        engine=dl.CPUEngine(),
        model=model,
        optimizer=optimizer,
        loaders=loaders,
        num_epochs=small.NUM_EPOCHS,
        callbacks=callbacks if guard is None else [*callbacks, guard],
        logdir=str(folder / "catalyst"),
        loggers={},
    )
    return model, runner.seen


def test_readings_are_those_of_the_plain_loop(tmp_path: Path) -> None:
    memory = Memory()
    trained(tmp_path, CatalystGuard(sinks=[memory]))
    assert small.training_rows(memory) == small.plain_rows()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_guarded_run_is_bit_identical(accumulate: int, tmp_path: Path) -> None:
    expected, losses = trained(tmp_path, accumulate=accumulate, validates=True)
    memory = Memory()
    model, guarded = trained(tmp_path, CatalystGuard(sinks=[memory]), accumulate=accumulate, validates=True)
    assert guarded == losses
    assert small.same(model, expected)
    assert len(small.validation_losses(memory)) == small.NUM_EPOCHS * small.NUM_BATCHES


def test_a_bad_step_is_run_again_and_raised(tmp_path: Path) -> None:
    guard = CatalystGuard()
    with pytest.raises(TrainingIncident, match="log made inf"):
        trained(tmp_path, guard, is_bad=True)
    small.assert_names_the_fault(guard.guard.incidents[0])


def test_of_accumulated_batches_the_bad_one_is_named(tmp_path: Path) -> None:
    guard = CatalystGuard()
    with pytest.raises(TrainingIncident, match="micro-batch 2 of 2"):
        trained(tmp_path, guard, is_bad=True, accumulate=2)
    small.assert_names_the_fault(guard.guard.incidents[0], step=1)


def test_a_skipped_step_leaves_no_trace(tmp_path: Path) -> None:
    guard = CatalystGuard(policy="skip")
    with pytest.warns(IncidentWarning):
        model, _ = trained(tmp_path, guard, is_bad=True)
    assert len(guard.guard.incidents) == small.NUM_EPOCHS
    assert small.same(model, small.without_the_bad_batch())


def test_an_error_that_bad_numbers_made_becomes_an_incident(tmp_path: Path) -> None:
    guard = CatalystGuard()
    with pytest.raises(TrainingIncident, match="log made inf"):
        trained(tmp_path, guard, is_bad=True, raises=True)
    assert guard.guard.incidents[0].error == "ValueError: the loss is nan"
