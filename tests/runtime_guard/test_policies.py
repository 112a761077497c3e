"""What happens after a bad step: each policy, trained through an injected fault."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime_guard import Decision, Guard, Incident, IncidentWarning, Settings, TrainingIncident
from runtime_guard.device.ticket import Ticket
from tests.runtime_guard.test_healthy_step import assert_same, everything, seed
from tests.runtime_guard.trainings import ALL, Run

KINDS = [kind for kind in ALL if kind != "lbfgs"]
PROTECTIONS = ("read", "flag", "snapshot", "late flag", "late snapshot")


@pytest.fixture
def protection(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A way to prevent updates; a late one reads its numbers only when it has to, as on a GPU that lags behind."""
    name: str = request.param
    if name.startswith("late "):
        monkeypatch.setattr(Ticket, "has_arrived", property(lambda ticket: False))
    return name.removeprefix("late ")


def batches(num: int = 8) -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(7)
    return [
        [torch.randn(8, 6, generator=generator), torch.randint(0, 3, (8,), generator=generator)] for _ in range(num)
    ]


def poisoned(at: int, num: int = 8) -> list[list[Tensor]]:
    found = batches(num)
    found[at][0][3, 2] = math.nan
    return found


def train(kind: str, data: list[list[Tensor]], **options: Any) -> tuple[dict[str, Any], Guard, Run]:
    settings = Settings(**options.pop("settings", {}))
    seed()
    run = ALL[kind]()
    with Guard(
        run.models, run.optimizers, scaler=run.scaler, scheduler=run.scheduler, settings=settings, **options
    ) as guard:
        run.train(guard.watch(data))
    return everything(run), guard, run


def without_losses(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if not key.startswith("loss ") and not key.endswith(".grad")}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("protection", PROTECTIONS, indirect=True)
def test_raise_stops_at_the_bad_step_with_good_parameters(kind: str, protection: str) -> None:
    seed()
    run = ALL[kind]()
    guard = Guard(run.models, run.optimizers, scaler=run.scaler, settings=Settings(before_update=protection))
    with pytest.raises(TrainingIncident) as caught:
        run.train(guard.watch(poisoned(5)))
    incident = caught.value.incident
    assert incident.batch == 5
    assert incident.birth is not None
    assert (incident.birth.kind, incident.birth.samples) == ("input", (3,))
    assert all(value.isfinite().all() for model in run.models.values() for value in model.state_dict().values())
    guard.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("protection", PROTECTIONS, indirect=True)
def test_skip_leaves_the_state_of_a_run_that_never_saw_the_batch(kind: str, protection: str) -> None:
    data = poisoned(5)
    unit = slice(4, 6) if kind == "accumulation" else slice(5, 6)
    with pytest.warns(IncidentWarning, match="skipped the step"):
        found, guard, _ = train(kind, data, policy="skip", settings={"before_update": protection})
    spared = [batch for i, batch in enumerate(data) if i not in range(8)[unit]]
    expected, _, _ = train(kind, spared)
    assert len(guard.incidents) == 1
    assert_same(without_losses(found), without_losses(expected))


def test_skip_works_for_closures_that_are_called_several_times() -> None:
    data = poisoned(5)
    with pytest.warns(IncidentWarning):
        found, _, _ = train("lbfgs", data, policy="skip")
    expected, _, _ = train("lbfgs", data[:5] + data[6:])
    assert_same(without_losses(found), without_losses(expected))


def test_skips_in_a_row_are_bounded() -> None:
    data = batches()
    for batch in data[3:]:
        batch[0].fill_(math.nan)
    with (
        pytest.warns(IncidentWarning),
        pytest.raises(TrainingIncident, match="2 skipped steps in a row did not help") as caught,
    ):
        train("plain", data, policy="skip", settings={"max_skips": 2})
    assert caught.value.incident.batch == 5


