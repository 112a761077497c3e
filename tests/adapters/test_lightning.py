"""Trainings in Lightning: what is shown of them, and what is said of a bad step."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("lightning", reason="pip install lightning")

import lightning.pytorch as pl
from lightning.pytorch.plugins import MixedPrecision

from runtime_guard import IncidentWarning, TrainingIncident
from runtime_guard.adapters import LightningGuard
from runtime_guard.sinks.memory import Memory
from tests.adapters import small_training as small

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
]


class Module(pl.LightningModule):
    def __init__(self, *, as_dict: bool = True, logs: bool = True) -> None:
        super().__init__()
        self.net = small.Net()
        self.as_dict, self.logs = as_dict, logs
        self.losses: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.net.loss(*batch)
        self.losses.append(loss.item())
        if self.logs:
            self.log("train_loss", loss, on_epoch=True)
        return {"loss": loss, "number": batch_idx} if self.as_dict else loss

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.net.loss(*batch)

    def configure_optimizers(self) -> Any:
        optimizer = small.optimizer_of(self)
        return [optimizer], [torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)]


class Manual(Module):
    """Steps its optimizer itself."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        loss = self.net.loss(*batch)
        self.losses.append(loss.item())
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()


class Raising(Module):
    """Raises by itself where the loss is not finite."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = self.net.loss(*batch)
        if not loss.isfinite():
            raise ValueError(f"the loss is {loss}")
        return loss


def trained(
    guard: LightningGuard | None = None,
    make: Callable[[], Module] = Module,
    *,
    is_bad: bool = False,
    validates: bool = False,
    **options: Any,
) -> Module:
    small.seed()
    module = make()
    options.setdefault("gradient_clip_val", small.MAX_NORM if module.automatic_optimization else None)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=small.NUM_EPOCHS,
        callbacks=[] if guard is None else [guard],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, small.loader(is_bad=is_bad), small.loader() if validates else None)
    return module


def scaler() -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", init_scale=64.0)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("as_dict", [False, True])
def test_readings_are_those_of_the_plain_loop(accumulate: int, as_dict: bool) -> None:
    memory = Memory()
    trained(LightningGuard(sinks=[memory]), lambda: Module(as_dict=as_dict), accumulate_grad_batches=accumulate)
    assert named_alike(small.training_rows(memory)) == small.plain_rows(accumulate=accumulate)


def test_gradients_are_shown_without_the_scale_and_before_clipping() -> None:
    memory = Memory()
    precision = MixedPrecision("16-mixed", device="cpu", scaler=scaler())
    trained(LightningGuard(sinks=[memory]), plugins=precision)
    rows = named_alike(small.training_rows(memory))
    assert rows == small.plain_rows(scaler=scaler(), autocast=torch.float16)
    updates = [row for _, row in rows if "gradients/norm" in row]
    assert {row["optimizer/scale"] for row in updates} == {64.0}
    assert max(row["gradients/norm"] for row in updates) > small.MAX_NORM


def named_alike(rows: small.Rows) -> small.Rows:
    """Names of parameters as the plain loop has them, which guards the network itself."""
    return [(step, {key.replace("/net.", "/"): value for key, value in row.items()}) for step, row in rows]


@pytest.mark.parametrize(("kind", "accumulate"), [(Module, 1), (Module, 2), (Manual, 1)])
def test_a_guarded_run_is_bit_identical(kind: type[Module], accumulate: int) -> None:
    expected = trained(None, kind, validates=True, accumulate_grad_batches=accumulate)
    guard = LightningGuard(sinks=[Memory()])
    guarded = trained(guard, kind, validates=True, accumulate_grad_batches=accumulate)
    assert guarded.losses == expected.losses
    assert small.same(guarded, expected)


@pytest.mark.parametrize("kind", [Module, Manual])
def test_a_bad_step_is_run_again_and_raised(kind: type[Module]) -> None:
    guard = LightningGuard()
    with pytest.raises(TrainingIncident, match=r"log made inf"):
        trained(guard, kind, is_bad=True)
    (incident,) = guard.guard.incidents
    small.assert_names_the_fault(incident, module="net.entropy")


def test_of_accumulated_batches_the_bad_one_is_named() -> None:
    guard = LightningGuard()
    with pytest.raises(TrainingIncident, match=r"micro-batch 2 of 2"):
        trained(guard, is_bad=True, accumulate_grad_batches=2)
    (incident,) = guard.guard.incidents
    small.assert_names_the_fault(incident, step=1, module="net.entropy")
    assert (incident.batch, incident.micro_batch) == (small.BAD_BATCH, 1)


def test_a_skipped_step_leaves_no_trace() -> None:
    guard = LightningGuard(policy="skip")
    with pytest.warns(IncidentWarning):
        module = trained(guard, is_bad=True)
    assert len(guard.guard.incidents) == small.NUM_EPOCHS
    assert small.same(module.net, small.without_the_bad_batch())


def test_counters_and_logged_numbers_know_nothing_of_the_second_run() -> None:
    def run(guard: LightningGuard | None) -> tuple[int, dict[str, Any]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IncidentWarning)
            module = trained(guard, is_bad=True)
        return module.trainer.global_step, {k: str(v) for k, v in module.trainer.callback_metrics.items()}

    assert run(LightningGuard(policy="warn")) == run(None)


def test_an_error_that_bad_numbers_made_becomes_an_incident() -> None:
    guard = LightningGuard()
    with pytest.raises(TrainingIncident, match=r"log made inf"):
        trained(guard, Raising, is_bad=True)
    assert guard.guard.incidents[0].error == "ValueError: the loss is nan"


def test_losses_of_validation_are_shown() -> None:
    memory = Memory()
    trained(LightningGuard(sinks=[memory]), validates=True)
    assert len(small.validation_losses(memory)) == small.NUM_EPOCHS * small.NUM_BATCHES


def test_an_incident_is_run_again_in_its_script(tmp_path: Path) -> None:
    """In another process, from what was kept of it."""
    script = tmp_path / "train.py"
    script.write_text(
        "from tests.adapters.test_lightning import LightningGuard, trained\n"
        f"trained(LightningGuard(logdir={str(tmp_path / 'run')!r}), is_bad=True)\n"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONWARNINGS": "ignore"}
    first = subprocess.run(
        [sys.executable, script], cwd=root, env=environment, check=False, capture_output=True, text=True
    )
    assert "TrainingIncident: At step 3 (epoch 0, batch 3), log made inf" in first.stderr
    (incident,) = (tmp_path / "run" / "incidents").iterdir()
    command = [sys.executable, "-m", "runtime_guard", "replay", incident]
    again = subprocess.run(command, cwd=root, env=environment, check=False, capture_output=True, text=True)
    assert again.stdout.endswith("The verdict is the same as then.\n"), again.stderr


def test_steps_go_on_in_a_run_that_is_resumed(tmp_path: Path) -> None:
    first = LightningGuard(sinks=[Memory()])
    trained(first)
    second = LightningGuard(sinks=[memory := Memory()])
    second.load_state_dict(first.state_dict())
    trained(second)
    assert memory.rows[0][0] == small.NUM_BATCHES * small.NUM_EPOCHS


def test_an_option_that_there_is_not_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"'polcy'; known are logdir"):
        LightningGuard(polcy="skip")  # type: ignore[call-arg]
