"""Trainings with Ignite: what is shown of them, and what is said of a bad step."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("ignite", reason="pip install pytorch-ignite")

from ignite.engine import Engine, Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Loss, RunningAverage

from runtime_guard import IncidentWarning, TrainingIncident
from runtime_guard.adapters import IgniteGuard
from runtime_guard.monitor import Epoch, Monitor
from runtime_guard.sinks.memory import Memory
from tests.adapters import small_training as small


class Training:
    """Net, optimizer and engines, made from the same random numbers each time."""

    def __init__(self, *, accumulate: int = 1, raises: bool = False) -> None:
        small.seed()
        self.net = small.Net()
        self.optimizer = small.optimizer_of(self.net)
        self.losses: list[float] = []
        self.accumulate, self.raises = accumulate, raises
        self.trainer = Engine(self.step)
        self.evaluator = Engine(self.evaluate)

    def step(self, engine: Engine, batch: Any) -> dict[str, Any]:
        loss = self.net.loss(*batch) / self.accumulate
        self.losses.append(loss.item())
        if self.raises and not loss.isfinite():
            raise ValueError(f"the loss is {loss}")
        loss.backward()
        if engine.state.iteration % self.accumulate == 0:
            nn.utils.clip_grad_norm_(self.net.parameters(), small.MAX_NORM)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return {"loss": loss.detach()}

    def evaluate(self, engine: Engine, batch: Any) -> dict[str, Any]:
        self.net.eval()
        with torch.no_grad():
            loss = self.net.loss(*batch)
        self.net.train()
        return {"loss": loss}

    def run(self, guard: IgniteGuard | None = None, *, is_bad: bool = False, validates: bool = False) -> Training:
        if guard is not None:
            guard.attach(self.trainer, self.evaluator if validates else None)
        if validates:
            self.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: self.evaluator.run(small.loader()))
        self.trainer.run(small.loader(is_bad=is_bad), max_epochs=small.NUM_EPOCHS)
        return self

    def guard(self, **options: Any) -> IgniteGuard:
        return IgniteGuard(self.net, self.optimizer, **options)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_readings_are_those_of_the_plain_loop(accumulate: int) -> None:
    training, memory = Training(accumulate=accumulate), Memory()
    training.run(training.guard(sinks=[memory]))
    assert small.training_rows(memory) == small.plain_rows(accumulate=accumulate)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_guarded_run_is_bit_identical(accumulate: int) -> None:
    expected = Training(accumulate=accumulate).run(validates=True)
    training = Training(accumulate=accumulate)
    training.run(training.guard(sinks=[Memory()]), validates=True)
    assert training.losses == expected.losses
    assert small.same(training.net, expected.net)


def test_a_bad_step_is_run_again_and_raised() -> None:
    training = Training()
    guard = training.guard()
    with pytest.raises(TrainingIncident, match="log made inf"):
        training.run(guard, is_bad=True)
    (incident,) = guard.guard.incidents
    small.assert_names_the_fault(incident)
    assert training.trainer.state.iteration == small.BAD_BATCH + 1


def test_of_accumulated_batches_the_bad_one_is_named() -> None:
    training = Training(accumulate=2)
    guard = training.guard()
    with pytest.raises(TrainingIncident, match="micro-batch 2 of 2"):
        training.run(guard, is_bad=True)
    small.assert_names_the_fault(guard.guard.incidents[0], step=1)


def test_a_skipped_step_leaves_no_trace() -> None:
    training = Training()
    guard = training.guard(policy="skip")
    with pytest.warns(IncidentWarning):
        training.run(guard, is_bad=True)
    assert len(guard.guard.incidents) == small.NUM_EPOCHS
    assert small.same(training.net, small.without_the_bad_batch())


def test_an_error_that_bad_numbers_made_becomes_an_incident() -> None:
    training = Training(raises=True)
    guard = training.guard()
    with pytest.raises(TrainingIncident, match="log made inf"):
        training.run(guard, is_bad=True)
    assert guard.guard.incidents[0].error == "ValueError: the loss is nan"


def test_an_error_of_another_kind_stays_what_it_is() -> None:
    training = Training()
    guard = training.guard()
    training.trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=2), lambda: training.net.layers.append(nn.Linear(3, 3))
    )
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        training.run(guard)
    assert not guard.guard.incidents


def test_engines_made_by_ignite_are_guarded_with_their_metrics() -> None:
    """A supervised trainer, whose output is a number, and an evaluator, whose outputs are pairs."""
    training = Training()
    seen: list[Epoch] = []

    class Epochs(Monitor):
        def end_epoch(self, epoch: Epoch) -> Any:
            seen.append(epoch)
            return ()

    trainer = create_supervised_trainer(training.net, training.optimizer, nn.functional.mse_loss)
    evaluator = create_supervised_evaluator(training.net, metrics={"error": Loss(nn.functional.mse_loss)})
    RunningAverage(output_transform=lambda loss: loss).attach(trainer, "average")
    IgniteGuard(training.net, training.optimizer, monitors=[Epochs()], sinks=[Memory()]).attach(trainer, evaluator)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(small.loader()))
    trainer.run(small.loader(), max_epochs=2)
    assert [epoch.number for epoch in seen] == [0, 1]
    assert seen[-1].metrics == {
        "average": trainer.state.metrics["average"],
        "validation/error": evaluator.state.metrics["error"],
    }


def test_losses_of_validation_are_shown() -> None:
    training, memory = Training(), Memory()
    training.run(training.guard(sinks=[memory]), validates=True)
    assert len(small.validation_losses(memory)) == small.NUM_EPOCHS * small.NUM_BATCHES


def test_an_engine_that_runs_again_goes_on_counting() -> None:
    training, memory = Training(), Memory()
    training.run(training.guard(sinks=[memory]))
    training.trainer.run(small.loader(), max_epochs=2 * small.NUM_EPOCHS)
    steps = [step for step, row in memory.rows if "loss/loss" in row]
    assert steps == list(range(2 * small.NUM_EPOCHS * small.NUM_BATCHES))


def test_a_rolled_back_run_goes_on() -> None:
    training = Training()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncidentWarning)
        training.run(guard := training.guard(policy="rollback"), is_bad=True)
    assert len(guard.guard.incidents) == small.NUM_EPOCHS
    assert all(p.isfinite().all() for p in training.net.parameters())
