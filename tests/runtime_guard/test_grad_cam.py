"""Heat maps are those of the formula and of the peer, at the right layer, and leave no trace in the training."""

from __future__ import annotations

import importlib.util
import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime_guard import Guard
from runtime_guard.drawing.heat import heated
from runtime_guard.monitors.grad_cam import GradCam
from runtime_guard.reading import Picture
from runtime_guard.readings.aside import aside
from runtime_guard.readings.class_activation import HeatMaps, class_activation, heat_maps, scores_like
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sinks.memory import Memory

NUM_CLASSES = 3


class ConvNet(nn.Module):
    """`(N, 3, H, W)` to `(N, 3)`, with operations in place and a pooled layer behind the one to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.pool(self.body(self.stem(x))).flatten(1))
        return found


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (each.unflatten(2, (2, -1)).transpose(1, 2) for each in self.qkv(x).chunk(3, 2))
        # Leaves (N, heads, tokens, tokens), which looks like a picture.
        weights = self.drop((q @ k.transpose(-2, -1)).softmax(-1))
        mixed: Tensor = self.out((weights @ v).transpose(1, 2).flatten(2))
        return mixed


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Vit(nn.Module):
    """Patches of 4 by 4, and as many extra tokens before them, of which the first one is the class token."""

    def __init__(self, num_extra: int = 1, grid: tuple[int, int] = (4, 4), width: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.extra = nn.Parameter(torch.randn(num_extra, width))
        self.place = nn.Parameter(torch.randn(num_extra + grid[0] * grid[1], width))
        self.blocks = nn.ModuleList([Block(width), Block(width)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, NUM_CLASSES)
        self.has_class_token = num_extra > 0

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.extra.expand(len(x), -1, -1), tokens], 1) + self.place
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        features = tokens[:, 0] if self.has_class_token else tokens.mean(1)
        return {"features": features, "logits": self.head(features)}


class ChannelsLast(nn.Module):
    """`(N, H, W, C)` inside, as in Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.norm(self.patches(x).permute(0, 2, 3, 1)).tanh().mean((1, 2)))
        return found


