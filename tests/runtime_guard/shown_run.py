"""A small training as a user writes it, of which everything is shown: pictures of three shapes, some labels wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from runtime_guard import Guard, Settings
from runtime_guard.guard import IncidentWarning
from runtime_guard.monitor import Epoch, Monitor
from runtime_guard.reading import Curve, Layout, Picture, Reading
from runtime_guard.sink import Sink

CLASS_NAMES = ("circle", "cross", "square")
SIZE = 24
WRONG_LABELS = (5, 17, 40)
"""Indices in the training set."""


class ShapeNet(nn.Module):
    """Two convolutions and a linear layer: `(N, 3, H, W)` to `(N, 3)`. A picture of one colour is 0 / 0."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 5, padding=2)
        self.conv2 = nn.Conv2d(16, 32, 5, padding=2)
        self.head = nn.Linear(32, len(CLASS_NAMES))

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(dim=(1, 2, 3), keepdim=True)
        x = x / x.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        x = nn.functional.max_pool2d(self.conv1(x).relu(), 2)
        return self.head(self.conv2(x).relu().mean(dim=(2, 3)))


def shapes(num: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures `(num, 3, SIZE, SIZE)` from 0 to 1, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(len(CLASS_NAMES), (num,), generator=generator)
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    pictures = torch.rand(num, 3, SIZE, SIZE, generator=generator) * 0.4
    for picture, number in zip(pictures, classes.tolist(), strict=True):
        centre = torch.randint(8, SIZE - 8, (2,), generator=generator)
        dy, dx = (y - centre[0]).abs(), (x - centre[1]).abs()
        inside = [dy**2 + dx**2 <= 36, torch.minimum(dy, dx) <= 1, torch.maximum(dy, dx) <= 5][number]
        inside &= torch.maximum(dy, dx) <= 6
        picture[:, inside] += torch.rand(3, 1, generator=generator) * 0.3 + 0.3
    return pictures.clamp(0, 1), classes


def train(
    logdir: Path | None,
    *,
    epochs: int = 3,
    num_samples: int = 96,
    monitors: Sequence[Monitor] | str = "all",
    sinks: Sequence[Sink] | None = None,
    has_black: bool = False,
) -> Guard:
    """Trains, and returns the guard, closed. A black picture makes one batch of each epoch bad; it is skipped."""
    torch.manual_seed(0)
    pictures, classes = shapes(num_samples, 1)
    classes[list(WRONG_LABELS)] = (classes[list(WRONG_LABELS)] + 1) % len(CLASS_NAMES)
    if has_black:
        pictures[3] = 0
    train_set = TensorDataset(pictures, classes, torch.arange(num_samples))
    train_loader = DataLoader(train_set, 16, shuffle=True)
    val_loader = DataLoader(TensorDataset(*shapes(48, 2), torch.arange(48)), 16)
    model = ShapeNet()
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    config = {"lr": 0.01, "batch_size": 16, "optimizer": "AdamW", "model": {"width": 16}}
    with (
        warnings.catch_warnings(),
        Guard(
            model,
            optimizer,
            logdir=logdir,
            monitors=monitors,
            sinks=sinks,
            config=config,
            class_names=CLASS_NAMES,
            settings=Settings(policy="skip"),
        ) as guard,
    ):
        warnings.simplefilter("ignore", IncidentWarning)
        metrics = {}
        for _ in range(epochs):
            model.train()
            for x, y, indices in guard.watch(train_loader):
                optimizer.zero_grad()
                scores = model(x)
                loss = guard.loss(nn.functional.cross_entropy(scores, y), "cross_entropy")
                guard.samples(scores, y, inputs=x, indices=indices)
                loss.backward()
                optimizer.step()
            metrics = {"accuracy": validated(model, guard, val_loader)}
            guard.epoch_end(metrics)
        guard.close(metrics)
    return guard


def validated(model: nn.Module, guard: Guard, loader: Iterable[Any]) -> float:
    """The accuracy."""
    model.eval()
    num_right = num = 0
    with torch.no_grad():
        for x, y, indices in guard.validate(loader):
            scores = model(x)
            guard.loss(nn.functional.cross_entropy(scores, y), "cross_entropy")
            guard.samples(scores, y, inputs=x, indices=indices)
            num_right += int((scores.argmax(1) == y).sum())
            num += len(y)
    return num_right / num


class Kinds(Monitor):
    """Yields what no monitor does, under `kinds/`."""

    def end_epoch(self, epoch: Epoch) -> Iterator[Reading]:
        gradient = np.linspace(0, 255, 40 * 40 * 3).reshape(40, 40, 3).astype(np.uint8)
        yield Reading("kinds/picture", Picture(lambda: gradient, "A gradient"))
        counts = tuple(range(100, 0, -10))
        precision = tuple(0.5 + 0.05 * i for i in range(10))
        recall = tuple(count / 100 for count in counts)
        yield Reading("kinds/curve", Curve(counts, counts, counts, counts, precision, recall))

    def close(self, metrics: Mapping[str, Any]) -> Iterator[Reading]:
        yield Reading(
            "kinds/layout", Layout({"Overview": {"Loss": ["loss/epoch/.*"], "Gradients": ["gradients/norm"]}})
        )
