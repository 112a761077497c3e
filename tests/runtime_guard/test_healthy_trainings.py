"""Trainings that look odd and are well run to the end without an incident or an early warning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR

from runtime_guard import Guard, Settings

# A warning of the guard is an error here, as everywhere in this suite.
NUM_STEPS = 120
Loop = tuple[nn.Module | dict[str, nn.Module], Any, Callable[[Any], None], Iterable[Any]]


def batches(num_samples: int = 16, num: int = NUM_STEPS) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    for _ in range(num):
        x = torch.randn(num_samples, 8, generator=generator)
        yield x, (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()


def tokens(length: int = 6) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(0, 20, (8, length), generator=generator) for _ in range(NUM_STEPS)]


def mlp(out: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, out))


def stepper(optimizer: torch.optim.Optimizer, loss_of: Callable[[Any], Tensor]) -> Callable[[Any], None]:
    def body(batch: Any) -> None:
        optimizer.zero_grad()
        loss_of(batch).backward()
        optimizer.step()

    return body


def mixed_precision_that_skips_its_first_steps() -> Loop:
    model = mlp()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24)

    def body(batch: Any) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.float16):
            loss = F.cross_entropy(model(batch[0]), batch[1])
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    return model, optimizer, body, batches()


class Masked(nn.Module):
    """Causal attention with a mask of -inf, or of the smallest number that there is, as it is for padding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.mask_scores = nn.Identity()
        self.head = nn.Linear(16, 20)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        hidden = self.embed(x)
        mask = torch.full((length, length), -math.inf).triu(1)
        hidden = hidden + self.attention(hidden, hidden, hidden, attn_mask=mask, need_weights=False)[0]
        scores = hidden @ hidden.transpose(1, 2) / 4
        scores = self.mask_scores(scores.masked_fill(mask.isinf(), torch.finfo(scores.dtype).min))
        return self.head(scores.softmax(-1) @ hidden)


def attention_with_masks() -> Loop:
    model = Masked()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)

    def loss(x: Tensor) -> Tensor:
        return F.cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten())

    return model, optimizer, stepper(optimizer, loss), tokens()


def sparse_gradients() -> Loop:
    embed, head = nn.EmbeddingBag(20, 16, sparse=True), nn.Linear(16, 2)
    optimizers = {
        "embed": torch.optim.SparseAdam(embed.parameters(), 1e-2),
        "head": torch.optim.Adam(head.parameters(), 1e-2),
    }

    def body(x: Tensor) -> None:
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        F.cross_entropy(head(embed(x)), (x[:, 0] > 9).long()).backward()
        for optimizer in optimizers.values():
            optimizer.step()

    return {"embed": embed, "head": head}, optimizers, body, tokens()


def frozen_layers() -> Loop:
    model = mlp()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(
        [{"params": model[2].parameters(), "lr": 0.0}, {"params": [*model[0].parameters(), *model[4].parameters()]}],
        0.1,
    )
    return model, optimizer, stepper(optimizer, lambda b: F.cross_entropy(model(b[0]), b[1])), batches()


def unused_parameters_and_gradients_of_zero() -> Loop:
    model = nn.ModuleDict({"used": mlp(), "unused": nn.Linear(4, 4), "idle": nn.Linear(4, 4)})
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    def loss(batch: Any) -> Tensor:
        idle = model["idle"](torch.zeros(2, 4)).sum() * 0
        return F.cross_entropy(model["used"](batch[0]), batch[1]) + idle

    return model, optimizer, stepper(optimizer, loss), batches()


def huge_losses() -> Loop:
    """Targets in the tens of thousands, squared and summed."""
    model = mlp(1)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    def loss(batch: Any) -> Tensor:
        return F.mse_loss(model(batch[0]) * 1e4, 5e4 * batch[0][:, :1], reduction="sum")

    return model, optimizer, stepper(optimizer, loss), batches()


def batches_of_no_samples() -> Loop:
    model = mlp()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    def loss(batch: Any) -> Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="sum")

    some = [(x[:0], y[:0]) if i % 7 == 3 else (x, y) for i, (x, y) in enumerate(batches())]
    return model, optimizer, stepper(optimizer, loss), some


def rewards() -> Loop:
    """Policy gradients: losses of both signs, now and then large."""
    policy = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4))
    optimizer = torch.optim.Adam(policy.parameters(), 1e-2)

    def loss(batch: Any) -> Tensor:
        choice = torch.distributions.Categorical(logits=policy(batch[0]))
        action = choice.sample()
        reward = (action == batch[1]).float() - 0.3 + (torch.rand(len(action)) < 0.05) * 10
        return -(choice.log_prob(action) * reward).mean() - 0.01 * choice.entropy().mean()

    return policy, optimizer, stepper(optimizer, loss), batches()


