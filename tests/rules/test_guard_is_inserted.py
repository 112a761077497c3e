"""Fixes that put a `runtime_guard` around a loop leave its training as it is, and stop it where it goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.test_loop_fixes_train import SETUP, fixed, outcome

pytest.importorskip("torch")
runtime_guard = pytest.importorskip("runtime_guard")

TRAINING = """\
def train(poison=None, num_epochs=2):
    model, batches = parts()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for epoch in range(num_epochs):
        for index, (x, target) in enumerate(batches):
            if (epoch, index) == poison:
                x = x / 0
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses, model[0].weight.tolist()
"""


@pytest.mark.parametrize("rule", ["TRN409", "TRN501"])
def test_a_guarded_loop_trains_bit_for_bit_as_before(
    rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert outcome(fixed(rule, TRAINING)) == outcome(SETUP + TRAINING)
    assert (tmp_path / "runs").exists() == (rule == "TRN501")


def test_a_guard_that_is_shown_every_batch_changes_no_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = """\
def train(num_epochs=2):
    model, batches = parts()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for epoch in range(num_epochs):
        for x, target in batches:
            optimizer.zero_grad()
            output = torch.cat([model(x), -model(x)], dim=1)
            classes = (target > 0).long().squeeze(1)
            loss = F.cross_entropy(output, classes)
            loss.backward()
            optimizer.step()
            print("loss", loss.item())
            losses.append(loss.item())
    return losses, model[0].weight.tolist()
"""
    result = fixed("TRN502", code)
    assert "guard.samples(output, classes)" in result
    assert outcome(result) == outcome(SETUP + code)
    assert (tmp_path / "runs").exists()


def test_a_guarded_loop_stops_at_the_first_number_that_is_not_finite() -> None:
    code = TRAINING.replace("poison=None", "poison=(1, 3)")
    losses, _ = outcome(SETUP + code)
    assert losses[11] != losses[11], "without the guard the loop trains on"
    with pytest.raises(runtime_guard.TrainingIncident, match="div"):
        outcome(fixed("TRN409", code))
