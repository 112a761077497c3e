"""Trainings that show samples of every kind to the guard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from runtime_guard import Guard
from runtime_guard.monitor import Monitor
from runtime_guard.sinks.memory import Memory

NUM_CLASSES = 3
KINDS = ("classification", "binary", "multilabel", "segmentation", "detection", "text")
ODD_KINDS = ("broken", "regression")
"""Classification with scores that are NaN, and no classes at all."""


class SmallNet(nn.Module):
    """Of pictures `(N, 3, 12, 12)`: logits of classes, or of the classes of pixels."""

    def __init__(self, num_outputs: int, *, is_dense: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Conv2d(8, num_outputs, 1)
        self.is_dense = is_dense

    def forward(self, x: Tensor) -> Tensor:
        found = self.head(self.dropout(self.stem(x)))
        return found if self.is_dense else found.mean((2, 3))


def batches(kind: str, num: int = 4, size: int = 10) -> Iterator[tuple[Tensor, Any]]:
    """Always the same ones; how many objects there are differs from picture to picture."""
    for number in range(num):
        generator = torch.Generator().manual_seed(number)
        x = torch.randn(size, 3, 12, 12, generator=generator)
        label = torch.randint(NUM_CLASSES, (size,), generator=generator)
        match kind:
            case "binary":
                yield x, (label > 0).float()
            case "multilabel":
                yield x, torch.randint(2, (size, NUM_CLASSES), generator=generator).float()
            case "segmentation":
                yield x, torch.randint(NUM_CLASSES, (size, 12, 12), generator=generator)
            case _:
                yield x, label


def train(kind: str, guard: Guard, model: nn.Module, optimizer: torch.optim.Optimizer, epochs: int = 2) -> None:
    """With a validation after each epoch."""
    for _ in range(epochs):
        model.train()
        for number, (x, y) in enumerate(guard.watch(list(batches(kind)))):
            optimizer.zero_grad()
            loss = _step(kind, guard, model, x, y, number)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for number, (x, y) in enumerate(guard.validate(list(batches(kind, num=2)))):
                guard.loss(_step(kind, guard, model, x, y, number))
        guard.epoch_end()


def _step(kind: str, guard: Guard, model: nn.Module, x: Tensor, y: Tensor, number: int) -> Tensor:
    scores = model(x)
    indices = torch.arange(len(x)) + number * len(x)
    if kind == "binary":
        scores = scores[:, 0]
    if kind in ("binary", "multilabel"):
        guard.samples(scores, y, inputs=x, indices=indices)
        return nn.functional.binary_cross_entropy_with_logits(scores, y)
    if kind == "detection":
        found = [
            {"boxes": _boxes(i % 3), "labels": torch.arange(i % 3), "scores": torch.ones(i % 3)} for i in range(len(x))
        ]
        guard.samples(found, [{"boxes": _boxes(2), "labels": torch.arange(2)} for _ in x], inputs=x, indices=indices)
    elif kind == "regression":
        guard.samples(scores, nn.functional.one_hot(y, NUM_CLASSES).float()[:, None] * 2.5, inputs=x, indices=indices)
    elif kind == "broken":
        bad = scores.detach().clone()
        bad[1] = torch.nan
        guard.samples(bad, y, inputs=x, indices=indices)
    elif kind == "text":
        guard.samples(scores, y, inputs=[f"sample {i} | of <{number}>" for i in indices.tolist()])
    else:
        guard.samples(scores, y, inputs=x, indices=indices)
    return nn.functional.cross_entropy(scores, y)


def _boxes(num: int) -> Tensor:
    corners = torch.arange(num)[:, None] * 4.0
    return torch.cat([corners, corners, corners + 5, corners + 5], 1)


def started(kind: str) -> tuple[SmallNet, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = SmallNet(NUM_CLASSES, is_dense=kind == "segmentation")
    return model, torch.optim.AdamW(model.parameters(), 1e-2)


def shown_samples(kind: str, monitors: list[Monitor]) -> Memory:
    """What is written."""
    memory = Memory()
    model, optimizer = started(kind)
    with Guard(model, optimizer, monitors=monitors, sinks=[memory], class_names=["cat", "dog", "owl"]) as guard:
        train(kind, guard, model, optimizer)
    return memory
