"""The examples of the guide to frameworks run as they stand there, and find what goes wrong."""

from __future__ import annotations

import importlib.util
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from runtime_guard import TrainingIncident
from tests.adapters import small_training as small

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "frameworks.md"
EXAMPLES = dict(re.findall(r"^## (\S+)\n.*?^```python\n(.*?)^```$", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL))


class Logarithm(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.log(inputs)


def names(framework: str, *, is_bad: bool) -> dict[str, Any]:
    """What the guide says is there, for a model that fails on a sample of zeros."""
    torch.manual_seed(0)
    model = nn.Sequential(Logarithm(), nn.Linear(4, 1))
    found: dict[str, Any] = {
        "model": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.01),
        "loss_fn": nn.functional.mse_loss,
        "criterion": nn.MSELoss(),
        "train_loader": small.loader(is_bad=is_bad),
        "val_loader": small.loader(),
    }
    if framework == "Lightning":
        found["module"] = lightning_module(model)
    if framework == "transformers":
        found.update(trainer_parts(model, is_bad=is_bad))
    return found


def trainer_parts(model: nn.Module, *, is_bad: bool) -> dict[str, Any]:
    from transformers import TrainingArguments

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, inputs: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            found = self.model(inputs)
            return {"loss": nn.functional.mse_loss(found, labels), "logits": found}

    # One batch, whose order no sampler can change.
    data = small.data(is_bad=is_bad)
    arguments = TrainingArguments(
        "out", num_train_epochs=1, per_device_train_batch_size=len(data), use_cpu=True, report_to=[], disable_tqdm=True
    )
    return {"model": Model(), "args": arguments, "dataset": [{"inputs": x, "labels": y} for x, y in data]}


def lightning_module(model: nn.Module) -> Any:
    from lightning.pytorch import LightningModule

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return nn.functional.mse_loss(self.model(batch[0]), batch[1])

        validation_step = training_step

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    return Module()


def run(framework: str, *, is_bad: bool) -> dict[str, Any]:
    package = re.search(r"^from (\w+)", EXAMPLES[framework])[1]  # type: ignore[index]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    variables = names(framework, is_bad=is_bad)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The framework's own.
        exec(compile(EXAMPLES[framework], str(GUIDE), "exec"), variables)
    return variables


def test_the_guide_has_an_example_for_each_adapter() -> None:
    from runtime_guard.adapters import __dir__ as adapters

    text = "".join(EXAMPLES.values())
    assert [name for name in adapters() if f"import {name}\n" not in text] == []


@pytest.mark.parametrize("framework", EXAMPLES)
def test_an_example_trains_and_shows_its_readings(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(framework, is_bad=False)
    (readings,) = tmp_path.glob("runs/*/readings.jsonl")
    assert '"loss/loss"' in readings.read_text()


@pytest.mark.parametrize("framework", EXAMPLES)
def test_an_example_stops_at_a_bad_step(framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingIncident, match="log made inf") as caught:
        run(framework, is_bad=True)
    assert caught.value.incident.birth.operation == "log"  # type: ignore[union-attr]
