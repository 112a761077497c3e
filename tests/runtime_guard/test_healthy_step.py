"""A healthy run is bit for bit what it is without the guard, and never waits for a device."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from runtime_guard import Guard, Settings
from tests.runtime_guard.trainings import ALL, NUM_BATCHES, Run

SYNCHRONISES = (
    "_local_scalar_dense", "is_nonzero", "nonzero", "item", "equal", "masked_select", "unique_dim", "_unique2",
    "allclose", "is_all_true",
)  # fmt: skip
"""Operations that wait for the device, where there is one."""


def everything(run: Run) -> dict[str, Any]:
    """All that a training leaves behind."""
    found: dict[str, Any] = {f"loss {i}": loss for i, loss in enumerate(run.losses)}
    for prefix, model in run.models.items():
        found |= {f"{prefix}.{name}": value for name, value in model.state_dict().items()}
        found |= {f"{prefix}.{name}.grad": p.grad for name, p in model.named_parameters()}
    for prefix, optimizer in run.optimizers.items():
        state = optimizer.state_dict()
        found |= {f"{prefix} state {i} {k}": v for i, s in state["state"].items() for k, v in s.items()}
        found |= {f"{prefix} lr {i}": g["lr"] for i, g in enumerate(state["param_groups"])}
    if run.scaler is not None:
        found["scale"] = run.scaler.get_scale()
    found["rng"] = torch.get_rng_state()
    found["python"] = random.getstate()
    found["numpy"] = np.random.get_state()[1].tolist()
    return found


def seed() -> None:
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)


def unguarded(kind: str) -> dict[str, Any]:
    seed()
    run = ALL[kind]()
    for _ in range(2):
        run.train(run.loader)
    return everything(run)


def guarded(kind: str, **settings: Any) -> tuple[dict[str, Any], Guard]:
    seed()
    run = ALL[kind]()
    with Guard(
        run.models, run.optimizers, scaler=run.scaler, scheduler=run.scheduler, settings=Settings(**settings)
    ) as guard:
        for _ in range(2):
            run.train(guard.watch(run.loader))
            guard.epoch_end()
    return everything(run), guard


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    different = [key for key in expected if not is_same(found[key], expected[key])]
    assert not different


def is_same(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(is_same, a, b))
    return torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else bool(a == b)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("policy", ["raise", "skip", "rollback", "warn"])
def test_a_guarded_run_is_bit_identical(kind: str, policy: str) -> None:
    found, guard = guarded(kind, policy=policy, snapshot_every=3)
    assert_same(found, unguarded(kind))
    assert not guard.incidents
    assert len(guard.history) >= NUM_BATCHES / 2


@pytest.mark.parametrize("kind", ["plain", "fused", "float16_with_scaler", "two_optimizers", "accumulation", "lbfgs"])
@pytest.mark.parametrize("before_update", ["read", "flag", "snapshot"])
def test_each_way_to_prevent_an_update_leaves_a_healthy_run_alone(kind: str, before_update: str) -> None:
    found, guard = guarded(kind, before_update=before_update)
    assert_same(found, unguarded(kind))
    assert not guard.incidents


class Waits(TorchDispatchMode):
    """Counts operations that would wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        is_masked = name == "index" and any(t is not None and t.dtype == torch.bool for t in args[1])
        if name in SYNCHRONISES or is_masked:
            self.seen[name] += 1
        return func(*args, **(kwargs or {}))


def waits(kind: str, **settings: Any) -> Counter[str]:
    seed()
    run = ALL[kind]()
    batches = list(run.loader)
    with Guard(run.models, run.optimizers, settings=Settings(**settings)) as guard, Waits() as mode:
        run.train(guard.watch(batches))
    assert len(run.losses) == NUM_BATCHES
    return mode.seen


@pytest.mark.parametrize("before_update", ["auto", "flag", "snapshot"])
@pytest.mark.parametrize("kind", ALL)
def test_a_healthy_step_never_waits_for_the_device(kind: str, before_update: str) -> None:
    # Some optimizers read numbers of their own; the guard adds nothing to that.
    assert waits(kind, before_update=before_update) == waits(kind, enabled=False)


def test_the_counter_of_waits_sees_one() -> None:
    with Waits() as mode:
        torch.ones(2).sum().item()
    assert mode.seen == Counter({"_local_scalar_dense": 1})


def test_turned_off_it_hands_out_the_loader_itself() -> None:
    run = ALL["plain"]()
    guard = Guard(run.models, run.optimizers, settings=Settings(enabled=False))
    assert guard.watch(run.loader) is run.loader


def compile_model(run: Run) -> None:
    run.models[""].compile(backend="aot_eager")


def compile_function(run: Run) -> None:
    """The guard does not get to see what is compiled."""
    model = run.models[""]
    forward = torch.compile(lambda x: torch.nn.Module.__call__(model, x), backend="aot_eager")

    def compiled(batch: Any) -> Tensor:
        x, y = batch
        optimizer = run.optimizers[""]
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(forward(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run.body = compiled


@pytest.mark.parametrize("put_in", [compile_model, compile_function])
def test_no_graph_break_is_added_under_compile(put_in: Callable[[Run], None]) -> None:
    counts = []
    for is_guarded in (False, True):
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        seed()
        run = ALL["plain"]()
        put_in(run)
        settings = Settings(enabled=is_guarded, sample_every=2)
        guard = Guard(run.models, run.optimizers, settings=settings)
        run.train(guard.watch(run.loader))
        guard.close()
        counters = torch._dynamo.utils.counters
        counts.append((sum(counters["graph_break"].values()), counters["stats"]["unique_graphs"], run.losses[-1]))
    assert counts[0] == counts[1]
    assert counts[0][1] > 0
