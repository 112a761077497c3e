"""Sinks are chosen by name, hold what was read, and never end a training."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import json
import math
import os
import re
import struct
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from runtime_guard import Guard, Settings
from runtime_guard.monitors.loss import Loss
from runtime_guard.reading import Curve, Histogram, Hyperparameters, Layout, Picture, Readings, Text
from runtime_guard.run_folder import GuardWarning
from runtime_guard.settings import SettingsError
from runtime_guard.sink import Sink, sink_names, sink_of_run
from runtime_guard.sinks.console import Console

ROOT = Path(__file__).parents[2]
NEEDS = {"wandb": "wandb", "mlflow": "mlflow", "console": "rich", "tensor_board": "tensorboard", "json_lines": "PIL"}
"""The package that a sink writes with."""

ONE_OF_EACH: Readings = {
    "loss/cross_entropy": 0.5,
    "loss/not a number": math.nan,
    "gradients/norm": math.inf,
    "gradients/histogram/head": Histogram(-1.0, 1.0, 0.0, 2.0, (0.0, 1.0), (1, 1)),
    "extreme/worst": Picture(lambda: np.zeros((8, 8, 3), np.uint8), "black"),
    "text/configuration": Text("| a | b |\n|---|---|\n| 1 | 2 |"),
    "classification/pr": Curve((2, 1), (1, 0), (1, 2), (0, 1), (0.5, 1.0), (1.0, 0.5)),
    "hyperparameters": Hyperparameters({"lr": 0.1, "name": "x", "is_on": True}, {"final/accuracy": 0.75}),
    "layout": Layout({"All": {"Loss": ["loss/.*"]}}),
}


def made(name: str, folder: Path | None) -> Sink:
    module = NEEDS.get(name)
    if module is not None and importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    sink = sink_of_run(name, folder)
    assert sink is not None
    return sink


def trained(sinks: Any, logdir: Path | None = None, **options: Any) -> list[float]:
    """A small training under these sinks; its losses."""
    torch.manual_seed(0)
    model, losses = nn.Linear(2, 1), []
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with Guard(model, optimizer, logdir=logdir, sinks=sinks, monitors=[Loss()], **options) as guard:
        for batch in guard.watch([torch.full((4, 2), float(i)) for i in range(6)]):
            optimizer.zero_grad()
            loss = model(batch).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@pytest.fixture(autouse=True)
def _without_accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in [name for name in os.environ if name.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


# All sinks


@pytest.mark.parametrize("name", sink_names())
def test_a_sink_is_named_after_its_file_and_explained(name: str) -> None:
    module = importlib.import_module(f"runtime_guard.sinks.{name}")
    kind = getattr(module, name.title().replace("_", ""))
    assert inspect.getdoc(kind)
    assert callable(kind.of_run)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", sink_names())
def test_a_sink_takes_a_value_of_each_kind_also_after_a_rollback(name: str, tmp_path: Path) -> None:
    sink = made(name, tmp_path / "run")
    for step in (0, 1, 2, 1):
        sink.write(ONE_OF_EACH if step < 2 else {"loss/cross_entropy": 0.25}, step)
    sink.close()
    sink.close()


@pytest.mark.parametrize("name", sink_names())
def test_a_sink_that_was_given_nothing_leaves_nothing(name: str, tmp_path: Path) -> None:
    made(name, tmp_path / "run").close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", sorted(NEEDS.keys() - {"tensor_board", "json_lines"}))
def test_without_its_package_a_sink_costs_one_warning(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, NEEDS[name], None)
    with pytest.warns(GuardWarning, match=rf"without the sink .*pip install 'pipeline-lint\[{name}\]'") as found:
        losses = trained([name])
    assert len(found) == 1
    assert len(losses) == 6


def test_a_sink_of_one_s_own_that_fails_costs_one_warning(tmp_path: Path) -> None:
    class Broken:
        def write(self, readings: Readings, step: int) -> None:
            raise ValueError("no")

        def close(self) -> None:
            raise ValueError("not even this")

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert len(trained([Broken(), "json-lines"], tmp_path)) == 6
    assert [str(item.message) for item in found if "ValueError: no" in str(item.message)]
    assert len((tmp_path / "readings.jsonl").read_text().splitlines()) == 7


# Choosing


@pytest.mark.parametrize("name", ["tensorboard", "tensor_board", "TensorBoard", "json-lines", "jsonlines"])
def test_names_are_understood_as_people_write_them(name: str, tmp_path: Path) -> None:
    assert sink_of_run(name, tmp_path) is not None
    assert sink_of_run(name, None) is None


def test_an_unknown_sink_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"there is no sink 'consol'; did you mean 'console'\?"):
        trained(["consol"])


def test_a_sink_that_needs_a_folder_says_so() -> None:
    with pytest.raises(ValueError, match="the sink 'tensorboard' needs a folder; give Guard a logdir"):
        trained(["tensorboard"])


def test_settings_choose_sinks(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.runtime-guard]\nsinks = ["json-lines"]\n')
    trained(None, tmp_path / "run", settings=Settings.load(tmp_path, {}))
    assert [path.name for path in (tmp_path / "run").glob("*") if path.name != "health.json"] == ["readings.jsonl"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('["wandbb"]', "sinks: there is no sink 'wandbb'; did you mean 'wandb'"),
        ('"console"', "sinks = 'console' is a str, expected a list"),
        ("[1]", "sinks = (1,) holds a int, expected names"),
    ],
)
def test_settings_that_name_no_sink_are_errors(value: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.runtime-guard]\nsinks = {value}\n")
    with pytest.raises(SettingsError, match=re.escape(message)):
        Settings.load(tmp_path, {})


# Console


def test_without_a_terminal_the_console_prints_plain_lines() -> None:
    file = io.StringIO()
    console = Console(file)
    console.write({"loss/cross_entropy": 0.123456, "gradients/norm": 2.0, "gradients/norm/head": 7.0}, 0)
    console.write({"loss/cross_entropy": 0.2}, 1)
    console.write({"loss/epoch/cross_entropy/train": 0.3, "metrics/accuracy": 0.75}, 1)
    console.close()
    assert file.getvalue().splitlines() == [
        "step 0  cross entropy 0.1235  gradient norm 2",
        "epoch ended at step 1  train cross entropy 0.3  accuracy 0.75",
    ]


TERMINAL = """
import sys, time, torch
from torch import nn
from runtime_guard import Guard
from runtime_guard.monitors.loss import Loss

