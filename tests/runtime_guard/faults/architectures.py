"""Small models of eight kinds, each with its training step on data it makes itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Batch = dict[str, Tensor]


@dataclass
class Training:
    """A model in training."""

    models: dict[str, nn.Module]
    losses: dict[str, Callable[[Batch], Tensor]]
    """By optimizer, in the order of their steps in one turn of the loop."""
    make_batch: Callable[[torch.Generator], Batch]
    sites: tuple[str, ...]
    """Modules, as `model.path` or `path`, that return one tensor through which the gradient flows."""
    input_name: str = "x"
    """A float tensor of the batch that reaches the loss."""
    optimizers: dict[str, torch.optim.Optimizer] = field(default_factory=dict)
    trained: dict[str, list[nn.Parameter]] = field(default_factory=dict)
    """Parameters by optimizer."""


class ConvNet(nn.Module):
    """Convolutions with batch norm, as in a small classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, stride=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Block(nn.Module):
    """A residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(x + self.bn2(self.conv2(out)))


class ResNet(nn.Module):
    """Residual blocks in two stages."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layer1 = nn.Sequential(Block(8), Block(8))
        self.pool = nn.MaxPool2d(2)
        self.layer2 = nn.Sequential(Block(8))
        self.fc = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.layer2(self.pool(self.layer1(self.stem(x)))).mean((2, 3)))


