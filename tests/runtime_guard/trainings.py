"""Small trainings of many kinds, each a function of a way to iterate, so that it runs with and without a guard."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

NUM_BATCHES = 6


class Net(nn.Module):
    """Batch norm, dropout and two linear layers: buffers that change, and random numbers."""

    def __init__(self, *, is_checkpointed: bool = False) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 16)
        self.norm = nn.BatchNorm1d(16)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(16, 3)
        self.is_checkpointed = is_checkpointed

    def features(self, x: Tensor) -> Tensor:
        return self.dropout(torch.relu(self.norm(self.stem(x))))

    def forward(self, x: Tensor) -> Tensor:
        hidden = checkpoint(self.features, x, use_reentrant=False) if self.is_checkpointed else self.features(x)
        return self.head(hidden)


@dataclass
class Run:
    """A training in progress: what a guard is given, and what it must not change."""

    models: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    body: Callable[[Any], Tensor]
    """One turn of the loop, which returns the loss."""
    loader: Iterable[Any]
    scaler: torch.amp.GradScaler | None = None
    scheduler: Any = ()
    losses: list[Tensor] = field(default_factory=list)

    def train(self, batches: Iterable[Any]) -> None:
        for batch in batches:
            self.losses.append(self.body(batch).detach().clone())


def loader(num_batches: int = NUM_BATCHES, batch_size: int = 8) -> DataLoader[tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(num_batches * batch_size, 6, generator=generator)
    y = torch.randint(0, 3, (num_batches * batch_size,), generator=generator)
    return DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=True)


def plain() -> Run:
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)

    def body(batch: Any) -> Tensor:
        x, y = batch
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss

    return Run({"": model}, {"": optimizer}, body, loader(), scheduler=scheduler)


def momentum() -> Run:
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), 1e-2, momentum=0.9, nesterov=True, weight_decay=1e-3)

    def body(batch: Any) -> Tensor:
        x, y = batch
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        return loss

    return Run({"": model}, {"": optimizer}, body, loader())


def fused() -> Run:
    run = plain()
    model = run.models[""]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, fused=True)

    def body(batch: Any) -> Tensor:
        x, y = batch
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return Run({"": model}, {"": optimizer}, body, run.loader)


def float16_with_scaler() -> Run:
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    # So large that the first steps are skipped.
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=2)

    def body(batch: Any) -> Tensor:
        x, y = batch
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16):
            loss = nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return loss

    return Run({"": model}, {"": optimizer}, body, loader(), scaler=scaler)


def bfloat16() -> Run:
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)

    def body(batch: Any) -> Tensor:
        x, y = batch
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return Run({"": model}, {"": optimizer}, body, loader())


def accumulation() -> Run:
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    turns = iter(range(10**6))

    def body(batch: Any) -> Tensor:
        x, y = batch
        loss = nn.functional.cross_entropy(model(x), y) / 2
        loss.backward()
        if next(turns) % 2 == 1:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    return Run({"": model}, {"": optimizer}, body, loader())


def checkpointing() -> Run:
    run = plain()
    run.models[""].is_checkpointed = True  # type: ignore[assignment]
    return run


def two_optimizers() -> Run:
    generator, critic = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 6)), Net()
    first = torch.optim.Adam(critic.parameters(), 1e-3)
    second = torch.optim.Adam(generator.parameters(), 1e-3)

    def body(batch: Any) -> Tensor:
        x, _ = batch
        fake = generator(torch.randn(len(x), 4))
        first.zero_grad()
        critic_loss = critic(fake.detach()).mean() - critic(x).mean()
        critic_loss.backward()
        first.step()
        second.zero_grad()
        loss = -critic(fake).mean()
        loss.backward()
        second.step()
        return loss

    return Run({"generator": generator, "critic": critic}, {"critic": first, "generator": second}, body, loader())


def lbfgs() -> Run:
    model = nn.Linear(6, 3)
    optimizer = torch.optim.LBFGS(model.parameters(), 0.5, max_iter=4, line_search_fn="strong_wolfe")

    def body(batch: Any) -> Tensor:
        x, y = batch

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        loss = optimizer.step(closure)
        assert isinstance(loss, Tensor)
        return loss

    return Run({"": model}, {"": optimizer}, body, loader())


def closure() -> Run:
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    def body(batch: Any) -> Tensor:
        x, y = batch

        def evaluate() -> Tensor:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        loss = optimizer.step(evaluate)
        assert isinstance(loss, Tensor)
        return loss

    return Run({"": model}, {"": optimizer}, body, loader())


ALL: dict[str, Callable[[], Run]] = {
    made.__name__: made
    for made in (
        plain, momentum, fused, float16_with_scaler, bfloat16, accumulation, checkpointing, two_optimizers, lbfgs,
        closure,
    )
}  # fmt: skip
