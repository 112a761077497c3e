"""What a run was set to, what it ran on, and what went wrong is there to be read beside its numbers."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from runtime_guard import Guard, TrainingIncident
from runtime_guard.environment import Environment
from runtime_guard.monitors.hyperparameters import Hyperparameters
from runtime_guard.monitors.text import Text
from runtime_guard.readings.model_summary import model_summary
from runtime_guard.readings.run_config import flat_config, optimizer_config
from runtime_guard.sinks.json_lines import read_rows
from runtime_guard.sinks.memory import Memory


@dataclass
class Data:
    folder: Path
    workers: int


def train(guard: Guard, model: nn.Module, optimizer: torch.optim.Optimizer, *values: float) -> None:
    for value in guard.watch(list(values)):
        optimizer.zero_grad()
        guard.loss(model(torch.full((2, 2), value)).square().mean()).backward()
        optimizer.step()


def made(**guarded: Any) -> tuple[Guard, nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1, bias=False))
    optimizer = torch.optim.SGD(model.parameters(), 0.125, momentum=0.5)
    return Guard(model, optimizer, **guarded), model, optimizer


def test_settings_are_flat_and_secrets_hidden() -> None:
    config = {
        **vars(argparse.Namespace(width=8, augment=True, mean=(0.5, 0.5))),
        "data": Data(Path("data"), 2),
        "wandb": {"api_key": "hunter2", "project": "x"},
    }
    assert flat_config(config) == {
        "width": 8,
        "augment": True,
        "mean": "(0.5, 0.5)",
        "data.folder": "data",
        "data.workers": 2,
        "wandb.api_key": "<hidden>",
        "wandb.project": "x",
    }


def test_settings_of_several_optimizers_are_told_apart() -> None:
    weight = [nn.Parameter(torch.ones(1))]
    optimizers = {"a": torch.optim.SGD(weight, 0.5), "b": torch.optim.Adam(weight, torch.tensor(0.5))}
    found = optimizer_config(optimizers)
    assert (found["optimizer.a"], found["lr.a"], found["momentum.a"]) == ("SGD", 0.5, 0)
    assert (found["optimizer.b"], found["betas.b"]) == ("Adam", "0.9, 0.999")
    assert "lr.b" not in found, "asking for it would wait"


def test_hyperparameters_stand_beside_the_final_metrics_and_losses() -> None:
    memory = Memory()
    guard, model, optimizer = made(config={"width": 8}, monitors=[Hyperparameters()], sinks=[memory])
    for epoch in range(2):
        train(guard, model, optimizer, 1.0, 2.0)
        optimizer.param_groups[0]["lr"] = 0.01
        for loss in guard.validate([3.0, 4.0]):
            guard.loss(torch.tensor(loss + epoch))
        guard.epoch_end({"f1": epoch / 2, "best": "first.pt"})
    expected = [record.loss for record in guard.history][-2:]
    guard.close()
    ((_, readings),) = memory.rows
    found = readings["hyperparameters"]
    assert found.values == {"optimizer": "SGD", "lr": 0.125, "momentum": 0.5, "weight_decay": 0, "width": 8}
    assert found.metrics == {
        "final/loss/train": pytest.approx(sum(expected) / 2),
        "final/loss/validation": 4.5,
        "final/f1": 0.5,
    }


def test_the_model_is_summed_up() -> None:
    shared = nn.Linear(2, 2)
    frozen = nn.Linear(3, 1, bias=False).requires_grad_(False)
    model = nn.ModuleDict({"a": shared, "b": shared, "c": frozen, "lazy": nn.LazyLinear(2)})
    lines = model_summary({"": model}).splitlines()
    assert lines[2:] == [
        "| `a` | Linear | 2×2, 2 | 6 | 6 |",
        "| `c` | Linear | 1×3 | 3 | 0 |",
        "| **all** | | | 9 | 6 |",
        "",
        "0.0 MiB of parameters and buffers. What modules share is counted once.",
    ]
    long = model_summary({"": nn.Sequential(*(nn.Linear(1, 1) for _ in range(300)))}).splitlines()
    assert len(long) == 206
    assert "| and 100 more | | | | |" in long


def test_texts_are_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    guard, model, optimizer = made(config={"a|b": "c\nd"}, monitors=[Text()], sinks=[memory])
    train(guard, model, optimizer, 1.0, 2.0)
    guard.close()
    ((step, readings),) = memory.rows
    assert step == 0
    assert "| a\\|b | c d |" in readings["text/configuration"].text
    assert "| `0` | Linear | 3×2, 3 | 9 | 9 |" in readings["text/model"].text
    environment = readings["text/environment"].text
    assert f"| torch | {torch.__version__} " in environment
    git = Environment.collect().git
    assert git is None or "| git | " in environment


def test_an_incident_is_written_before_the_error_leaves() -> None:
    """Whoever does not close the guard sees it too."""
    memory = Memory()
    guard, model, optimizer = made(monitors=[Text()], sinks=[memory])
    with pytest.raises(TrainingIncident) as caught:
        train(guard, model, optimizer, 1.0, float("nan"))
    step, readings = memory.rows[-1]
    assert step == 1
    assert readings["text/incidents"].text.splitlines() == [f"    {line}" for line in str(caught.value).splitlines()]
    guard.close()


def test_all_of_it_is_in_one_tensorboard_run(tmp_path: Path) -> None:
    guard, model, optimizer = made(config={"width": 8}, logdir=tmp_path, policy="skip")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train(guard, model, optimizer, 1.0, float("nan"), 2.0)
    guard.close({"f1": 0.5})
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path.name != "incidents"]
    events = EventAccumulator(str(tmp_path)).Reload()
    tags = events.Tags()
    texts = {f"text/{name}/text_summary" for name in ("configuration", "environment", "model", "incidents")}
    assert texts <= set(tags["tensors"])
    assert [e.value for e in events.Scalars("final/f1")] == [0.5]
    plugin = events.PluginTagToContent("hparams")
    assert {"_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"} <= set(plugin)
    rows = list(read_rows(tmp_path / "readings.jsonl"))
    (hyperparameters,) = [row["hyperparameters"] for row in rows if "hyperparameters" in row]
    assert hyperparameters["values"]["width"] == 8
