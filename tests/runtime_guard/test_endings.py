"""Errors that end the loop body before the guard has seen anything: whether a bad number made them, and which."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime_guard import Guard, IncidentWarning, TrainingIncident
from tests.runtime_guard.processes import fresh_python

BAD = 3


class Net(nn.Module):
    """A root whose input is 0 where a whole sample is."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.norm = nn.BatchNorm1d(4, affine=False)
        self.last = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.log(self.first(x).abs())
        return self.last(self.norm(hidden)).sigmoid()


class Training:
    def __init__(self, **options: Any) -> None:
        torch.manual_seed(0)
        self.net = Net()
        self.optimizer = torch.optim.Adam(self.net.parameters(), 1e-2)
        self.guard = Guard(self.net, self.optimizer, **options)
        self.seen: list[int] = []

    def step(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def batches(kind: str) -> list[Tensor]:
    found = list(torch.rand(5, 6, 4, generator=torch.Generator().manual_seed(0)) + 0.5)
    if kind == "input":
        found[BAD][2, 1] = math.nan
    elif kind == "log":
        found[BAD][2] = 0.0
    return found


def refused_by_torch(training: Training, loader: Iterable[Tensor]) -> None:
    for number, x in enumerate(training.guard.watch(loader)):
        x = x.view(6, 4)  # noqa: PLW2901 - as trainings do
        out = training.net(x)
        training.seen.append(number)
        training.step(nn.functional.binary_cross_entropy(out, torch.ones_like(out)))


def refused_by_the_script(training: Training, loader: Iterable[Tensor]) -> None:
    for x in training.guard.watch(loader):
        loss = training.net(x).mean()
        if not math.isfinite(loss.item()):
            raise ValueError("the loss is not finite")
        training.step(loss)


def left_by_the_script(training: Training, loader: Iterable[Tensor]) -> None:
    for x in training.guard.watch(loader):
        loss = training.net(x).mean()
        value = loss.item()
        if math.isnan(value):
            sys.exit(1)
        training.step(loss)


def refused_after_the_update(training: Training, loader: Iterable[Tensor]) -> None:
    for x in training.guard.watch(loader):
        loss = training.net(x).mean()
        training.step(loss)
        if math.isnan(loss.item()):
            raise ValueError("the loss is not finite")


def refused_by_clipping(training: Training, loader: Iterable[Tensor]) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=False):
        for x in training.guard.watch(loader):
            training.net(x).mean().backward()
            nn.utils.clip_grad_norm_(training.net.parameters(), 1.0, error_if_nonfinite=True)
            training.optimizer.step()
            training.optimizer.zero_grad()


ENDINGS: dict[str, tuple[Callable[..., None], type[BaseException]]] = {
    "torch": (refused_by_torch, RuntimeError),
    "raise": (refused_by_the_script, ValueError),
    "exit": (left_by_the_script, SystemExit),
    "after": (refused_after_the_update, ValueError),
    "clip": (refused_by_clipping, RuntimeError),
}


@pytest.mark.parametrize("kind", ["input", "log"])
@pytest.mark.parametrize("name", ENDINGS)
def test_an_error_that_a_bad_number_made_is_diagnosed(name: str, kind: str, tmp_path: Path) -> None:
    train, expected = ENDINGS[name]
    training = Training(logdir=tmp_path)
    with pytest.raises(TrainingIncident) as caught, training.guard:
        train(training, batches(kind))
    incident = caught.value.incident
    birth = incident.birth
    assert isinstance(caught.value.__cause__, expected)
    assert incident.error is not None
    assert incident.error.startswith(expected.__name__)
    assert incident.step == BAD
    assert birth is not None
    if kind == "input":
        assert (birth.kind, birth.samples) == ("input", (2,))
    else:
        assert (birth.operation, birth.value) == ("log", "inf")
        assert birth.place is not None
        assert birth.place.text == "hidden = torch.log(self.first(x).abs())"
        assert incident.rule == "TRN204"
    assert training.guard.incidents == [incident]
    assert len(list(tmp_path.glob("incidents/*"))) == 1


def test_the_body_runs_again_with_the_batch_that_it_was_given() -> None:
    training = Training()
    with pytest.raises(TrainingIncident), training.guard:
        refused_by_torch(training, batches("log"))
    # Once by itself, once with finite numbers, once under diagnosis.
    assert training.seen == [0, 1, 2, 3, 3, 3]


