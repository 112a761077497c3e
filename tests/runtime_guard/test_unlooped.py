"""Scripts under `runtime-guard run` whose loops go over no DataLoader."""

from __future__ import annotations

import gc
import math
from pathlib import Path

import pytest
import torch

from runtime_guard import IncidentWarning, Settings, TrainingIncident
from runtime_guard.scripts.attach import run_attached
from runtime_guard.scripts.script import Script

START = """
import sys, math, torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
optimizer = torch.optim.Adam(net.parameters(), 1e-2)
X = torch.rand(48, 4) + 0.1
if "zero" in sys.argv:
    X[33] = 0.0
if "nan" in sys.argv:
    X[33, 2] = math.nan

def loss_of(x):
    return (net(x) - torch.log(x.sum(1, keepdim=True))).pow(2).mean()
"""

LOOPS = {
    "range": """
for epoch in range(2):
    for i in range(0, 48, 8):
        x = X[i : i + 8]
        optimizer.zero_grad()
        loss = loss_of(x)
        loss.backward()
        optimizer.step()
        print(loss.item())
""",
    "list": """
def train(batches):
    total = 0
    for number, x in enumerate(batches):
        loss = loss_of(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
        print(number, total)

train(X.split(8))
""",
    "while": """
step = 0
def update(x):
    optimizer.zero_grad()
    loss = loss_of(x)
    loss.backward()
    optimizer.step()
    return loss

while step < 20:
    x = X[torch.randint(0, 48, (8,))]
    print(update(x).item())
    step += 1
""",
    "scaler": """
scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
for x in X.split(8):
    optimizer.zero_grad()
    loss = loss_of(x)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    print(loss.item())
""",
    "two": """
critic = nn.Linear(4, 1)
other = torch.optim.SGD(critic.parameters(), 1e-2)
for x in X.split(8):
    noise = torch.randn_like(x)
    other.zero_grad()
    critic(noise).pow(2).mean().backward()
    other.step()
    optimizer.zero_grad()
    loss = (loss_of(x) - critic(x + noise).detach().mean()).pow(2)
    loss.backward()
    optimizer.step()
    print(loss.item())
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, loop in LOOPS.items():
        (tmp_path / f"{name}.py").write_text(START + loop)
    return tmp_path


def script(folder: Path, name: str, *arguments: str) -> Script:
    return Script(str(folder / f"{name}.py"), None, arguments, str(folder), is_attached=True)


@pytest.mark.parametrize("name", LOOPS)
def test_a_healthy_script_prints_the_same(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    script(folder, name).run()
    bare = capsys.readouterr().out
    run_attached(script(folder, name), settings=Settings())
    assert capsys.readouterr().out == bare


@pytest.mark.parametrize("name", LOOPS)
def test_a_fault_is_named_at_its_step(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TrainingIncident) as caught:
        run_attached(script(folder, name, "zero"), settings=Settings())
    num_steps = len(capsys.readouterr().out.splitlines())
    incident = caught.value.incident
    assert incident.step == (num_steps if name != "two" else 2 * num_steps + 1)
    assert incident.is_replay_bit_equal
    birth = incident.birth
    assert birth is not None
    assert (birth.operation, birth.value) == ("log", "inf")
    assert birth.place is not None
    assert birth.place.text == "return (net(x) - torch.log(x.sum(1, keepdim=True))).pow(2).mean()"
    assert birth.stack[0].function in ("<module>", "train")
    assert incident.rule == "TRN204"


def test_data_that_is_not_finite_is_named_like_its_variable(folder: Path) -> None:
    with pytest.raises(TrainingIncident) as caught:
        run_attached(script(folder, "range", "nan"), settings=Settings())
    birth = caught.value.incident.birth
    assert birth is not None
    assert (birth.kind, birth.operation) == ("input", "X")
    assert birth.output is not None
    assert birth.output.first_bad == (33, 2)


def test_an_array_that_is_not_finite_is_named_like_its_variable(folder: Path) -> None:
    (folder / "array.py").write_text(
        START
        + """
table = X.numpy().copy()
for epoch in range(3):
    optimizer.zero_grad()
    loss_of(torch.from_numpy(table[:, :4])).backward()
    optimizer.step()
"""
    )
    with pytest.raises(TrainingIncident) as caught:
        run_attached(script(folder, "array", "nan"), settings=Settings())
    birth = caught.value.incident.birth
    assert birth is not None
    assert (birth.kind, birth.operation) == ("input", "table")


@pytest.mark.parametrize("policy", ["skip", "warn"])
def test_policies_go_on(folder: Path, policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(IncidentWarning, match="log made inf"):
        run_attached(script(folder, "range", "zero"), settings=Settings(policy=policy))
    losses = [float(line) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 12
    finite = [math.isfinite(loss) for loss in losses]
    expected = [i % 6 != 4 for i in range(12)] if policy == "skip" else [i < 4 for i in range(12)]
    assert finite == expected


def test_with_the_policy_warn_the_script_is_what_it_was(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script(folder, "while", "zero").run()
    bare = capsys.readouterr().out
    with pytest.warns(IncidentWarning):
        run_attached(script(folder, "while", "zero"), settings=Settings(policy="warn"))
    assert capsys.readouterr().out == bare


def test_a_step_that_cannot_run_again_names_the_line_to_change(folder: Path) -> None:
    (folder / "drawn.py").write_text(
        START
        + """
batches = iter(X.split(8))
for _ in range(6):
    optimizer.zero_grad()
    loss_of(next(batches)).backward()
    optimizer.step()
"""
    )
    with pytest.raises(TrainingIncident) as caught:
        run_attached(script(folder, "drawn", "zero"), settings=Settings())
    assert caught.value.incident.step == 4
    assert not caught.value.incident.is_replay_bit_equal
    assert "`for _ in guard.watch(range(6)):` instead of `for _ in range(6):`" in str(caught.value)


def test_an_error_that_a_bad_number_made_is_diagnosed(folder: Path) -> None:
    (folder / "refused.py").write_text(
        START
        + """
for i in range(0, 48, 8):
    out = net(X[i : i + 8]).sigmoid()
    loss = nn.functional.binary_cross_entropy(out, torch.ones_like(out))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
    )
    with pytest.raises(TrainingIncident) as caught:
        run_attached(script(folder, "refused", "nan"), settings=Settings())
    assert caught.value.incident.step == 4
    assert isinstance(caught.value.__cause__, RuntimeError)
    birth = caught.value.incident.birth
    assert birth is not None
    assert (birth.kind, birth.operation) == ("input", "X")