model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
with Guard(model, optimizer, sinks=["console"], monitors=[Loss()]) as guard:
    for batch in guard.watch([torch.ones(4, 2)] * 5):
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
        print("printed by the script")
        time.sleep(0.25)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_in_a_terminal_a_line_is_renewed_and_the_cursor_comes_back(tmp_path: Path) -> None:
    pytest.importorskip("rich")
    output = in_terminal([sys.executable, "-c", TERMINAL])
    assert output.count("printed by the script") == 5
    assert "\x1b[?25l" in output, "a live line hides the cursor"
    assert output.rindex("\x1b[?25h") > output.rindex("\x1b[?25l")
    assert re.search(r"steps/s", output)
    assert re.search(r"epoch ended at step 4.*train loss", output)


def in_terminal(command: list[str]) -> str:
    """What a command writes to a terminal of 100 columns."""
    import pty

    mine, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=its, stderr=its, stdin=its, env=environment, cwd=ROOT) as process:
        os.close(its)
        parts = []
        while True:
            try:
                part = os.read(mine, 65536)
            except OSError:
                break
            if not part:
                break
            parts.append(part)
        process.wait(60)
    os.close(mine)
    output = b"".join(parts).decode()
    assert process.returncode == 0, output
    return output


# Weights & Biases, MLflow


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_wandb_keeps_an_offline_run_without_an_account(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed")
    losses = trained(["wandb"], tmp_path / "first", config={"lr": 0.1})
    (file,) = (tmp_path / "first" / "wandb").glob("offline-run-*/run-*.wandb")
    records = [json.loads(value) for value in written_to_wandb(file, "loss/loss")]
    assert records == pytest.approx(losses)


def written_to_wandb(file: Path, key: str) -> list[str]:
    """The values of a key in the file of an offline run."""
    from wandb.proto import wandb_internal_pb2

    found = []
    for data in records_of_log(file.read_bytes(), start=7):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        items = record.history.item
        found += [item.value_json for item in items if key in (item.key, "/".join(item.nested_key))]
    return found


def records_of_log(log: bytes, start: int) -> Iterator[bytes]:
    """In LevelDB's log format: blocks of 32 KiB, in them pieces of records behind checksum, length and kind."""
    whole_or_last, size, head = (1, 4), 32768, 7
    parts, at = [], start
    while at + head <= len(log):
        if size - at % size < head:  # No piece begins in the last bytes of a block.
            at += size - at % size
            continue
        _, length, kind = struct.unpack_from("<IHB", log, at)
        parts.append(log[at + head : at + head + length])
        at += head + length
        if kind in whole_or_last:
            yield b"".join(parts)
            parts = []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_mlflow_keeps_a_run_in_a_database_beside_the_folder(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    losses = trained(["mlflow"], tmp_path / "runs" / "first")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("runtime_guard").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "first"
    history = client.get_metric_history(run.info.run_id, "loss/loss")
    assert [(metric.step, metric.value) for metric in history] == list(enumerate(losses))
