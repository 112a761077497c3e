"""What is shown of layers and of memory is right, beside an obvious slow computation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime_guard import Guard, Settings
from runtime_guard.monitor import Monitor
from runtime_guard.monitors import memory as memory_monitor
from runtime_guard.monitors.activations import Activations
from runtime_guard.monitors.memory import gpu_readings
from runtime_guard.monitors.weights import Weights
from runtime_guard.sinks.memory import Memory
from tests.runtime_guard.trainings import ALL, NUM_BATCHES, Net


def shown(kind: str, monitor: Monitor) -> tuple[Memory, list[dict[str, Tensor]]]:
    """What is shown of a training, with the parameters before each turn of its loop and after the last."""
    torch.manual_seed(0)
    run, sink = ALL[kind](), Memory()
    seen: list[dict[str, Tensor]] = []

    def look() -> None:
        seen.append({n: p.detach().double().clone() for n, p in run.models[""].named_parameters()})

    with Guard(run.models, run.optimizers, scaler=run.scaler, monitors=[monitor], sinks=[sink]) as guard:
        for batch in guard.watch(run.loader):
            look()
            run.body(batch)
        look()
    return sink, seen


@pytest.mark.parametrize("kind", ["plain", "momentum", "closure"])
def test_norms_and_update_ratios_are_those_of_the_parameters(kind: str) -> None:
    sink, seen = shown(kind, Weights(every=2))
    assert [step for step, _ in sink.rows] == [0, 2, 4]
    for step, readings in sink.rows:
        before, after = seen[step], seen[step + 1]
        total = math.sqrt(sum(float(p.norm()) ** 2 for p in before.values()))
        assert readings["weights/norm"] == pytest.approx(total, rel=1e-5)
        ratios = {key for key in readings if key.startswith("weights/update_ratio/")}
        assert ratios == {"weights/update_ratio/stem.weight", "weights/update_ratio/head.weight"}
        for name, p in before.items():
            assert readings[f"weights/norm/{name}"] == pytest.approx(float(p.norm()), rel=1e-5, abs=1e-9)
            if p.dim() > 1:
                expected = float((after[name] - p).norm() / p.norm())
                assert readings[f"weights/update_ratio/{name}"] == pytest.approx(expected, rel=1e-3)


class Gates(nn.Module):
    """One of each kind of activation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.relu, self.sigmoid, self.tanh, self.softmax = nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.Softmax(1)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        gates = self.sigmoid(20 * x) + self.tanh(20 * x) + self.softmax(50 * x)
        out: Tensor = self.head(self.relu(x - 1) + gates)
        return out


def test_activations_are_those_of_the_modules() -> None:
    torch.manual_seed(0)
    model, sink = Gates(), Memory()
    with torch.no_grad():
        model.stem.bias[:2] = -9  # two units that are dead behind the rectifier
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    outputs: dict[str, Tensor] = {}
    for name, module in model.named_children():
        module.register_forward_hook(lambda _m, _i, out, name=name: outputs.__setitem__(name, out.detach().double()))
    expected: list[dict[str, float]] = []
    with Guard(model, optimizer, monitors=[Activations(every=2)], sinks=[sink]) as guard:
        for x in guard.watch([torch.randn(16, 6) for _ in range(5)]):
            loss = model(x).square().mean()
            expected.append(slow(outputs))
            loss.backward()
            model(10 * x)  # after `backward`, and not looked at
            optimizer.step()
    assert [step for step, _ in sink.rows] == [1, 3]
    for step, readings in sink.rows:
        found = {key: value for key, value in readings.items() if not key.endswith("/input")}
        assert found == pytest.approx(expected[step], rel=1e-5)
        assert found["activations/dead/relu"] >= 0.25


def slow(outputs: dict[str, Tensor]) -> dict[str, float]:
    found = {}
    for name, out in outputs.items():
        found[f"activations/absmax/{name}"] = float(out.abs().max())
        found[f"activations/headroom_bits/{name}"] = math.log2(torch.finfo(torch.float32).max / float(out.abs().max()))
    flat = {"sigmoid": (outputs["sigmoid"] - 0.5).abs() > 0.49, "tanh": outputs["tanh"].abs() > 0.99}
    flat["softmax"] = outputs["softmax"].max(1).values > 0.999
    found |= {f"activations/saturated/{name}": float(is_flat.double().mean()) for name, is_flat in flat.items()}
    found["activations/dead/relu"] = float((outputs["relu"] <= 0).all(0).double().mean())
    return found


def test_headroom_is_that_of_the_dtype() -> None:
    model, sink = nn.Sequential(nn.Linear(2, 2), nn.Identity()), Memory()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    largest = []
    with Guard(model, optimizer, monitors=[Activations(every=1)], sinks=[sink]) as guard:
        for x in guard.watch([torch.ones(2, 2)] * 2):
            with torch.autocast("cpu", torch.float16):
                out = model(x)
            assert out.dtype == torch.float16
            largest.append(float(out.detach().abs().max()))
            out.float().sum().backward()
            optimizer.step()
    bits = [readings["activations/headroom_bits/1"] for _, readings in sink.rows]
    assert bits == pytest.approx([math.log2(65504 / value) for value in largest[1:]], abs=1e-3)


def test_no_hook_stays_behind() -> None:
    hooks = nn.modules.module._global_forward_hooks
    before = len(hooks)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    settings = Settings(early_warnings=False)  # They have hooks of their own.
    guard = Guard(model, optimizer, monitors=[Activations(every=1)], sinks=[Memory()], settings=settings)
    for x in guard.watch([torch.randn(4, 6)] * 2):
        model(x).sum().backward()
        assert len(hooks) == before
        optimizer.step()
    next(iter(guard.watch([torch.randn(4, 6)])))
    guard.close()
    assert len(hooks) == before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells")
def test_resident_memory_is_the_process_s() -> None:
    run, sink = ALL["plain"](), Memory()
    with Guard(run.models, run.optimizers, monitors=[memory_monitor.Memory(every=5)], sinks=[sink]) as guard:
        run.train(guard.watch(run.loader))
    assert [step for step, _ in sink.rows] == [0, NUM_BATCHES - 1]
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    assert sink.rows[-1][1] == {"memory/resident_gib": pytest.approx(int(line.split()[1]) / 2**20, rel=0.2)}


def test_what_the_allocator_says_is_in_gib_and_fractions() -> None:
    stats = {
        "allocated_bytes.all.current": 2**30,
        "allocated_bytes.all.peak": 3 * 2**30,
        "reserved_bytes.all.current": 4 * 2**30,
        "inactive_split_bytes.all.current": 2**30,
    }
    found: dict[str, Any] = {reading.key: reading.value for reading in gpu_readings(stats)}
    assert found == {
        "memory/allocated_gib": 1,
        "memory/reserved_gib": 4,
        "memory/peak_gib": 3,
        "memory/fragmentation": 0.25,
    }
    assert len(list(gpu_readings({}))) == 3


@pytest.mark.parametrize("kind", [Weights, Activations, memory_monitor.Memory])
def test_schedules_that_cannot_be_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="every is 0, expected 1 or more updates"):
        kind(every=0)
