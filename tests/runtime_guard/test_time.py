"""Where a step's time goes: the parts are what they are called, and add up to the step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import runtime_guard.monitors.time
from runtime_guard import Guard
from runtime_guard.monitors.time import PARTS, Time
from runtime_guard.readings.batch_size import num_samples
from runtime_guard.sinks.memory import Memory


class Hand:
    """A clock that goes on only where it is moved, in ms. Its moments become known when so many more were taken."""

    def __init__(self, lag: int = 0) -> None:
        self.ms = 0.0
        self.num_moments = 0
        self.lag = lag

    def pass_ms(self, ms: float) -> None:
        self.ms += ms

    def now(self) -> tuple[int, float]:
        self.num_moments += 1
        return self.num_moments, self.ms

    def is_known(self, moment: tuple[int, float]) -> bool:
        return self.num_moments - moment[0] >= self.lag

    def between_ms(self, first: tuple[int, float], last: tuple[int, float]) -> float:
        assert self.is_known(last)
        return last[1] - first[1]

    def wall(self) -> float:
        return self.ms / 1000


class Slow(nn.Module):
    """A model that takes 7 ms forward and 11 backward."""

    def __init__(self, hand: Hand) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)
        self.hand = hand

    def forward(self, x: Tensor) -> Tensor:
        self.hand.pass_ms(7)
        y: Tensor = self.linear(x)
        y.register_hook(lambda _: self.hand.pass_ms(11))
        return y


def trained(hand: Hand, *, num: int = 4, data_ms: float = 3, accumulate: int = 1, validate: bool = False) -> Memory:
    model, memory = Slow(hand), Memory()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    optimizer.register_step_post_hook(lambda *_: hand.pass_ms(13))

    def loader() -> Iterator[Tensor]:
        for _ in range(num * accumulate):
            hand.pass_ms(data_ms)
            yield torch.ones(8, 2)
        hand.pass_ms(data_ms)

    with Guard(model, optimizer, monitors=[Time(hand, hand.wall)], sinks=[memory]) as guard:
        for _ in range(2):
            for index, x in enumerate(guard.watch(loader())):
                hand.pass_ms(5)
                loss = model(x).mean()
                loss.backward()
                hand.pass_ms(1)
                if index % accumulate == accumulate - 1:
                    optimizer.step()
                    hand.pass_ms(2)
                    optimizer.zero_grad()
            hand.pass_ms(1e6)  # a validation, of no step
            guard.epoch_end()
    return memory


def test_each_part_is_what_it_is_called() -> None:
    memory = trained(Hand())
    assert [step for step, _ in memory.rows] == list(range(8))
    for step, readings in memory.rows:
        # Before the first step it is not known whether anything will be compiled.
        transfer = 5 if step else 0
        assert readings == pytest.approx(
            {
                "time/data_ms": 3,
                "time/transfer_ms": transfer,
                "time/forward_ms": 12 - transfer,
                "time/backward_ms": 11,
                "time/optimizer_ms": 13,
                "time/rest_ms": 3,
                "time/step_ms": 42,
                "time/waiting_for_data": 3 / 42,
                "time/samples_per_second": 8 / 0.042,
            }
        )


def test_a_slow_loader_is_shown_as_such() -> None:
    for _, readings in trained(Hand(), data_ms=300).rows:
        assert readings["time/data_ms"] == 300
        assert readings["time/waiting_for_data"] == pytest.approx(300 / 339)


def test_a_step_is_all_of_its_micro_batches() -> None:
    memory = trained(Hand(), accumulate=3)
    assert len(memory.rows) == 8
    for _, readings in memory.rows:
        assert (readings["time/data_ms"], readings["time/backward_ms"], readings["time/optimizer_ms"]) == (9, 33, 13)
        assert readings["time/step_ms"] == pytest.approx(3 * 27 + 13 + 2)
        assert readings["time/samples_per_second"] == pytest.approx(24 / 0.096)


def test_moments_of_a_device_are_read_when_they_are_known() -> None:
    """Nothing is asked of a moment that has not come, and what is read is right."""
    memory = trained(Hand(lag=9))
    assert 4 <= len(memory.rows) < 8
    for _, readings in memory.rows:
        assert sum(float(readings[f"time/{part}_ms"]) for part in PARTS) == 42  # type: ignore[arg-type]
        assert readings["time/step_ms"] == pytest.approx(42)


def test_no_hook_once_anything_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_guard.monitors.time, "is_anything_compiled", lambda: True)
    memory = trained(Hand())
    for _, readings in memory.rows:
        assert readings["time/transfer_ms"] == 0
        assert readings["time/forward_ms"] == 12


def test_the_hook_for_the_first_call_is_gone_afterwards() -> None:
    hooks = nn.modules.module._global_forward_pre_hooks
    before = len(hooks)
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    seen = []
    guard = Guard(model, optimizer, monitors=[Time()], sinks=[Memory()])
    for x in guard.watch([torch.ones(2, 2)] * 4):
        seen.append(len(hooks) - before)
        loss = model(x).mean()
        assert len(hooks) == before
        loss.backward()
        optimizer.step()
        if len(seen) == 3:
            break
    assert seen == [0, 1, 1]
    next(iter(guard.watch([torch.ones(2, 2)])))
    guard.close()
    assert len(hooks) == before


def test_real_parts_add_up_to_the_wall_s_time() -> None:
    model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 1))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    memory = Memory()
    walls: list[float] = []

    def loader() -> Iterator[Tensor]:
        for _ in range(12):
            yield torch.randn(512, 256).sort(1).values

    with Guard(model, optimizer, monitors=[Time()], sinks=[memory]) as guard:
        last = time.perf_counter()
        for x in guard.watch(loader()):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
            now = time.perf_counter()
            walls.append((now - last) * 1000)
            last = now
    assert len(memory.rows) == 12
    sums = [sum(float(readings[f"time/{part}_ms"]) for part in PARTS) for _, readings in memory.rows]  # type: ignore[arg-type]
    for (_, readings), total in zip(memory.rows, sums, strict=True):
        assert total == pytest.approx(readings["time/step_ms"], rel=0.05)
        assert min(float(readings[f"time/{part}_ms"]) for part in PARTS) >= 0  # type: ignore[arg-type]
    assert sum(sums) == pytest.approx(sum(walls), rel=0.05)


@pytest.mark.parametrize(
    ("batch", "num"),
    [
        (torch.ones(3, 2), 3),
        ([torch.ones(3, 2), torch.ones(5)], 3),
        ({"ids": torch.ones(4, 2), "names": ["a"] * 4}, 4),
        (("text", {"x": [torch.tensor(1.0), torch.ones(6)]}), 6),
        ((["a", "b"], 5), 2),
        (torch.tensor(1.0), None),
        ("text", None),
        (None, None),
        ([], None),
    ],
)
def test_samples_of_a_batch_are_counted(batch: Any, num: int | None) -> None:
    assert num_samples(batch) == num