class SequenceFirst(nn.Module):
    """`(tokens, N, C)` inside, as torch's own encoder has it by default."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16)
        self.head = nn.Linear(8, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.layer(self.patches(x).flatten(2).permute(2, 0, 1)).mean(0))
        return found


def maps_of(model: nn.Module, pictures: Tensor, classes: Tensor, layer: str | None = None) -> HeatMaps:
    def chosen(scores: Tensor) -> Tensor:
        return scores.gather(1, classes[:, None])[:, 0]

    with aside(model):
        found = heat_maps(model, pictures, scores_like((NUM_CLASSES,)), [chosen], layer=layer)
    assert found is not None
    return found


def by_hand(
    model: nn.Module, layer: nn.Module, picture: Tensor, label: int, grid: Callable[[Tensor], Tensor]
) -> Tensor:
    """One picture at a time, channel by channel."""
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _module, _args, output: kept.append(output))
    model.eval()
    outputs = model(picture[None])
    handle.remove()
    scores = outputs["logits"] if isinstance(outputs, dict) else outputs
    (gradient,) = torch.autograd.grad(scores[0, label], kept[0])
    values, slopes = grid(kept[0])[0], grid(gradient)[0]
    total = torch.zeros(values.shape[1:])
    for channel in range(len(values)):
        total = total + slopes[channel].mean() * values[channel]
    total = total.clamp(min=0).detach()
    large = nn.functional.interpolate(total[None, None], tuple(picture.shape[1:]), mode="bilinear")[0, 0]
    return large / large.max() if large.max() > 0 else large


def plain(values: Tensor) -> Tensor:
    return values


def tokens_of(num_extra: int, height: int, width: int) -> Callable[[Tensor], Tensor]:
    return lambda values: values[:, num_extra:].transpose(1, 2).reshape(len(values), -1, height, width)


def seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(3)
    return make()


ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], str, Callable[[Tensor], Tensor], tuple[int, int]]] = {
    "conv": (ConvNet, "body", plain, (16, 16)),
    "conv of odd size": (ConvNet, "body", plain, (15, 22)),
    # Behind the last block only the class token matters: its attention's input is the last place where all do.
    "vit": (Vit, "blocks.1.norm1", tokens_of(1, 4, 4), (16, 16)),
    "vit with registers": (lambda: Vit(5), "blocks.1.norm1", tokens_of(5, 4, 4), (16, 16)),
    "vit of means": (lambda: Vit(0), "norm", tokens_of(0, 4, 4), (16, 16)),
    "wide vit": (lambda: Vit(1, (3, 6)), "blocks.1.norm1", tokens_of(1, 3, 6), (12, 24)),
    "channels last": (ChannelsLast, "norm", lambda values: values.permute(0, 3, 1, 2), (16, 16)),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_maps_are_those_of_the_slow_formula_at_the_last_layer_with_places(name: str) -> None:
    make, layer, grid, size = ARCHITECTURES[name]
    model = seeded(make)
    pictures, classes = torch.randn(5, 3, *size), torch.tensor([0, 1, 2, 0, 1])
    found = maps_of(model, pictures, classes)
    assert found.layer == layer
    model.eval()
    for number, picture in enumerate(pictures):
        expected = by_hand(model, model.get_submodule(layer), picture, int(classes[number]), grid)
        torch.testing.assert_close(found.maps[0, number], expected, rtol=1e-4, atol=1e-5)
    assert found.maps.max() == 1


def test_tokens_may_come_before_the_samples() -> None:
    model = seeded(SequenceFirst)
    pictures, classes = torch.randn(3, 3, 16, 16), torch.tensor([0, 1, 2])
    found = maps_of(model, pictures, classes)
    assert found.layer == "layer"
    expected = by_hand(
        model, model.get_submodule("layer"), pictures[1], 1, lambda values: values.permute(1, 2, 0).unflatten(2, (4, 4))
    )
    torch.testing.assert_close(found.maps[0, 1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(importlib.util.find_spec("pytorch_grad_cam") is None, reason="grad-cam is not installed")
@pytest.mark.parametrize(("name", "layer"), [("conv", "stem"), ("conv", "body"), ("vit", "blocks.1.norm1")])
def test_maps_are_those_of_the_peer(name: str, layer: str) -> None:
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    make, _, grid, size = ARCHITECTURES[name]
    model = seeded(make).eval()
    pictures, classes = torch.randn(5, 3, *size), torch.tensor([0, 1, 2, 0, 1])
    found = maps_of(model, pictures, classes, layer)

    class Scores(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            outputs = self.model(x)
            return outputs["logits"] if isinstance(outputs, dict) else outputs

    with GradCAM(Scores(), [model.get_submodule(layer)], reshape_transform=grid) as peer:
        theirs = torch.from_numpy(peer(pictures, [ClassifierOutputTarget(int(label)) for label in classes]))
    # It also takes the smallest number off each map before and after it is made larger.
    ours = found.maps[0]
    low = ours.amin((1, 2), keepdim=True)
    ours = (ours - low) / (ours.amax((1, 2), keepdim=True) - low).clamp(min=1e-7)
    num_close = int(((ours - theirs).abs().amax((1, 2)) < 0.05).sum())
    assert num_close == len(pictures)


def test_the_place_that_decides_is_the_warm_one() -> None:
    """Class 1 is a bright square; where it lies is where the heat is."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        model[0].weight.fill_(0)
        model[0].weight[1] = 1 / 9
    picture = torch.zeros(1, 1, 24, 24)
    picture[:, :, 4:10, 14:20] = 1
    found = heat_maps(model, picture, scores_like((2,)), [lambda scores: scores[:, 1]])
    assert found is not None
    heat = found.maps[0, 0]
    assert heat[4:10, 14:20].mean() > 0.7
    heat[2:12, 12:22] = 0
    assert not heat.any()


def test_a_layer_that_is_not_there_is_named() -> None:
    model, pictures = ConvNet(), torch.randn(2, 3, 16, 16)
    with pytest.raises(ValueError, match="the model has no layer 'bdy'; do you mean 'body'"):
        maps_of(model, pictures, torch.tensor([0, 1]), "bdy")
    with pytest.raises(ValueError, match="no outputs of the layer 'head' that have places"):
        maps_of(model, pictures, torch.tensor([0, 1]), "head")
    with pytest.raises(ValueError, match=r"no scores of the shape \(7,\)"):
        heat_maps(model, pictures, scores_like((7,)), [lambda scores: scores[:, 0]])
    with pytest.raises(ValueError, match="k is 0, expected 1 or more"):
        GradCam(k=0)


def test_a_perceptron_has_no_maps() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 8), nn.ReLU(), nn.Linear(8, NUM_CLASSES))
    assert heat_maps(model, torch.randn(2, 3, 8, 8), scores_like((3,)), [lambda scores: scores[:, 0]]) is None


