"""What monitors read is right, costs the training nothing, and arrives where it is to be seen."""

from __future__ import annotations

import fnmatch
import json
import math
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from runtime_guard import Guard, Settings
from runtime_guard.device.binning import binned, unbinned
from runtime_guard.device.ticket import Ticket
from runtime_guard.monitor import Monitor, all_monitors
from runtime_guard.monitors.gradients import Gradients
from runtime_guard.monitors.loss import Loss
from runtime_guard.reading import Histogram
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sinks.json_lines import JsonLines
from runtime_guard.sinks.memory import Memory
from tests.runtime_guard.showings import KINDS as SAMPLE_KINDS
from tests.runtime_guard.showings import ODD_KINDS, shown_samples
from tests.runtime_guard.test_healthy_step import Waits, assert_same, everything, seed, unguarded
from tests.runtime_guard.trainings import ALL, NUM_BATCHES, Run

MONITORS = {type(monitor).__name__: type(monitor) for monitor in all_monitors()}
KINDS = [kind for kind in ALL if kind != "lbfgs"]
OF_PICTURES = {"GradCam"}
"""Monitors that have nothing to say of the trainings here; tests/runtime_guard/test_samples.py has others."""


def started(kind: str) -> Run:
    """A training whose loss scale is so small that no update is left out."""
    seed()
    run = ALL[kind]()
    if run.scaler is not None:
        run.scaler.load_state_dict({**run.scaler.state_dict(), "scale": 1024.0})
    return run


def shown(kind: str, monitors: list[Monitor], **settings: Any) -> Memory:
    run, memory = started(kind), Memory()
    with Guard(
        run.models,
        run.optimizers,
        scaler=run.scaler,
        monitors=monitors,
        sinks=[memory],
        config=CONFIG,
        settings=Settings(**settings),
    ) as guard:
        run.train(guard.watch(run.loader))
        validate(guard, run)
        guard.epoch_end(METRICS)
    assert not guard.incidents
    return memory


CONFIG = {"width": 16, "augment": True, "data": {"name": "generated"}, "api_key": "hunter2"}
METRICS = {"train_accuracy": 0.5, "val_accuracy": torch.tensor(0.25), "lines": 3}
VALIDATION = [(torch.linspace(-1, 1, 24).reshape(4, 6), torch.tensor([0, 1, 2, 0])) for _ in range(2)]


def validate(guard: Guard, run: Run) -> None:
    """Two batches, which leave no trace in the training."""
    model = run.models.get("", run.models.get("critic"))
    assert model is not None
    model.eval()
    with torch.no_grad():
        for x, y in guard.validate(VALIDATION):
            scores = model(x)
            guard.loss(nn.functional.cross_entropy(scores, y))
            guard.samples(scores, y, inputs=x)
    model.train()


