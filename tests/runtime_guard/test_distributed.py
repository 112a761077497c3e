"""Two processes that train one model: the same numbers with and without the guard, and one verdict for both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime_guard.sinks.json_lines import read_rows
from tests.runtime_guard.processes import fresh_python

SCRIPT = """
import json, sys, time
from pathlib import Path
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from runtime_guard import Guard, Settings, TrainingIncident, sentinel
from runtime_guard.device.ticket import Ticket

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        size = self.linear(x).pow(2).sum(1, keepdim=True) * x.abs().sum(1, keepdim=True)
        return torch.sqrt(size) if fault == "backward" else torch.log(size)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 4, bias=False)
        self.block = Block()

    def forward(self, x):
        return self.block(self.stem(x))

def wrapped(net):
    if kind == "ddp":
        return nn.parallel.DistributedDataParallel(net)
    mesh = init_device_mesh("cpu", (2,))
    for part in (net.stem, net.block, net):
        fully_shard(part, mesh=mesh)
    return net

class Slow(Ticket):
    # Numbers of the second rank are never there when they are asked for, unless somebody waits.
    @property
    def has_arrived(self):
        return rank == 0

def train(name, is_enabled, **settings):
    torch.manual_seed(0)
    net = wrapped(Net())
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(rank)
    data = [torch.randn(4, 4, generator=generator) for _ in range(5)]
    if fault is not None and rank == 1:
        data[3][2] = 0.0
    found = {"losses": [], "verdict": None}
    logdir = f"{name}-run" if rank == 0 or name != "alone" else None
    guard = Guard(net, optimizer, logdir=logdir, settings=Settings(enabled=is_enabled, **settings))
    try:
        for batch in guard.watch(data):
            optimizer.zero_grad()
            loss = net(batch).mean()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            found["losses"].append(repr(loss.item()))
    except TrainingIncident as error:
        found["verdict"] = str(error)
        found["incident"] = error.incident.as_dict()
    guard.close()
    local = [p.to_local() if hasattr(p, "to_local") else p for p in net.parameters()]
    assert all(p.isfinite().all() for p in local)
    found["parameters"] = [p.detach().numpy().tobytes().hex() for p in local]
    Path(f"{name}-{rank}.json").write_text(json.dumps(found))

kind = sys.argv[1]
dist.init_process_group("gloo")
rank = dist.get_rank()
fault = None
train("bare", False)
train("guarded", True)
start = time.monotonic()
train("alone", True)
assert time.monotonic() - start < 8, "the first rank waited for what the other did not send"
for fault in ("forward", "backward"):
    train(fault, True)
sentinel.Ticket = Slow
for fault in ("forward", "backward"):
    train(f"late-{fault}", True, before_update="snapshot")
fault = None
train("late", True, before_update="snapshot")
dist.destroy_process_group()
"""


@pytest.fixture(scope="module", params=["ddp", "fsdp2"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What both ranks of each training left behind."""
    if sys.platform == "win32":
        pytest.skip("gloo and sharding on POSIX only")
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "train.py").write_text(SCRIPT)
    done: subprocess.CompletedProcess[str] = fresh_python(
        folder, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "train.py", request.param
    )
    assert done.returncode == 0, done.stderr
    names = ("bare", "guarded", "forward", "backward", "late", "late-forward", "late-backward")
    found: dict[str, list[Any]] = {name: [_read(folder / f"{name}-{rank}.json") for rank in range(2)] for name in names}
    found["readings"] = list(read_rows(folder / "guarded-run" / "readings.jsonl"))
    found["alone"] = list(read_rows(folder / "alone-run" / "readings.jsonl"))
    found["event files"] = list((folder / "guarded-run").glob("events.*"))
    return found


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_losses_and_parameters_are_bit_for_bit_the_same(results: dict[str, list[Any]]) -> None:
    assert results["guarded"] == results["bare"]
    assert results["late"] == results["bare"]
    assert all(len(found["losses"]) == 5 for found in results["bare"])


@pytest.mark.parametrize(("fault", "operation"), [("forward", "log made inf"), ("backward", "the backward of sqrt")])
def test_a_fault_on_one_rank_stops_both_and_both_name_that_rank(
    results: dict[str, list[Any]], fault: str, operation: str
) -> None:
    for rank, found in enumerate(results[fault]):
        assert found["verdict"] is not None, "this rank went on"
        assert len(found["losses"]) == 5, "three good steps, the bad one, and its replay"
        assert found["verdict"].startswith(f"At step 3 (epoch 0, batch 3, rank 1), {operation}"), found["verdict"]
        assert found["incident"]["rank"] == rank
        assert found["incident"]["birth"]["modules"] == ["block"]
        assert "torch.log(size)" in found["incident"]["birth"]["place"]["text"]
        assert ("rank 0 got the bad number from rank 1" in found["verdict"]) == (rank == 0)


@pytest.mark.parametrize(("fault", "operation"), [("forward", "log made inf"), ("backward", "the backward of sqrt")])
def test_ranks_that_read_late_stop_at_the_same_step_whenever_their_numbers_arrive(
    results: dict[str, list[Any]], fault: str, operation: str
) -> None:
    for found in results[f"late-{fault}"]:
        assert found["verdict"] is not None, "this rank went on"
        assert found["verdict"].startswith(f"At step 3 (epoch 0, batch 3, rank 1), {operation}"), found["verdict"]


def test_what_is_shown_is_joined_over_the_ranks_and_written_once(results: dict[str, list[Any]]) -> None:
    assert len(results["event files"]) == 1
    losses = [[float(loss) for loss in found["losses"]] for found in results["bare"]]
    updates = [row for row in results["readings"] if "loss/loss" in row]
    assert [row["step"] for row in updates] == list(range(5))
    assert losses[0] != losses[1]
    means = [(first + second) / 2 for first, second in zip(*losses, strict=True)]
    assert [row["loss/loss"] for row in updates] == pytest.approx(means)
    (epoch,) = [row for row in results["readings"] if "loss/epoch/loss/train" in row]
    assert epoch["loss/epoch/loss/train"] == pytest.approx(sum(means) / 5)


def test_where_only_the_first_rank_has_a_folder_its_own_readings_are_shown(results: dict[str, list[Any]]) -> None:
    shown = [row["loss/loss"] for row in results["alone"] if "loss/loss" in row]
    assert shown == pytest.approx([float(loss) for loss in results["bare"][0]["losses"]])
