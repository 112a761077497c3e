"""Trainings whose steps take some milliseconds, and one whose number of parameters can be chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


@dataclass
class Workload:
    """A training that repeats itself."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batch: tuple[Tensor, Tensor]

    def step(self) -> None:
        x, y = self.batch
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(x), y).backward()
        self.optimizer.step()


class Block(nn.Module):
    """Two convolutions with batch norm, around which the input is carried."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def resnet() -> Workload:
    model = nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), Block(32), Block(32), nn.MaxPool2d(2), Block(32), Block(32),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    batch = (torch.randn(16, 3, 32, 32), torch.randint(0, 10, (16,)))
    return Workload(model, torch.optim.SGD(model.parameters(), 0.01, momentum=0.9), batch)


class Classifier(nn.Module):
    """A transformer over a sequence, averaged."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.1, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean(1))


def transformer() -> Workload:
    model = Classifier(128, 4)
    batch = (torch.randn(16, 64, 128), torch.randint(0, 10, (16,)))
    return Workload(model, torch.optim.AdamW(model.parameters(), 1e-4), batch)


def small() -> Workload:
    """A step of a few milliseconds, for which everything counts."""
    model = nn.Sequential(*(layer for _ in range(6) for layer in (nn.Linear(256, 256), nn.ReLU())), nn.Linear(256, 10))
    batch = (torch.randn(256, 256), torch.randint(0, 10, (256,)))
    return Workload(model, torch.optim.AdamW(model.parameters(), 1e-4), batch)


def tensors(count: int, width: int = 8) -> Workload:
    """A model of so many small parameters."""
    model = nn.Sequential(*(nn.Linear(width, width) for _ in range(count // 2)), nn.Linear(width, 10))
    batch = (torch.randn(4, width), torch.randint(0, 10, (4,)))
    return Workload(model, torch.optim.SGD(model.parameters(), 1e-6), batch)


def elements(numel: int) -> Workload:
    """A model of eight square weights with so many elements together."""
    width = int((numel / 8) ** 0.5)
    model = nn.Sequential(*(nn.Linear(width, width, bias=False) for _ in range(8)), nn.Linear(width, 10))
    batch = (torch.randn(32, width), torch.randint(0, 10, (32,)))
    return Workload(model, torch.optim.SGD(model.parameters(), 1e-6), batch)


WORKLOADS: dict[str, Callable[[], Workload]] = {made.__name__: made for made in (small, resnet, transformer)}