def shown_with_a_bad_step(monitors: list[Monitor], policy: str = "skip", **settings: Any) -> Memory:
    """Of five, the third."""
    model, memory = nn.Sequential(nn.Linear(2, 1), nn.Tanh()), Memory()
    optimizer = torch.optim.AdamW(model.parameters(), 0.01, fused=True)
    batches = [torch.ones(4, 2) for _ in range(5)]
    batches[2] = torch.full((4, 2), math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guard = Guard(model, optimizer, monitors=monitors, sinks=[memory], settings=Settings(policy=policy, **settings))
        with guard:
            for batch in guard.watch(batches):
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
    assert len(guard.incidents) == 1
    return memory


def column(memory: Memory, key: str) -> list[Any]:
    """All that was written under one key."""
    return [readings[key] for _, readings in memory.rows if key in readings]


def keys(memory: Memory) -> set[str]:
    return {key for _, readings in memory.rows for key in readings}


@pytest.mark.parametrize("name", MONITORS)
def test_keys_that_are_written_are_those_that_are_documented(name: str) -> None:
    told = re.findall(r"^ +`(\S+)`: (.*)", str(MONITORS[name].__doc__), flags=re.MULTILINE)
    documented = [key for key, _ in told]
    written = {key for kind in KINDS for key in keys(shown(kind, [MONITORS[name]()]))}
    written |= keys(shown_with_a_bad_step([MONITORS[name]()]))
    written |= {key for kind in (*SAMPLE_KINDS, *ODD_KINDS) for key in keys(shown_samples(kind, [MONITORS[name]()]))}
    assert documented
    for key, meaning in told:
        if "on the GPU" in meaning:
            continue  # The trainings here are on none.
        assert fnmatch.filter(written, key), f"{key} is documented and never written"
    unknown = [key for key in written if not any(fnmatch.fnmatch(key, pattern) for pattern in documented)]
    assert not unknown


@pytest.mark.parametrize("name", MONITORS)
def test_a_run_without_steps_writes_nothing_and_closes_twice(name: str, tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    guard = Guard(model, optimizer, logdir=tmp_path / "run", monitors=[MONITORS[name]()])
    assert not list(guard.watch([]))
    guard.epoch_end()
    guard.close()
    guard.close()
    assert not (tmp_path / "run" / "readings.jsonl").exists()


@pytest.mark.parametrize("name", MONITORS)
@pytest.mark.parametrize("kind", ALL)
def test_a_watched_run_is_bit_identical(kind: str, name: str) -> None:
    expected = unguarded(kind)
    seed()
    run, memory = ALL[kind](), Memory()
    monitors = [MONITORS[name]()]
    with Guard(
        run.models, run.optimizers, scaler=run.scaler, scheduler=run.scheduler, monitors=monitors, sinks=[memory]
    ) as guard:
        for _ in range(2):
            run.train(guard.watch(run.loader))
            validate(guard, run)
            guard.epoch_end(METRICS)
    assert memory.rows or name in OF_PICTURES
    assert_same(everything(run), expected)


@pytest.mark.parametrize("name", MONITORS)
@pytest.mark.parametrize("kind", ALL)
def test_a_watched_step_never_waits_for_the_device(kind: str, name: str) -> None:
    def waits(monitors: list[Monitor]) -> Counter[str]:
        seed()
        run = ALL[kind]()
        batches = list(run.loader)
        guard = Guard(run.models, run.optimizers, scaler=run.scaler, monitors=monitors, sinks=[Memory()])
        with guard, Waits() as mode:
            run.train(guard.watch(batches))
            validate(guard, run)
        return mode.seen

    assert waits([MONITORS[name]()]) == waits([])


def test_all_monitors_share_one_transfer_per_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one per validation batch, per epoch, and at the end."""
    transfers = []

    class Counted(Ticket):
        def __init__(self, vector: Tensor) -> None:
            transfers.append(vector.numel())
            super().__init__(vector)

    monkeypatch.setattr("runtime_guard.readings.parcel.Ticket", Counted)
    memory = shown("plain", all_monitors())
    assert len([1 for _, readings in memory.rows if "loss/loss" in readings]) == NUM_BATCHES
    assert len(transfers) == len(memory.rows) == NUM_BATCHES + len(VALIDATION) + 2


@pytest.mark.parametrize("kind", ["momentum", "float16_with_scaler"])
def test_gradients_are_those_before_clipping_and_without_the_scale(kind: str) -> None:
    """Against gradients that are copied by hooks of the parameters themselves."""
    run, memory = started(kind), Memory()
    seen: list[tuple[str, Tensor]] = []
    scaler = run.scaler
    for name, parameter in run.models[""].named_parameters():
        parameter.register_post_accumulate_grad_hook(
            lambda p, name=name: seen.append((name, p.grad.double() / (scaler.get_scale() if scaler else 1.0)))
        )
    with Guard(
        run.models, run.optimizers, scaler=scaler, monitors=[Gradients(every=1, norms_every=1)], sinks=[memory]
    ) as guard:
        run.train(guard.watch(run.loader))
    num = len(list(run.models[""].parameters()))
    assert len(memory.rows) == NUM_BATCHES
    for (step, readings), start in zip(memory.rows, range(0, len(seen), num), strict=True):
        gradients = dict(seen[start : start + num])
        assert step == start // num
        total = math.sqrt(sum(float(g.norm()) ** 2 for g in gradients.values()))
        assert readings["gradients/norm"] == pytest.approx(total, rel=1e-5)
        clipped = min(total, {"momentum": 0.5, "float16_with_scaler": 1.0}[kind])
        assert readings["gradients/norm_after_clipping"] == pytest.approx(clipped, rel=1e-3)
        for name, gradient in gradients.items():
            assert readings[f"gradients/norm/{name}"] == pytest.approx(float(gradient.norm()), rel=1e-5)
            assert readings[f"gradients/min/{name}"] == pytest.approx(float(gradient.min()), rel=1e-5)
            assert readings[f"gradients/mean/{name}"] == pytest.approx(float(gradient.mean()), rel=1e-3, abs=1e-9)
            assert readings[f"gradients/zeros/{name}"] == pytest.approx(float((gradient == 0).double().mean()))


def test_losses_are_the_training_s_own() -> None:
    run, memory = started("float16_with_scaler"), Memory()
    with Guard(run.models, run.optimizers, scaler=run.scaler, monitors=[Loss()], sinks=[memory]) as guard:
        run.train(guard.watch(run.loader))
    assert column(memory, "loss/loss") == pytest.approx([float(loss) for loss in run.losses])


@pytest.mark.parametrize("name", ["loss", "distance"])
def test_losses_of_an_epoch_are_averages(name: str) -> None:
    run, memory = started("plain"), Memory()
    expected: list[tuple[float, float]] = []
    with Guard(run.models, run.optimizers, monitors=[Loss()], sinks=[memory]) as guard:
        for epoch in range(3):
            for batch in guard.watch(run.loader):
                run.losses.append(run.body(batch).detach().clone())
            values = [float(epoch), 3.0, 5.0]
            for value in guard.validate(values):
                guard.loss(torch.tensor([value, value + 1]), name)  # one of each sample
            expected.append((float(torch.stack(run.losses[-NUM_BATCHES:]).mean()), sum(values) / 3 + 0.5))
            if epoch < 2:
                guard.epoch_end()  # the last epoch ends when the guard is closed
    assert column(memory, "loss/epoch/loss/train") == pytest.approx([train for train, _ in expected])
    assert column(memory, f"loss/epoch/{name}/validation") == pytest.approx([validation for _, validation in expected])
    batches = column(memory, f"loss/validation_batch/{name}")
    assert batches == [0.5, 3.5, 5.5, 1.5, 3.5, 5.5, 2.5, 3.5, 5.5]
    steps = [step for step, _ in memory.rows]
    assert steps == sorted(steps)


@pytest.mark.parametrize("before_update", ["read", "flag"])
def test_a_step_that_is_skipped_is_in_no_average(before_update: str) -> None:
    """Also where it becomes known afterwards that it was bad."""
    memory = shown_with_a_bad_step([Loss()], before_update=before_update)
    losses = column(memory, "loss/loss")
    assert len(losses) == 4
    assert column(memory, "loss/epoch/loss/train") == pytest.approx([sum(losses) / 4])


@pytest.mark.parametrize(
    "values",
    [
        torch.linspace(-3, 5, 1000),
        torch.tensor([0.0, 0.0, 1.0]),
        torch.full((7,), 2.5),
        torch.tensor([3e38, -3e38, 0.0]),
        torch.tensor([math.nan, math.inf, -math.inf, 1.0, 2.0]),
    ],
)
def test_bins_hold_every_finite_number(values: Tensor) -> None:
    counted = unbinned(binned(values).tolist())
    assert counted is not None
    histogram, statistics = counted
    finite = values[values.isfinite()].double()
    assert histogram.count == len(finite)
    assert list(histogram.limits) == sorted(set(histogram.limits))
    assert (statistics.minimum, statistics.maximum) == (float(finite.min()), float(finite.max()))
    assert statistics.mean == pytest.approx(float(finite.mean()))
    below = 0
    for limit, count in zip(histogram.limits, histogram.counts, strict=True):
        below += count
        slack = 1e-6 * max(1.0, abs(limit))
        assert int((finite < limit - slack).sum()) <= below <= int((finite <= limit + slack).sum())


def test_without_a_finite_number_there_is_no_histogram() -> None:
    assert unbinned(binned(torch.full((3,), math.nan)).tolist()) is None


def test_a_run_is_there_in_tensorboard_and_as_json_lines(tmp_path: Path) -> None:
    run = ALL["plain"]()
    with Guard(run.models, run.optimizers, logdir=tmp_path, monitors="all") as guard:
        run.train(guard.watch(run.loader))
    events = EventAccumulator(str(tmp_path), size_guidance={"scalars": 0, "histograms": 0}).Reload()
    losses = [float(loss) for loss in run.losses]
    assert [e.value for e in events.Scalars("loss/loss")] == pytest.approx(losses)
    assert [e.step for e in events.Scalars("loss/loss")] == list(range(NUM_BATCHES))
    assert [e.value for e in events.Scalars("optimizer/lr/0")] == pytest.approx([1e-2] * 2 + [1e-3] * 2 + [1e-4] * 2)
    (histogram,) = events.Histograms("gradients/histogram/stem.weight")
    assert histogram.histogram_value.num == run.models[""].stem.weight.numel()
    lines = [json.loads(line) for line in (tmp_path / "readings.jsonl").read_text().splitlines()]
    rows = [row for row in lines if "loss/loss" in row]
    assert [row["step"] for row in rows] == list(range(NUM_BATCHES))
    assert [row["loss/loss"] for row in rows] == pytest.approx(losses)


def test_a_script_may_change_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = ALL["plain"]()
    with Guard(run.models, run.optimizers, logdir="run", monitors=[Loss()]) as guard:
        run.train(guard.watch(run.loader))
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        guard.epoch_end()
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert len(events.Scalars("loss/loss")) == NUM_BATCHES
    assert events.Scalars("loss/epoch/loss/train")


def test_a_file_that_is_there_is_added_to(tmp_path: Path) -> None:
    for step in range(2):
        sink = JsonLines(tmp_path / "r.jsonl")
        sink.write({"a": math.nan, "b": Histogram(0, 1, 1, 1, (1.0,), (2,))}, step)
        sink.close()
        sink.close()
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [(row["step"], row["a"], row["b"]["counts"]) for row in rows] == [(0, "NaN", [2]), (1, "NaN", [2])]


def test_a_bad_step_that_is_skipped_is_not_shown() -> None:
    memory = shown_with_a_bad_step(all_monitors())
    assert [step for step, readings in memory.rows if "loss/loss" in readings] == [0, 1, 2, 3]
    assert all(math.isfinite(loss) for loss in column(memory, "loss/loss"))


def test_a_sink_that_fails_is_left_out_with_one_warning() -> None:
    class Full(Memory):
        def write(self, readings: Any, step: int) -> None:
            raise OSError("no space left")

    run, memory = ALL["plain"](), Memory()
    guard = Guard(run.models, run.optimizers, monitors=[Loss()], sinks=[Full(), memory])
    with pytest.warns(GuardWarning, match="goes on without the sink Full: OSError: no space left") as caught, guard:
        run.train(guard.watch(run.loader))
    assert len([w for w in caught if w.category is GuardWarning]) == 1
    assert len(column(memory, "loss/loss")) == NUM_BATCHES


@pytest.mark.parametrize(
    ("arguments", "match"),
    [({"monitors": "all"}, "give Guard a logdir"), ({"monitors": "gradients"}, 'expected "all", "none" or a list')],
)
def test_what_cannot_be_is_said(arguments: dict[str, Any], match: str) -> None:
    model = nn.Linear(2, 1)
    with pytest.raises(ValueError, match=match):
        Guard(model, torch.optim.SGD(model.parameters(), 0.1), **arguments)