def test_maps_without_anything_that_speaks_for_a_class_are_dark() -> None:
    values, gradients = torch.rand(1, 2, 4, 4), -torch.ones(1, 2, 4, 4)
    assert not class_activation(values, gradients, (8, 8)).any()
    gradients[0, 0, 0, 0] = torch.nan
    assert class_activation(values, gradients, (8, 8)).isfinite().all()


class Restless(nn.Module):
    """Changes all that a forward pass can change."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, NUM_CLASSES, 3)
        self.norm = nn.BatchNorm2d(NUM_CLASSES)
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("last", None)
        self.num_calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += 1
        self.last = x.detach()
        self.num_calls += 1
        self.seen = x.shape
        noise = random.random() + torch.rand(())
        found: Tensor = nn.functional.dropout(self.norm(self.conv(x)), 0.5).mean((2, 3)) * noise
        return found


def test_a_model_that_is_run_aside_is_left_as_it_was() -> None:
    torch.manual_seed(1)
    random.seed(1)
    model = Restless()
    model.norm.eval()
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    last, drawn, python = model.last, torch.get_rng_state(), random.getstate()
    del model.seen
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), aside(model):
        assert not any(module.training for module in model.modules())
        scores = model(torch.randn(2, 3, 8, 8))
        assert scores.requires_grad
        assert scores.dtype is torch.float32
        torch.autograd.grad(scores.sum(), [model.conv.weight])
    assert model.training
    assert not model.norm.training
    assert model.num_calls == 1
    assert model.last is last
    assert not hasattr(model, "seen")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    kept = [parameter.grad for parameter in model.parameters()]
    assert all(now is not None and torch.equal(now, then) for now, then in zip(kept, gradients, strict=True))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert random.getstate() == python


def shown(model: Any, monitor: GradCam, **models: nn.Module) -> Memory:
    memory = Memory()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    watched = {"": model, **models} if not models else {"classifier": model, **models}
    with Guard(watched if models else model, optimizer, monitors=[monitor], sinks=[memory]) as guard:
        for x, y in guard.watch([(torch.randn(6, 3, 16, 16), torch.tensor([0, 1, 2, 0, 1, 2]))] * 2):
            optimizer.zero_grad()
            scores = model(x)
            scores = scores["logits"] if isinstance(scores, dict) else scores
            guard.samples(scores, y, inputs=x, indices=torch.arange(6))
            nn.functional.cross_entropy(scores, y).backward()
            optimizer.step()
        guard.epoch_end()
    return memory


def pictures_in(memory: Memory) -> dict[str, Picture]:
    return {key: value for _, readings in memory.rows for key, value in readings.items() if isinstance(value, Picture)}


@pytest.mark.parametrize("make", [ConvNet, Vit])
def test_an_epoch_shows_what_spoke_for_the_classes(make: Callable[[], nn.Module]) -> None:
    found = pictures_in(shown(seeded(make), GradCam(k=2)))
    assert set(found) == {"grad_cam/worst/train", "grad_cam/best/train"}
    assert "at the layer" in found["grad_cam/worst/train"].caption
    for picture in found.values():
        assert picture.pixels.shape[2] == 3
        # More than grey.
        assert (picture.pixels.max(2).astype(int) - picture.pixels.min(2) > 60).any()


def test_of_several_models_the_one_that_is_named_is_looked_at() -> None:
    critic = nn.Linear(2, 1)
    memory = shown(seeded(ConvNet), GradCam(k=2), critic=critic)
    assert not pictures_in(memory)
    (text,) = [readings["grad_cam/missing"] for _, readings in memory.rows if "grad_cam/missing" in readings]
    assert "several models, `classifier`, `critic`; `GradCam(model=...)`" in text.text  # type: ignore[union-attr]
    assert pictures_in(shown(seeded(ConvNet), GradCam(k=2, model="classifier"), critic=critic))
    with pytest.warns(GuardWarning, match="without the monitor GradCam: ValueError: there is no model 'x' among"):
        shown(seeded(ConvNet), GradCam(k=2, model="x"), critic=critic)


def test_what_wraps_the_model_is_no_part_of_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", GuardWarning)
        assert pictures_in(shown(nn.DataParallel(seeded(ConvNet)), GradCam(k=2)))


def test_hot_pixels_are_brighter_than_cold_ones() -> None:
    picture = torch.full((1, 11, 3), 128, dtype=torch.uint8).numpy()
    brightness = heated(picture, torch.linspace(0, 1, 11)[None].numpy()).astype(int).sum(2)[0]
    assert (brightness[1:] > brightness[:-1]).all()
