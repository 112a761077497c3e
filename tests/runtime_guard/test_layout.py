"""One page has the charts of all monitors, and each chart shows what belongs into it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.util import tensor_util
from torch import nn

from runtime_guard import Guard
from runtime_guard.monitor import Moment, Monitor, all_monitors
from runtime_guard.monitors.layout import Layout
from runtime_guard.monitors.loss import Loss
from runtime_guard.sinks.memory import Memory
from tests.runtime_guard.trainings import ALL, NUM_BATCHES


def train(monitors: Any, **options: Any) -> None:
    run = ALL["plain"]()
    with Guard(run.models, run.optimizers, monitors=monitors, **options) as guard:
        run.train(guard.watch(run.loader))
        guard.epoch_end({"train_f1": 0.5, "val_f1": 0.5})


def page(memory: Memory) -> Any:
    (layout,) = [readings["layout"] for _, readings in memory.rows if "layout" in readings]
    return layout


def shown_in(charts: Any, title: str, keys: set[str]) -> set[str]:
    return {key for key in keys if any(re.match(pattern, key) for pattern in charts[title])}


def test_a_chart_shows_what_belongs_into_it() -> None:
    memory = Memory()
    train(all_monitors(), sinks=[memory])
    charts = page(memory).charts["Overview"]
    assert list(charts)[:3] == ["Loss of each update", "Loss of each epoch", "Metrics"]
    numbers = {key for _, row in memory.rows for key, value in row.items() if isinstance(value, float)}
    shown = {title: shown_in(charts, title, numbers) for title in charts}
    assert shown["Loss of each update"] == {"loss/loss"}
    assert shown["Loss of each epoch"] == {"loss/epoch/loss/train"}
    assert shown["Metrics"] == {"metrics/f1/train", "metrics/f1/validation"}
    assert shown["Gradient norm"] == {"gradients/norm"}
    assert len(shown["Time of a step, ms"]) == 6
    assert [title for title, keys in shown.items() if not keys] == ["Accuracy"], "no samples were shown"


def test_a_monitor_of_the_user_s_own_has_its_chart_too() -> None:
    class Temperature(Monitor):
        charts: ClassVar = {"Temperature": ("temperature",)}

        def read(self, moment: Moment) -> Any:
            return ()

    memory = Memory()
    train([Temperature(), Loss(), Layout()], sinks=[memory])
    assert list(page(memory).charts["Overview"]) == ["Loss of each update", "Loss of each epoch", "Temperature"]


def test_the_guide_s_own_monitor_runs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "guides" / "monitors.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "class Temp" in block]
    found: dict[str, Any] = {}
    exec(code, found)
    run, memory = ALL["plain"](), Memory()
    run.models[""].temperature = nn.Parameter(torch.tensor(2.0))
    with Guard(run.models, run.optimizers, monitors=[found["Temperature"](), Layout()], sinks=[memory]) as guard:
        run.train(guard.watch(run.loader))
    assert page(memory).charts == {"Overview": {"Temperature": (r"temperature",)}}
    assert [readings["temperature"] for _, readings in memory.rows] == [2.0] * NUM_BATCHES


def test_without_other_monitors_the_page_is_empty() -> None:
    memory = Memory()
    train([Layout()], sinks=[memory])
    assert page(memory).charts == {"Overview": {}}


def test_tensorboard_has_it(tmp_path: Path) -> None:
    train([Loss(), Layout()], logdir=tmp_path)
    (event,) = EventAccumulator(str(tmp_path)).Reload().Tensors("custom_scalars__config__")
    found = layout_pb2.Layout.FromString(tensor_util.make_ndarray(event.tensor_proto).item())
    (category,) = found.category
    assert [chart.title for chart in category.chart] == ["Loss of each update", "Loss of each epoch"]
    assert list(category.chart[1].multiline.tag) == ["loss/epoch/.*"]