def test_parameters_and_buffers_are_those_from_before_the_step() -> None:
    known, training = Training(), Training()
    refused_by_torch(known, batches("log")[:BAD])
    with pytest.raises(TrainingIncident), training.guard:
        refused_by_torch(training, batches("log"))
    for name, value in known.net.state_dict().items():
        assert torch.equal(value, training.net.state_dict()[name]), name


def unrelated_beside_nan(training: Training, loader: Iterable[Tensor]) -> None:
    """Missing values are NaN here and are left out, and the script has a mistake of its own."""
    names = {0: "a", 1: "b", 2: "c"}
    for number, x in enumerate(training.guard.watch(loader)):
        loss = training.net(x.nan_to_num(1.0)).mean()
        training.seen.append(len(names[number]))
        training.step(loss)


def unrelated(training: Training, loader: Iterable[Tensor]) -> None:
    for number, x in enumerate(training.guard.watch(loader)):
        training.step(training.net(x).mean())
        training.seen.append(number)
        [][number - BAD]


@pytest.mark.parametrize("train", [unrelated, unrelated_beside_nan])
def test_other_errors_stay_what_they_are(train: Callable[..., None]) -> None:
    training = Training()
    state = {}
    with pytest.raises((KeyError, IndexError)), training.guard:  # noqa: PT012 - as is what follows
        try:
            train(training, batches("input"))
        finally:
            state = {name: value.clone() for name, value in training.net.state_dict().items()}
    assert training.guard.incidents == []
    for name, value in training.net.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_without_anything_bad_the_body_does_not_run_again() -> None:
    training = Training()
    with pytest.raises(IndexError), training.guard:
        unrelated(training, batches("none"))
    assert training.seen == [0]


def test_a_loop_that_was_left_for_good_explains_no_later_error() -> None:
    training = Training()
    with pytest.raises(ValueError, match="later"), training.guard:  # noqa: PT012 - the loop is what is tried
        for x in training.guard.watch(batches("input")):
            if not math.isfinite(training.net(x).mean().item()):
                break
        raise ValueError("later")
    assert training.guard.incidents == []


def test_with_the_policy_warn_the_error_goes_on_after_a_warning() -> None:
    training = Training(policy="warn")
    with (
        pytest.warns(IncidentWarning, match="input batch held nan"),
        pytest.raises(RuntimeError, match="between 0 and 1"),
        training.guard,
    ):
        refused_by_torch(training, batches("input"))


def changed(loader: Iterable[Tensor]) -> Iterator[Tensor]:
    for x in loader:
        yield x * 2


def through_a_generator(training: Training, loader: Iterable[Tensor]) -> None:
    for x in changed(training.guard.watch(loader)):
        out = training.net(x)
        training.step(nn.functional.binary_cross_entropy(out, torch.ones_like(out)))


def by_hand(training: Training, loader: Iterable[Tensor]) -> None:
    turns = iter(training.guard.watch(loader))
    while True:
        out = training.net(next(turns))
        training.step(nn.functional.binary_cross_entropy(out, torch.ones_like(out)))


@pytest.mark.parametrize(
    ("train", "reason"),
    [(through_a_generator, "changed stands between the guard and the loop"), (by_hand, "no `for` statement")],
)
def test_a_body_that_cannot_run_again_is_told_with_what_was_at_hand(train: Callable[..., None], reason: str) -> None:
    training = Training()
    with pytest.raises(TrainingIncident, match=reason) as caught, training.guard:
        train(training, batches("log"))
    incident = caught.value.incident
    assert incident.birth is None
    assert incident.found[0] == "input in binary_cross_entropy: nan"
    assert "RuntimeError: all elements of input should be between 0 and 1" in str(caught.value)


SCRIPT = """
import math, sys, torch
from torch import nn
from runtime_guard import Guard

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
optimizer = torch.optim.SGD(net.parameters(), 0.1)
data = torch.rand(12, 4)
data[9, 1] = math.nan
guard = Guard(net, optimizer)
for x in guard.watch(data.split(4)):
    out = net(x)
    loss = nn.functional.binary_cross_entropy(out, torch.ones_like(out))
    loss.backward()
    optimizer.step()
"""


def test_an_error_that_nobody_catches_is_printed_with_its_incident(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    done = fresh_python(tmp_path, "train.py")
    assert done.returncode == 1
    assert "RuntimeError: all elements of input should be between 0 and 1" in done.stderr
    assert "the input batch held nan" in done.stderr
    assert "sample 1 of the batch" in done.stderr
