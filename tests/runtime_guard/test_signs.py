"""Each early sign is seen at least ten steps before the NaN or the plateau."""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runtime_guard import EarlyWarning, Guard, Settings, TrainingIncident
from runtime_guard.device import activations, updates
from runtime_guard.device.activations import Activation
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sign import Reading, all_signs
from runtime_guard.signs.headroom import Headroom

pytestmark = pytest.mark.filterwarnings("ignore::runtime_guard.EarlyWarning")
Batch = tuple[Tensor, Tensor]


@pytest.fixture(autouse=True)
def _nothing_compiled() -> None:
    """Other tests of this process may have compiled something, and activations are left alone then."""
    if "torch._dynamo.utils" in sys.modules:
        torch._dynamo.utils.counters.clear()


@dataclass
class Trouble:
    """A training that is bound to go wrong."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Callable[[Batch], Tensor]
    place: str
    """A part of the place that has to be named."""
    scaler: torch.amp.GradScaler | None = None
    dtype: torch.dtype | None = None


def data(num: int = 220, *, worse_from: int = 10**6) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(1)
    for index in range(num):
        x = torch.randn(32, 8, generator=generator)
        y = (x[:, :1] - 0.5 * x[:, 1:2] ** 2).tanh()
        yield (x * 8 if index >= worse_from else x), y


def _mlp(activation: Callable[[], nn.Module], depth: int, width: int = 16) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in [8] + [width] * (depth - 1):
        layers += [nn.Linear(size, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 1))


def _regression(model: nn.Module, optimizer: torch.optim.Optimizer, place: str) -> Trouble:
    return Trouble(model, optimizer, lambda batch: F.mse_loss(model(batch[0]), batch[1]), place)


def headroom() -> Trouble:
    """Nothing bounds the logits, which float16 holds up to 65504."""
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    def loss(batch: Batch) -> Tensor:
        return -model(batch[0]).float().mean()

    return Trouble(model, optimizer, loss, "2", dtype=torch.float16)


def spike() -> Trouble:
    """From batch 60 on the data is eightfold, which is more than this learning rate bears."""
    model = nn.Linear(8, 1)
    return _regression(model, torch.optim.SGD(model.parameters(), 0.025), "step 6")


def growth() -> Trouble:
    model = nn.Linear(8, 1)
    return _regression(model, torch.optim.SGD(model.parameters(), 1.6), "gradients")


def vanishing() -> Trouble:
    model = _mlp(nn.Sigmoid, 14)
    return _regression(model, torch.optim.SGD(model.parameters(), 0.1), "gradients")


def dead() -> Trouble:
    """A bias that an overlong step has left far below 0."""
    model = _mlp(nn.ReLU, 3)
    with torch.no_grad():
        model[2].bias.fill_(-20.0)
    return _regression(model, torch.optim.SGD(model.parameters(), 0.01), "3")


def saturated() -> Trouble:
    model = _mlp(nn.Tanh, 3)
    with torch.no_grad():
        model[2].weight.mul_(300)
    return _regression(model, torch.optim.SGD(model.parameters(), 1e-3), "3")


def update_ratio() -> Trouble:
    model = _mlp(nn.GELU, 3)
    return _regression(model, torch.optim.Adam(model.parameters(), 1e-9), "small")


def update_ratio_large() -> Trouble:
    """Weight decay times learning rate is nearly 2: each update turns the weights around."""
    model = _mlp(nn.Tanh, 3)
    return _regression(model, torch.optim.SGD(model.parameters(), 0.01, weight_decay=190.0), "large")


def falling_scale() -> Trouble:
    """The loss grows with each step, and so do the gradients that float16 has to hold."""
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.SGD(model.parameters(), 1e-9)
    turns = iter(range(10**6))

    def loss(batch: Batch) -> Tensor:
        return F.mse_loss(model(batch[0]).float(), batch[1]) * 1.3 ** next(turns)

    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    return Trouble(model, optimizer, loss, "loss scale", scaler, torch.float16)


def bad_initialisation() -> Trouble:
    model = _mlp(nn.ReLU, 5, 64)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight)
    return _regression(model, torch.optim.SGD(model.parameters(), 1e-13), "10")


TROUBLES = {
    made.__name__: made
    for made in (
        headroom, spike, growth, vanishing, dead, saturated, update_ratio, update_ratio_large, falling_scale,
        bad_initialisation,
    )
}  # fmt: skip


def train(trouble: Trouble, batches: Iterator[Batch]) -> tuple[Guard, list[float], int | None]:
    """The guard, all losses, and the step of the incident."""
    losses: list[float] = []
    settings = Settings(max_scale_falls=12)
    guard = Guard(trouble.model, trouble.optimizer, scaler=trouble.scaler, settings=settings)
    try:
        for batch in guard.watch(batches):
            trouble.optimizer.zero_grad()
            enabled = trouble.dtype is not None
            with torch.autocast("cpu", trouble.dtype or torch.bfloat16, enabled=enabled):
                loss = trouble.loss(batch)
            losses.append(loss.item())
            if trouble.scaler is None:
                loss.backward()
                trouble.optimizer.step()
            else:
                trouble.scaler.scale(loss).backward()
                trouble.scaler.step(trouble.optimizer)
                trouble.scaler.update()
    except TrainingIncident as incident:
        return guard, losses, incident.incident.step
    finally:
        guard.close()
    return guard, losses, None


def plateau(losses: list[float], patience: int = 50) -> int | None:
    """The step at which one would see that the loss has not come down for so many steps."""
    smooth = torch.tensor(losses).unfold(0, 10, 1).mean(1).tolist()
    best, since = math.inf, 0
    for step, value in enumerate(smooth):
        if value < 0.99 * best:
            best, since = value, step
        if step - since >= patience:
            return step + 9
    return None


@pytest.mark.parametrize("name", TROUBLES)
def test_it_is_seen_ten_steps_before_the_end(name: str) -> None:
    torch.manual_seed(0)
    trouble = TROUBLES[name]()
    guard, losses, step = train(trouble, data(worse_from=60 if name == "spike" else 10**6))
    end = step if step is not None else plateau(losses)
    sign = name.removesuffix("_large").replace("_", "-")
    seen = [omen for omen in guard.omens if omen.sign == sign and trouble.place in omen.place]
    assert seen, guard.omens
    assert end is not None, "the training went well"
    assert seen[0].step <= end - 10


def test_every_sign_has_a_training_that_shows_it() -> None:
    assert {name.replace("_", "-") for name in TROUBLES} >= set(all_signs())


def test_each_place_is_warned_of_once() -> None:
    torch.manual_seed(0)
    with pytest.warns(EarlyWarning) as caught:
        guard, _, _ = train(dead(), data(100))
    places = [(omen.sign, omen.place) for omen in guard.omens]
    assert len(caught) == len(places) == len(set(places))


def test_signs_can_be_turned_off() -> None:
    torch.manual_seed(0)
    trouble = dead()
    with Guard(trouble.model, trouble.optimizer, settings=Settings(early_warnings=False)) as guard:
        for batch in guard.watch(data(60)):
            trouble.loss(batch).backward()
            trouble.optimizer.step()
    assert guard.omens == ()


def test_a_resumed_run_remembers_what_its_signs_knew() -> None:
    torch.manual_seed(0)
    guard, _, _ = train(dead(), data(100))
    assert guard.watcher is not None
    early = guard.watcher.hooks.inspection.early
    state: dict[str, Any] = pickle.loads(pickle.dumps(early.state_dict()))
    other = Guard(nn.Linear(8, 1))
    assert other.watcher is not None
    fresh = other.watcher.hooks.inspection.early
    fresh.load_state_dict(state)
    assert fresh.state_dict() == early.state_dict()


def test_a_model_can_be_pickled_while_its_activations_are_sampled() -> None:
    model = _mlp(nn.ReLU, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with Guard(model, optimizer, settings=Settings(sample_every=1)) as guard:
        for x, _ in guard.watch(data(2)):
            model(x).sum().backward()
            assert not any(module._forward_hooks for module in pickle.loads(pickle.dumps(model)).modules())
            optimizer.step()
    assert not nn.modules.module._global_forward_hooks


def test_a_module_that_is_called_often_in_a_step_is_looked_at_once() -> None:
    sign = Headroom()
    for step in range(4):
        calls = [Activation("cell", "other", torch.float16, 2.0 ** (2 * step + call), 1.0, 0.0, 0.0) for call in (3, 1)]
        found = list(sign.look(Reading(step, "", 1.0, 1.0, 0.1, activations=calls)))
    assert [looks[0] for looks in sign.bits["cell"]] == [0, 1, 2, 3]
    assert [place for place, _ in found] == ["cell"]


@pytest.mark.parametrize("part", [activations, updates])
def test_a_failure_of_the_early_warnings_is_not_the_trainings(
    part: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: Any) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(part, "values_of", refuse)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    guard = Guard(model, optimizer, settings=Settings(sample_every=1))
    expected = "goes on without early warnings: RuntimeError: no such kernel"
    with pytest.warns(GuardWarning, match=expected) as caught:  # noqa: PT031 - the loop is what is tried
        for x in guard.watch(list(torch.randn(4, 8, 4))):
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()
    assert len(caught) == 1
    assert len(guard.history) == 4