def test_an_error_in_a_loop_that_trains_nothing_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mails.py").write_text(
        START
        + """
result = torch.tensor(math.nan)
for address in ("a", "b"):
    print("sent to", address)
    raise OSError(f"could not infer a route for {result}")
"""
    )
    with pytest.raises(OSError, match="could not infer"):
        run_attached(script(folder, "mails"), settings=Settings())
    assert capsys.readouterr().out == "sent to a\n"


def test_what_is_printed_before_the_update_is_printed_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "talks.py").write_text(
        START
        + """
for i in range(0, 48, 8):
    print("step", i // 8)
    optimizer.zero_grad()
    loss_of(X[i : i + 8]).backward()
    optimizer.step()
"""
    )
    with pytest.warns(IncidentWarning):
        run_attached(script(folder, "talks", "zero"), settings=Settings(policy="skip"))
    assert capsys.readouterr().out == "".join(f"step {i}\n" for i in range(6))


@pytest.mark.parametrize("loop", ["range", "loader"])
def test_a_run_leaves_no_trace_in_torch(folder: Path, loop: str) -> None:
    (folder / "loader.py").write_text(
        START
        + """
kept = iter(torch.utils.data.DataLoader(X, batch_size=8))
next(kept)
"""
    )
    run_attached(script(folder, loop), settings=Settings())
    gc.collect()
    assert torch.autograd.backward.__module__ == "torch.autograd"
