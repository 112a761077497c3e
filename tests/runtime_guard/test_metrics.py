"""What the user measured is shown under names that put training beside validation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from runtime_guard import Guard
from runtime_guard.monitors.metrics import Metrics
from runtime_guard.readings.measured import measured
from runtime_guard.sinks.memory import Memory


class Accuracy:
    """As torchmetrics' objects are."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.num_right, self.num = torch.tensor(0), 0
        self.update_called = False

    def update(self, scores: Tensor, targets: Tensor) -> None:
        self.num_right = self.num_right + (scores.argmax(1) == targets).sum()
        self.num += len(targets)
        self.update_called = True

    def compute(self) -> Any:
        return self.num_right / self.num


class Collection(Accuracy):
    """As its MetricCollection."""

    def compute(self) -> Any:
        return {"accuracy": super().compute(), "seen": self.num}


def shown(*epochs: Any, last: Any = None, class_names: tuple[str, ...] = ()) -> dict[str, list[Any]]:
    """What becomes of the metrics of each epoch."""
    model, memory = nn.Linear(2, 3), Memory()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    guard = Guard(model, optimizer, monitors=[Metrics()], sinks=[memory], class_names=class_names)
    for metrics in epochs:
        for x in guard.watch([torch.ones(1, 2)]):
            model(x).sum().backward()
            optimizer.step()
        guard.epoch_end(metrics)
    guard.close(last)
    found: dict[str, list[Any]] = {}
    for _, readings in memory.rows:
        for key, value in readings.items():
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("accuracy", "metrics/accuracy"),
        ("train_accuracy", "metrics/accuracy/train"),
        ("val_accuracy", "metrics/accuracy/validation"),
        ("valid/top_5", "metrics/top_5/validation"),
        ("eval-f1", "metrics/f1/validation"),
        ("accuracy_test", "metrics/accuracy/test"),
        ("Training/mAP", "metrics/mAP/train"),
        ("value", "metrics/value"),
        ("trained_steps", "metrics/trained_steps"),
        ("test", "metrics/test"),
    ],
)
def test_the_phase_comes_last(name: str, key: str) -> None:
    assert shown({name: 0.5}) == {key: [0.5]}


def test_mappings_are_flat() -> None:
    assert shown({"train": {"f1": 1, "recall": 0.5}, "validation": {"f1": 0}}) == {
        "metrics/f1/train": [1.0],
        "metrics/recall/train": [0.5],
        "metrics/f1/validation": [0.0],
    }


@pytest.mark.parametrize("value", [0.25, torch.tensor(0.25), torch.tensor([0.25]), np.float32(0.25), np.array([0.25])])
def test_numbers_are_numbers_whatever_holds_them(value: Any) -> None:
    assert shown({"f1": value}) == {"metrics/f1": [0.25]}


def test_lists_are_one_of_each_class() -> None:
    recall = torch.tensor([0.5, 1.0])
    assert shown({"recall": recall}) == {"metrics/recall/0": [0.5], "metrics/recall/1": [1.0]}
    named = shown({"recall": recall}, class_names=("cat", "dog"))
    assert named == {"metrics/recall/cat": [0.5], "metrics/recall/dog": [1.0]}
    assert shown({"confusion": torch.eye(3), "best": "first.pt", "f1": torch.ones(101)}) == {}


def test_objects_are_asked_and_begin_anew() -> None:
    accuracy, collection = Accuracy(), Collection()
    generator = torch.Generator().manual_seed(0)
    model, memory = nn.Linear(2, 3), Memory()
    expected = []
    with Guard(model, torch.optim.SGD(model.parameters(), 0.1), monitors=[Metrics()], sinks=[memory]) as guard:
        assert not list(guard.watch([]))
        for _ in range(2):
            num_right = 0
            for _ in range(3):
                scores, targets = torch.randn(5, 3, generator=generator), torch.randint(0, 3, (5,), generator=generator)
                accuracy.update(scores, targets)
                collection.update(scores, targets)
                num_right += sum(int(s.argmax()) == int(t) for s, t in zip(scores, targets, strict=True))
            expected.append(num_right / 15)
            guard.epoch_end({"val_accuracy": accuracy, "train": collection})
    found = [readings for _, readings in memory.rows]
    assert [row["metrics/accuracy/validation"] for row in found] == pytest.approx(expected)
    assert [row["metrics/accuracy/train"] for row in found] == pytest.approx(expected)
    assert [row["metrics/seen/train"] for row in found] == [15, 15]
    assert guard.metrics[0]["val_accuracy"] == pytest.approx(expected[0])


def test_an_object_that_was_never_updated_is_left_out() -> None:
    assert measured({"a": Accuracy(), "b": 1}) == {"b": 1}


def test_real_torchmetrics_are_understood() -> None:
    torchmetrics = pytest.importorskip("torchmetrics")
    metric = torchmetrics.classification.MulticlassAccuracy(num_classes=2, average=None)
    metric.update(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]))
    assert measured({"m": torchmetrics.MetricCollection({"recall": metric})}) == {"m/recall": [0.5, 1.0]}
    assert not metric.update_called
    assert measured({"m": metric}) == {}


def test_what_was_measured_at_the_end_is_shown_once() -> None:
    assert shown({"f1": 0.5}) == {"metrics/f1": [0.5]}
    assert shown({"f1": 0.5}, last={"test_f1": 0.25}) == {"metrics/f1": [0.5], "metrics/f1/test": [0.25]}


def test_metrics_on_a_device_are_plain_numbers_in_the_run_s_health(tmp_path: Path) -> None:
    model = nn.Linear(2, 3)
    with Guard(model, torch.optim.SGD(model.parameters(), 0.1), logdir=tmp_path, monitors="none") as guard:
        guard.epoch_end({"f1": torch.tensor(0.5), "recall": torch.tensor([0.5, 1.0])})
    health = json.loads((tmp_path / "health.json").read_text())
    assert health["metrics"] == guard.metrics == [{"f1": 0.5, "recall": [0.5, 1.0]}]
