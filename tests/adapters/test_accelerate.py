"""Loops with accelerate: what is shown of them, and what is said of a bad step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("accelerate", reason="pip install accelerate")

from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from runtime_guard import IncidentWarning, TrainingIncident
from runtime_guard.adapters import AccelerateGuard
from runtime_guard.sinks.memory import Memory
from tests.adapters import small_training as small


class Training:
    def __init__(self, *, accumulate: int = 1, mixed_precision: str = "no") -> None:
        for state in (AcceleratorState, PartialState, GradientState):
            state._reset_state()
        small.seed()
        self.accelerator = Accelerator(
            cpu=True, gradient_accumulation_steps=accumulate, mixed_precision=mixed_precision
        )
        net = small.Net()
        optimizer = small.optimizer_of(net)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
        self.net, self.optimizer, self.scheduler = self.accelerator.prepare(net, optimizer, scheduler)
        self.losses: list[float] = []

    def guard(self, **options: Any) -> AccelerateGuard:
        return AccelerateGuard(self.accelerator, self.net, self.optimizer, scheduler=self.scheduler, **options)

    def run(self, guard: AccelerateGuard | None = None, *, is_bad: bool = False) -> Training:
        loader = self.accelerator.prepare(small.loader(is_bad=is_bad))
        for _ in range(small.NUM_EPOCHS):
            for batch in loader if guard is None else guard.watch(loader):
                with self.accelerator.accumulate(self.net):
                    with self.accelerator.autocast():
                        loss = self.net.loss(*batch)
                    self.losses.append(loss.item())
                    self.accelerator.backward(loss)
                    if self.accelerator.sync_gradients:
                        self.accelerator.clip_grad_norm_(self.net.parameters(), small.MAX_NORM)
                    self.optimizer.step()
                    self.scheduler.step()
                    self.optimizer.zero_grad()
            if guard is not None:
                guard.epoch_end()
        if guard is not None:
            guard.close()
        return self


@pytest.mark.parametrize("accumulate", [1, 2])
def test_readings_are_those_of_the_plain_loop(accumulate: int) -> None:
    training, memory = Training(accumulate=accumulate), Memory()
    training.run(training.guard(sinks=[memory]))
    assert small.training_rows(memory) == small.plain_rows(accumulate=accumulate)


@pytest.mark.parametrize(("accumulate", "precision"), [(1, "no"), (2, "no"), (1, "bf16")])
def test_a_guarded_run_is_bit_identical(accumulate: int, precision: str) -> None:
    expected = Training(accumulate=accumulate, mixed_precision=precision).run()
    training = Training(accumulate=accumulate, mixed_precision=precision)
    training.run(training.guard(sinks=[Memory()]))
    assert training.losses == expected.losses
    assert small.same(training.net, expected.net)


def test_a_bad_step_is_run_again_and_raised() -> None:
    training = Training()
    guard = training.guard()
    with pytest.raises(TrainingIncident, match="log made inf"):
        training.run(guard, is_bad=True)
    (incident,) = guard.incidents
    small.assert_names_the_fault(incident)


def test_of_accumulated_batches_the_bad_one_is_named() -> None:
    training = Training(accumulate=2)
    guard = training.guard()
    with pytest.raises(TrainingIncident, match="micro-batch 2 of 2"):
        training.run(guard, is_bad=True)
    small.assert_names_the_fault(guard.incidents[0], step=1)


def test_a_skipped_step_leaves_no_trace() -> None:
    training = Training()
    with pytest.warns(IncidentWarning):
        training.run(guard := training.guard(policy="skip"), is_bad=True)
    assert len(guard.incidents) == small.NUM_EPOCHS
    assert small.same(training.net, small.without_the_bad_batch())


def test_the_count_of_accumulated_steps_knows_nothing_of_the_second_run() -> None:
    training = Training(accumulate=2)
    with pytest.warns(IncidentWarning):
        training.run(guard := training.guard(policy="warn"), is_bad=True)
    assert [incident.step for incident in guard.incidents[:1]] == [1]
    assert training.accelerator.step == small.NUM_EPOCHS * small.NUM_BATCHES % 2


def test_an_optimizer_in_the_place_of_the_accelerator_is_told() -> None:
    training = Training()
    with pytest.raises(TypeError, match="accelerator is a Net, expected an Accelerator; it comes first"):
        AccelerateGuard(training.net, training.optimizer, training.accelerator)
