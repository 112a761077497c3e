"""Trainings with the Trainer of transformers: what is shown of them, and what is said of a bad step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

pytest.importorskip("transformers", reason="pip install transformers")

from transformers import Trainer, TrainerCallback, TrainingArguments

from runtime_guard import IncidentWarning, TrainingIncident
from runtime_guard.adapters import TrainerGuard
from runtime_guard.monitor import Monitor
from runtime_guard.monitors.loss import Loss
from runtime_guard.readings.samples import Samples
from runtime_guard.sinks.memory import Memory
from tests.adapters import small_training as small


class Regressor(nn.Module):
    """Computes its loss itself, as models of transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small.Net()

    def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.net.loss(inputs, labels), "logits": self.net(inputs) if not self.training else labels}


class Ordered(Trainer):
    """In the order of the data, and with the random numbers of the plain loop."""

    def get_train_dataloader(self) -> Any:
        return self.accelerator.prepare(
            DataLoader(self.train_dataset, small.BATCH_SIZE, collate_fn=self.data_collator, generator=torch.Generator())
        )

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.losses.append(loss.item())
        if self.raises and not loss.isfinite():
            raise ValueError(f"the loss is {loss}")
        return loss


class Reseed(TrainerCallback):
    """The plain loop begins with the random numbers that are left after its net was made."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        small.seed()
        small.Net()


def rows_of(*, is_bad: bool = False) -> list[dict[str, torch.Tensor]]:
    return [{"inputs": x, "labels": y} for x, y in small.data(is_bad=is_bad)]


def trainer_in(folder: Path, *, accumulate: int = 1, is_bad: bool = False, validates: bool = False) -> Any:
    small.seed()
    model = Regressor()
    optimizer = small.optimizer_of(model)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=small.NUM_EPOCHS,
        per_device_eval_batch_size=small.BATCH_SIZE,
        gradient_accumulation_steps=accumulate,
        max_grad_norm=small.MAX_NORM,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        eval_strategy="epoch" if validates else "no",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    trainer = Ordered(
        model,
        arguments,
        train_dataset=rows_of(is_bad=is_bad),
        eval_dataset=rows_of() if validates else None,
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)),
        callbacks=[Reseed],
    )
    trainer.losses, trainer.raises = [], False
    return trainer


def named_alike(rows: small.Rows) -> small.Rows:
    return [(step, {key.replace("/net.", "/"): value for key, value in row.items()}) for step, row in rows]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_readings_are_those_of_the_plain_loop(accumulate: int, tmp_path: Path) -> None:
    trainer, memory = trainer_in(tmp_path, accumulate=accumulate), Memory()
    TrainerGuard(trainer, sinks=[memory])
    trainer.train()
    assert named_alike(small.training_rows(memory)) == small.plain_rows(accumulate=accumulate)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_guarded_run_is_bit_identical(accumulate: int, tmp_path: Path) -> None:
    expected = trainer_in(tmp_path, accumulate=accumulate, validates=True)
    expected.train()
    trainer = trainer_in(tmp_path, accumulate=accumulate, validates=True)
    TrainerGuard(trainer, sinks=[Memory()])
    trainer.train()
    assert trainer.losses == expected.losses
    assert small.same(trainer.model, expected.model)


def test_a_bad_step_is_run_again_and_raised_before_anything_is_saved(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path, is_bad=True)
    trainer.args.save_strategy, trainer.args.save_steps = "steps", 1
    guard = TrainerGuard(trainer)
    with pytest.raises(TrainingIncident, match="log made inf"):
        trainer.train()
    small.assert_names_the_fault(guard.guard.incidents[0], module="net.entropy")
    assert not (tmp_path / f"checkpoint-{small.BAD_BATCH + 1}").exists()


def test_of_accumulated_batches_the_bad_one_is_named(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path, accumulate=2, is_bad=True)
    guard = TrainerGuard(trainer)
    with pytest.raises(TrainingIncident, match="micro-batch 2 of 2"):
        trainer.train()
    small.assert_names_the_fault(guard.guard.incidents[0], step=1, module="net.entropy")


def test_a_skipped_step_leaves_no_trace(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path, is_bad=True)
    guard = TrainerGuard(trainer, policy="skip")
    with pytest.warns(IncidentWarning):
        trainer.train()
    assert len(guard.guard.incidents) == small.NUM_EPOCHS
    assert small.same(trainer.model.net, small.without_the_bad_batch())


def test_an_error_that_bad_numbers_made_becomes_an_incident(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path, is_bad=True)
    trainer.raises = True
    guard = TrainerGuard(trainer)
    with pytest.raises(TrainingIncident, match="log made inf"):
        trainer.train()
    assert guard.guard.incidents[0].error == "ValueError: the loss is nan"


def test_losses_metrics_and_samples_of_validation_are_shown(tmp_path: Path) -> None:
    phases: list[str] = []

    class Seen(Monitor):
        def observe(self, samples: Samples) -> None:
            phases.append(samples.phase)

    trainer, memory = trainer_in(tmp_path, validates=True), Memory()
    guard = TrainerGuard(
        trainer,
        monitors=[Loss(), Seen()],
        sinks=[memory],
        samples=lambda batch, outputs: {"scores": outputs["logits"], "targets": batch["labels"].flatten() > 1},
    )
    trainer.train()
    num = small.NUM_EPOCHS * small.NUM_BATCHES
    assert len(small.validation_losses(memory)) == num
    assert {phase: phases.count(phase) for phase in phases} == {"train": num, "validation": num}
    assert "eval_loss" in guard.guard.metrics[-1]


def test_something_else_than_a_trainer_is_told() -> None:
    with pytest.raises(TypeError, match=r"trainer is a Net, expected a transformers\.Trainer"):
        TrainerGuard(small.Net())