class Attention(nn.Module):
    """Self-attention written out, causal or not."""

    def __init__(self, width: int, num_heads: int, *, is_causal: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.num_heads = num_heads
        self.is_causal = is_causal

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if self.is_causal:
            mask = torch.ones(length, length, dtype=torch.bool).triu(1)
            scores = scores.masked_fill(mask, -math.inf)
        mixed = scores.softmax(-1) @ v
        return self.proj(mixed.transpose(1, 2).reshape(batch, length, width))


class Layer(nn.Module):
    """One layer of a transformer, normalised before."""

    def __init__(self, width: int, *, is_causal: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, 2, is_causal=is_causal)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.dropout(self.mlp(self.norm2(x)))


class Encoder(nn.Module):
    """A transformer over a sequence of vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 16)
        self.layers = nn.ModuleList(Layer(16, is_causal=False) for _ in range(2))
        self.norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x).mean(1))


class Decoder(nn.Module):
    """A language model with tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(20, 16)
        self.positions = nn.Embedding(8, 16)
        self.layers = nn.ModuleList(Layer(16, is_causal=True) for _ in range(2))
        self.norm = nn.LayerNorm(16)
        self.lm_head = nn.Linear(16, 20, bias=False)
        self.lm_head.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(self.norm(x))


class Recurrent(nn.Module):
    """An LSTM over a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(6, 8)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        hidden, _ = self.lstm(self.project(x))
        return self.head(hidden[:, -1])


class Vae(nn.Module):
    """Encoder and decoder around a sampled code."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(12, 16), nn.ReLU())
        self.mean = nn.Linear(16, 4)
        self.log_variance = nn.Linear(16, 4)
        self.decoder = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 12))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.encoder(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return {"reconstruction": self.decoder(code), "mean": mean, "log_variance": log_variance}


class UNet(nn.Module):
    """Predicts the noise that was added to a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 8))
        self.down1 = nn.Conv2d(1, 8, 3, padding=1)
        self.down2 = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.out = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        frequencies = torch.exp(-math.log(100.0) * torch.arange(4) / 4)
        angles = time[:, None] * frequencies
        embedded = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        first = F.silu(self.down1(x))
        second = F.silu(self.norm(self.down2(first)) + embedded[:, :, None, None])
        return self.out(torch.cat([first, self.up(F.silu(self.middle(second)))], 1))


def _classifier(model: nn.Module, shape: tuple[int, ...], sites: tuple[str, ...]) -> Training:
    def make_batch(generator: torch.Generator) -> Batch:
        return {
            "x": torch.randn(shape, generator=generator),
            "target": torch.randint(0, 4, (shape[0],), generator=generator),
        }

    def loss(batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch["x"]), batch["target"])

    return Training({"": model}, {"": loss}, make_batch, sites)


def cnn() -> Training:
    return _classifier(ConvNet(), (4, 3, 8, 8), ("features.0", "features.3", "head"))


def resnet() -> Training:
    return _classifier(ResNet(), (4, 3, 8, 8), ("stem", "layer1.1.conv2", "layer2.0.bn1", "fc"))


def encoder() -> Training:
    return _classifier(Encoder(), (4, 5, 6), ("embed", "layers.0.attention.proj", "layers.1.mlp.0", "norm"))


def lstm() -> Training:
    return _classifier(Recurrent(), (4, 5, 6), ("project", "head.2"))


def decoder() -> Training:
    model = Decoder()

    def make_batch(generator: torch.Generator) -> Batch:
        tokens = torch.randint(0, 20, (4, 9), generator=generator)
        return {"tokens": tokens, "weight": torch.rand(4, generator=generator) + 0.5}

    def loss(batch: Batch) -> Tensor:
        logits = model(batch["tokens"][:, :-1])
        losses = F.cross_entropy(logits.flatten(0, 1), batch["tokens"][:, 1:].flatten(), reduction="none")
        return (losses.view(4, -1).mean(1) * batch["weight"]).mean()

    sites = ("tokens", "layers.0.attention", "layers.1.mlp.2", "norm")
    return Training({"": model}, {"": loss}, make_batch, sites, input_name="weight")


def gan() -> Training:
    generator_net = nn.Sequential(nn.Linear(4, 16), nn.LeakyReLU(0.2), nn.Linear(16, 6))
    critic = nn.Sequential(nn.Linear(6, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))

    def make_batch(generator: torch.Generator) -> Batch:
        return {"x": torch.randn(8, 6, generator=generator)}

    def critic_loss(batch: Batch) -> Tensor:
        fake = generator_net(torch.randn(8, 4)).detach()
        return F.softplus(critic(fake)).mean() + F.softplus(-critic(batch["x"])).mean()

    def generator_loss(batch: Batch) -> Tensor:
        return F.softplus(-critic(generator_net(torch.randn(8, 4)))).mean()

    return Training(
        {"generator": generator_net, "critic": critic},
        {"critic": critic_loss, "generator": generator_loss},
        make_batch,
        ("critic.0", "critic.2"),
    )


def vae() -> Training:
    model = Vae()

    def make_batch(generator: torch.Generator) -> Batch:
        return {"x": torch.rand(8, 12, generator=generator)}

    def loss(batch: Batch) -> Tensor:
        out = model(batch["x"])
        fit = F.mse_loss(out["reconstruction"], batch["x"], reduction="none").sum(1)
        divergence = -0.5 * (1 + out["log_variance"] - out["mean"] ** 2 - out["log_variance"].exp()).sum(1)
        return (fit + divergence).mean()

    return Training({"": model}, {"": loss}, make_batch, ("encoder.0", "mean", "decoder.0", "decoder.2"))


def unet() -> Training:
    model = UNet()

    def make_batch(generator: torch.Generator) -> Batch:
        return {"x": torch.randn(4, 1, 8, 8, generator=generator)}

    def loss(batch: Batch) -> Tensor:
        noise, time = torch.randn_like(batch["x"]), torch.rand(4)
        level = time[:, None, None, None]
        noised = (1 - level).sqrt() * batch["x"] + level.sqrt() * noise
        return F.mse_loss(model(noised, time), noise)

    return Training({"": model}, {"": loss}, make_batch, ("time.0", "down1", "middle", "up"))


ARCHITECTURES: dict[str, Callable[[], Training]] = {
    made.__name__: made for made in (cnn, resnet, encoder, decoder, lstm, gan, vae, unet)
}


def module_at(training: Training, site: str) -> nn.Module:
    """The module of a site."""
    name, _, path = site.partition(".")
    if name in training.models:
        return training.models[name].get_submodule(path)
    return training.models[""].get_submodule(site)


def fields(batch: Batch) -> dict[str, Any]:
    """The batch without the marks that the injection put there."""
    return {key: value for key, value in batch.items() if key != "is_faulty"}