def adversaries() -> Loop:
    generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))
    critic = nn.Sequential(nn.Linear(8, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Sigmoid())
    optimizers = {
        "generator": torch.optim.Adam(generator.parameters(), 2e-3, betas=(0.5, 0.99)),
        "critic": torch.optim.Adam(critic.parameters(), 2e-3, betas=(0.5, 0.99)),
    }

    def body(batch: Any) -> None:
        real, ones = batch[0], torch.ones(len(batch[0]), 1)
        fake = generator(torch.randn(len(real), 4))
        optimizers["critic"].zero_grad()
        judged, forged = critic(real), critic(fake.detach())
        (F.binary_cross_entropy(judged, ones) + F.binary_cross_entropy(forged, 1 - ones)).backward()
        optimizers["critic"].step()
        optimizers["generator"].zero_grad()
        F.binary_cross_entropy(critic(fake), ones).backward()
        optimizers["generator"].step()

    return {"generator": generator, "critic": critic}, optimizers, body, batches()


class ZeroStart(nn.Module):
    """Residual branches that begin at nothing: scales of 1e-6, and last layers of zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList(mlp(8) for _ in range(3))
        self.scales = nn.ParameterList(nn.Parameter(torch.full((8,), 1e-6)) for _ in range(3))
        self.head = nn.Linear(8, 3)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.inner[0][4].weight)

    def forward(self, x: Tensor) -> Tensor:
        for inner, scale in zip(self.inner, self.scales, strict=True):
            x = x + scale * inner(F.layer_norm(x, (8,)))
        return self.head(x)


def layers_that_begin_at_zero() -> Loop:
    model = ZeroStart()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    return model, optimizer, stepper(optimizer, lambda b: F.cross_entropy(model(b[0]), b[1])), batches()


def learning_rate_from_zero_to_zero() -> Loop:
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), 0.3, momentum=0.9)
    scheduler = LambdaLR(optimizer, lambda step: min(step / 30, max(0.0, 1 - step / (NUM_STEPS - 5))))

    def body(batch: Any) -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()
        scheduler.step()

    return model, optimizer, body, batches()


def certainty() -> Loop:
    """A task that is learned until the probabilities are 0 and 1, and the gradients nothing."""
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid())
    optimizer = torch.optim.Adam(model.parameters(), 3e-2)

    def loss(batch: Any) -> Tensor:
        sure = batch[0] + 2 * batch[0][:, :1].sign()
        return F.binary_cross_entropy(model(sure), (batch[0][:, :1] > 0).float())

    return model, optimizer, stepper(optimizer, loss), batches()


def convolutions_before_batch_norm() -> Loop:
    """Whose biases have gradients of rounding errors only."""
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Flatten(), nn.Dropout(), nn.Linear(8 * 36, 3),
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)

    def loss(batch: Any) -> Tensor:
        return F.cross_entropy(model(batch[0].unsqueeze(1).unsqueeze(-1).expand(-1, -1, 8, 8)), batch[1])

    return model, optimizer, stepper(optimizer, loss), batches()


def experts_without_samples() -> Loop:
    gate, experts = nn.Linear(8, 4), nn.ModuleList(mlp(3) for _ in range(4))
    optimizer = torch.optim.Adam([*gate.parameters(), *experts.parameters()], 1e-2)

    def loss(batch: Any) -> Tensor:
        weights, chosen = gate(batch[0]).softmax(-1).max(-1)
        out = torch.zeros(len(weights), 3)
        for index, expert in enumerate(experts):
            rows = (chosen == index).nonzero().flatten()
            out = out.index_add(0, rows, expert(batch[0][rows]) * weights[rows, None])
        return F.cross_entropy(out, batch[1])

    return {"gate": gate, "experts": experts}, optimizer, stepper(optimizer, loss), batches(6)


TRAININGS = {
    made.__name__: made
    for made in (
        mixed_precision_that_skips_its_first_steps, attention_with_masks, sparse_gradients, frozen_layers,
        unused_parameters_and_gradients_of_zero, huge_losses, batches_of_no_samples, rewards, adversaries,
        layers_that_begin_at_zero, learning_rate_from_zero_to_zero, certainty, convolutions_before_batch_norm,
        experts_without_samples,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", TRAININGS)
def test_it_runs_to_the_end_without_a_word(name: str) -> None:
    torch.manual_seed(0)
    model, optimizer, body, data = TRAININGS[name]()
    with Guard(model, optimizer, settings=Settings()) as guard:
        for batch in guard.watch(data):
            body(batch)
    assert not guard.incidents
    assert not guard.omens
    assert guard.watcher is not None
    assert guard.watcher.step == NUM_STEPS
