"""A small training as a plain loop, and what an adapter has to show of the same training in its framework."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from runtime_guard import Guard, Incident
from runtime_guard.sinks.memory import Memory

NUM_BATCHES, NUM_EPOCHS, BATCH_SIZE = 6, 2, 8
BAD_SAMPLE = 27
"""In the batch with number 3, on which the training is to fail."""
BAD_BATCH = BAD_SAMPLE // BATCH_SIZE
MAX_NORM = 0.05

Rows = list[tuple[int, dict[str, Any]]]


class Entropy(nn.Module):
    """Where a sample of zeros makes an infinity."""

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs * torch.log(inputs.sum(1, keepdim=True))).mean()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))
        self.entropy = Entropy()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layers(inputs)

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return (self(inputs) - targets).square().mean() + 0.01 * self.entropy(inputs)


def seed() -> None:
    torch.manual_seed(0)


def data(*, is_bad: bool = False) -> TensorDataset:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(NUM_BATCHES * BATCH_SIZE, 4, generator=generator) + 0.1
    if is_bad:
        inputs[BAD_SAMPLE] = 0.0
    return TensorDataset(inputs, inputs.sum(1, keepdim=True))


def loader(*, is_bad: bool = False) -> DataLoader[Any]:
    # With a generator of its own it draws nothing from that of dropout, however often a framework asks for an iterator.
    return DataLoader(data(is_bad=is_bad), batch_size=BATCH_SIZE, generator=torch.Generator())


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def plain_rows(
    *, accumulate: int = 1, scaler: torch.amp.GradScaler | None = None, autocast: torch.dtype | None = None
) -> Rows:
    """What the guard shows of the plain loop."""
    seed()
    model, memory = Net(), Memory()
    optimizer = optimizer_of(model)
    scaler = torch.amp.GradScaler("cpu", enabled=False) if scaler is None else scaler
    with Guard(model, optimizer, scaler=scaler, sinks=[memory]) as guard:
        for _ in range(NUM_EPOCHS):
            for number, (inputs, targets) in enumerate(guard.watch(loader())):
                with torch.autocast("cpu", autocast, enabled=autocast is not None):
                    loss = model.loss(inputs, targets)
                scaler.scale(loss / accumulate).backward()
                if (number + 1) % accumulate == 0:
                    scaler.unscale_(optimizer)
                    nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
                    scaler.step(optimizer)
                    scaler.update()
                    optimizer.zero_grad()
            guard.epoch_end()
    return training_rows(memory)


def training_rows(memory: Memory) -> Rows:
    """Readings of the training itself: not how long it took, and what memory it needed."""
    wanted = ("loss/", "gradients/", "optimizer/")
    rows = ((step, {k: v for k, v in row.items() if k.startswith(wanted)}) for step, row in memory.rows)
    return [(step, row) for step, row in rows if row]


def validation_losses(memory: Memory) -> list[Any]:
    """One for each batch."""
    key = "loss/validation_batch/loss"
    return [row[key] for _, row in memory.rows if key in row]


def same(model: nn.Module, other: nn.Module) -> bool:
    """Parameters and buffers, bit for bit."""
    a, b = model.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def assert_names_the_fault(
    incident: Incident, *, step: int = BAD_BATCH, module: str = "entropy", is_bit_equal: bool = True
) -> None:
    """Step, module, operation, line, and that the step was run again."""
    birth = incident.birth
    assert incident.step == step
    assert incident.replayed
    assert incident.is_replay_bit_equal is is_bit_equal
    assert birth is not None
    assert birth.operation == "log"
    assert birth.modules == (module,)
    assert birth.place is not None
    assert birth.place.text == "return (inputs * torch.log(inputs.sum(1, keepdim=True))).mean()"


def without_the_bad_batch() -> Net:
    """What a plain loop learns that never sees it."""
    seed()
    model = Net()
    optimizer = optimizer_of(model)
    for _ in range(NUM_EPOCHS):
        for number, batch in enumerate(loader()):
            if number != BAD_BATCH:
                optimizer.zero_grad()
                model.loss(*batch).backward()
                nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
                optimizer.step()
    return model