def test_a_good_step_between_two_skips_ends_the_row() -> None:
    data = batches()
    for index in (2, 4, 6):
        data[index][0].fill_(math.nan)
    with pytest.warns(IncidentWarning):
        _, guard, _ = train("plain", data, policy="skip", settings={"max_skips": 1})
    assert [incident.batch for incident in guard.incidents] == [2, 4, 6]


def test_rollback_returns_to_the_last_snapshot() -> None:
    data = poisoned(5)
    with pytest.warns(IncidentWarning, match="rolled back"):
        found, _, _ = train("plain", data, policy="rollback", settings={"snapshot_every": 4})
    # Snapshots were taken before batches 0 and 4; what batch 4 taught is lost.
    expected, _, _ = train("plain", data[:4] + data[6:])
    assert_same(without_losses(found), without_losses(expected))


def test_rollbacks_without_a_new_snapshot_are_bounded() -> None:
    data = batches()
    for batch in data[3:]:
        batch[0].fill_(math.nan)
    with pytest.warns(IncidentWarning), pytest.raises(TrainingIncident, match="2 rollbacks in a row did not help"):
        train("plain", data, policy="rollback", settings={"max_rollbacks": 2})


@pytest.mark.parametrize("kind", ["plain", "two_optimizers", "float16_with_scaler", "accumulation", "lbfgs"])
@pytest.mark.parametrize("protection", PROTECTIONS, indirect=True)
def test_warn_lets_the_run_be_as_it_would_have_been(kind: str, protection: str) -> None:
    data = poisoned(5)
    with pytest.warns(IncidentWarning, match="as without the guard") as caught:
        found, guard, _ = train(kind, data, policy="warn", settings={"before_update": protection})
    expected, _, _ = train(kind, data, settings={"enabled": False})
    assert len(caught) == len(guard.incidents) == 1, "the parameters stay bad, which is not a second incident"
    different = [key for key, value in without_losses(expected).items() if not same_or_nan(found[key], value)]
    assert not different


def same_or_nan(a: Any, b: Any) -> bool:
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same_or_nan, a, b))
    if isinstance(a, Tensor):
        return torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0)) and torch.equal(a.isnan(), b.isnan())
    return bool(a == b or (a != a and b != b))  # noqa: PLR0124


def test_a_function_decides() -> None:
    asked: list[Incident] = []

    def decide(incident: Incident) -> Decision:
        asked.append(incident)
        return Decision.SKIP

    data = poisoned(5)
    with pytest.warns(IncidentWarning):
        found, _, _ = train("plain", data, policy=decide)
    expected, _, _ = train("plain", data[:5] + data[6:])
    assert [incident.batch for incident in asked] == [5]
    assert_same(without_losses(found), without_losses(expected))


def test_a_function_that_returns_something_else_is_told() -> None:
    policy: Any = lambda incident: "skip"  # noqa: E731
    with pytest.raises(TypeError, match=r"the policy returned 'skip', expected a Decision, e.g. Decision.SKIP"):
        train("plain", poisoned(5), policy=policy)


def noisy(seed_: int) -> Iterator[list[Tensor]]:
    generator = torch.Generator().manual_seed(seed_)
    for index in range(60):
        x = torch.randn(16, 6, generator=generator)
        y = (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
        if index in (9, 30):
            x[2] = math.inf
        yield [x, y]


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_training_through_faults_converges(policy: str) -> None:
    with pytest.warns(IncidentWarning):
        _, guard, run = train("fused", list(noisy(1)), policy=policy, settings={"snapshot_every": 10})
    assert [incident.batch for incident in guard.incidents] == [9, 30]
    finite = torch.stack([loss for loss in run.losses if loss.isfinite()])
    assert finite[-5:].mean() < 0.8 * finite[:5].mean()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Guard(3), "model is a int, expected a Module, or several in a dict or list"),  # type: ignore[arg-type]
        (lambda: Guard({"net": 3}), "model 'net' is a int, expected a Module"),  # type: ignore[dict-item]
        (lambda: Guard(policy=3), "policy is a int, expected raise, skip, rollback, warn or a function"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_named(make: Callable[[], Guard], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value) == message
