"""Scripts in processes of their own: bundles, replays elsewhere, and scripts that know nothing of the guard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime_guard.incidents.bundle import Bundle, BundleError
from tests.runtime_guard.processes import fresh_python, python

Project = Callable[..., Path]
Edit = Callable[[str, str | None], None]

MODEL = """
import torch
from torch import nn

class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 1)

    def forward(self, x):
        ratio = torch.sigmoid(self.linear(x)) * x.abs().sum(1, keepdim=True)
        return torch.log(ratio)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8, affine=False), nn.Dropout(0.1))
        self.head = Head()

    def forward(self, x):
        return self.head(self.stem(x) * (x.abs().sum(1, keepdim=True) > 0))

def samples():
    torch.manual_seed(1)
    x = torch.randn(48, 4)
    x[29] = 0.0   # Its ratio is 0.
    return x
"""

GUARDED = """
import sys
import torch
from model import Net, samples
from runtime_guard import Guard

torch.manual_seed(0)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), 1e-3)
loader = torch.utils.data.DataLoader(samples(), batch_size=8)
with Guard(net, optimizer, logdir=sys.argv[1]) as guard:
    for batch in guard.watch(loader):
        optimizer.zero_grad()
        net(batch).pow(2).mean().backward()
        optimizer.step()
"""

BARE = """
import sys
import torch
from model import Net, samples

torch.manual_seed(0)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), 1e-3)
data = samples()
if "--healthy" in sys.argv:
    data[29] = 1.0
loader = torch.utils.data.DataLoader(data, batch_size=8, shuffle="--shuffle" in sys.argv)
valid = torch.utils.data.DataLoader(data[:16], batch_size=8)
for epoch in range(2):
    for batch in loader:
        optimizer.zero_grad()
        loss = net(batch).pow(2).mean()
        loss.backward()
        optimizer.step()
        print(repr(loss.item()))
    net.eval()
    for batch in valid:
        with torch.no_grad():
            print(repr(net(batch).mean().item()))
    net.train()
"""

PARALLEL = """
import os, sys
import torch
import torch.distributed as dist
from model import Net, samples

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
net = torch.nn.parallel.DistributedDataParallel(Net())
optimizer = torch.optim.Adam(net.parameters(), 1e-3)
data = samples()
if "--healthy" in sys.argv:
    data[29] = 1.0
losses = []
for batch in torch.utils.data.DataLoader(data[rank::2], batch_size=8):
    optimizer.zero_grad()
    loss = net(batch).pow(2).mean()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
os.write(1, f"{rank} {losses}\\n".encode())   # In one piece: two processes share the pipe.
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("project")
    for name, text in {"model.py": MODEL, "guarded.py": GUARDED, "bare.py": BARE}.items():
        (found / name).write_text(text)
    return found


@pytest.fixture(scope="module")
def bare_output(folder: Path) -> str:
    """What the healthy script prints without the guard."""
    done = python(folder, "bare.py", "--healthy", "--shuffle")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2 * (6 + 2)
    return done.stdout


@pytest.fixture
def edit(folder: Path) -> Iterator[Callable[[str, str | None], None]]:
    """Writes another text into a file of the project, or removes it, until the test is over."""
    before: dict[str, str] = {}

    def write(name: str, text: str | None) -> None:
        before.setdefault(name, (folder / name).read_text())
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(text)

    yield write
    for name, text in before.items():
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def incident(folder: Path) -> Path:
    """What a script with a guard of its own left behind. Tests change copies of it."""
    done = python(folder, "guarded.py", "run")
    assert "TrainingIncident" in done.stderr, done.stderr
    (found,) = (folder / "run" / "incidents").iterdir()
    return found


def test_a_bundle_holds_the_verdict_and_what_is_needed_to_run_again(incident: Path) -> None:
    assert sorted(path.name for path in incident.iterdir()) == [
        "batches.safetensors", "incident.json", "state.safetensors", "verdict.txt",
    ]  # fmt: skip
    record = json.loads((incident / "incident.json").read_text())
    birth = record["incident"]["birth"]
    assert (birth["operation"], birth["modules"], birth["place"]["text"]) == (
        "log", ["head"], "return torch.log(ratio)",
    )  # fmt: skip
    assert record["incident"]["rule"] == "TRN204"
    assert record["incident"]["environment"]["torch"]["version"]
    text = (incident / "verdict.txt").read_text()
    assert "log made inf" in text
    assert "runtime-guard replay" in text


def test_another_process_comes_to_the_same_verdict(folder: Path, incident: Path) -> None:
    before = {path: path.read_bytes() for path in (folder / "run").rglob("*") if path.is_file()}
    done = python(folder, "-m", "runtime_guard", "replay", str(incident))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The verdict is the same as then." in done.stdout
    after = {path: path.read_bytes() for path in (folder / "run").rglob("*") if path.is_file()}
    assert after == before, "the run's folder stays as it was"
    assert "log made inf" in done.stdout


def test_a_script_that_is_another_now_is_told(folder: Path, incident: Path, edit: Edit) -> None:
    edit("model.py", MODEL.replace("nn.Linear(8, 1)", "nn.Linear(8, 2)"))
    done = python(folder, "-m", "runtime_guard", "replay", str(incident))
    assert done.returncode == 2
    assert "the model that the script makes now is not the one of the incident: head.linear" in done.stderr


def test_a_script_that_was_repaired_comes_to_another_verdict(folder: Path, incident: Path, edit: Edit) -> None:
    edit("model.py", MODEL.replace("torch.log(ratio)", "torch.log(ratio + 1e-6)"))
    done = python(folder, "-m", "runtime_guard", "replay", str(incident))
    assert done.returncode == 1
    assert "the replay stayed finite" in done.stdout


def test_a_script_that_is_gone_is_told(folder: Path, incident: Path, edit: Edit) -> None:
    edit("guarded.py", None)
    done = python(folder, "-m", "runtime_guard", "replay", str(incident))
    assert done.returncode == 2
    assert "the script is gone" in done.stderr


@pytest.mark.parametrize(
    ("start", "message"),
    [("raise SystemExit(0)", "the script left with exit code 0 before it came to a guarded batch"),
     ("raise OSError('no data')", "the script failed before the step was over: OSError: no data at guarded.py:1"),
     ("import os; os.environ['RUNTIME_GUARD'] = 'off'", "the script ended before it came to a guarded batch")],
)  # fmt: skip
def test_a_script_that_does_not_get_to_the_step_is_no_equal_verdict(
    folder: Path, incident: Path, edit: Edit, start: str, message: str
) -> None:
    edit("guarded.py", f"{start}\n{GUARDED}")
    done = python(folder, "-m", "runtime_guard", "replay", str(incident))
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr


def test_show_prints_a_runs_health_and_incidents(folder: Path, incident: Path) -> None:
    done = python(folder, "-m", "runtime_guard", "show", "run")
    assert done.returncode == 0, done.stderr
    assert "3 steps, 0 epochs, 1 incident, ended by an incident" in done.stdout
    assert "log made inf" in done.stdout


def test_the_fix_of_an_incident_is_proposed_at_its_line_and_cures_it(folder: Path, incident: Path, edit: Edit) -> None:
    model = folder / "model.py"
    edit("model.py", MODEL)  # So that it is as it was for the tests that follow.
    path = str(incident.relative_to(folder))
    assert f"pipeline-lint fix --incident {path} --diff" in (incident / "verdict.txt").read_text()
    shown = python(folder, "-m", "pipeline_lint", "fix", "--incident", path, "--diff")
    assert shown.returncode == 1, shown.stderr
    assert [line for line in shown.stdout.splitlines() if line[:1] == "-"][1:] == ["-        return torch.log(ratio)"]
    assert "model.py:12" in shown.stderr
    assert "TRN204" in shown.stderr
    assert "unsafe fix: " in shown.stderr
    refused = python(folder, "-m", "pipeline_lint", "fix", "--incident", path)
    assert refused.returncode == 1
    assert "apply it with --unsafe-fixes" in refused.stderr
    assert model.read_text() == MODEL
    done = python(folder, "-m", "pipeline_lint", "fix", "--incident", path, "--unsafe-fixes")
    assert done.returncode == 0, done.stderr
    assert model.read_text() != MODEL
    trained = python(folder, "guarded.py", "repaired")
    assert trained.returncode == 0, trained.stderr
    assert "6 steps, 0 epochs, 0 incidents, finished" in python(
        folder, "-m", "runtime_guard", "show", "repaired"
    ).stdout  # fmt: skip
    stale = python(folder, "-m", "pipeline_lint", "fix", "--incident", path)
    assert stale.returncode == 2
    assert "the file was changed since" in stale.stderr


def test_a_run_that_another_exception_ended_says_so(folder: Path) -> None:
    (folder / "broken.py").write_text(GUARDED.replace("        optimizer.zero_grad()", "        raise OSError('gone')"))
    assert python(folder, "broken.py", "broken").returncode == 1
    assert ", ended by OSError" in python(folder, "-m", "runtime_guard", "show", "broken").stdout


def test_show_of_an_empty_folder_says_what_is_expected(project: Project) -> None:
    done = python(project(), "-m", "runtime_guard", "show", ".")
    assert done.returncode == 1
    assert "expected a run's folder" in done.stderr


@pytest.mark.parametrize("target", [["bare.py"], ["-m", "bare"]])
def test_a_script_that_knows_nothing_of_the_guard_prints_the_same_under_it(
    folder: Path, bare_output: str, target: list[str]
) -> None:
    guarded = python(folder, "-m", "runtime_guard", "run", *target, "--healthy", "--shuffle")
    assert guarded.returncode == 0, guarded.stderr
    assert guarded.stdout == bare_output


def test_a_fault_in_a_script_that_knows_nothing_of_the_guard_is_named_and_run_again(folder: Path) -> None:
    done = fresh_python(folder, "-m", "runtime_guard", "run", "--logdir", "attached", "bare.py")
    assert done.returncode == 1
    assert "log made inf" in done.stderr
    assert "head (Head)" in done.stderr
    assert "click" not in done.stderr, "the stack begins with the script, not with the command"
    (bundle,) = (folder / "attached" / "incidents").iterdir()
    again = fresh_python(folder, "-m", "runtime_guard", "replay", str(bundle))
    assert again.returncode == 0, again.stdout + again.stderr


def test_two_processes_under_torchrun_print_the_same_and_tell_incidents(folder: Path) -> None:
    (folder / "parallel.py").write_text(PARALLEL)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    bare = fresh_python(folder, *torchrun, "parallel.py", "--healthy")
    guarded = fresh_python(folder, *torchrun, "-m", "runtime_guard", "run", "parallel.py", "--healthy")
    assert guarded.returncode == 0, guarded.stderr
    assert sorted(guarded.stdout.splitlines()) == sorted(bare.stdout.splitlines())
    assert len(bare.stdout.splitlines()) == 2
    bad = fresh_python(folder, *torchrun, "-m", "runtime_guard", "run", "--logdir", "two", "parallel.py")
    assert bad.returncode == 1
    assert "rank 1), log made inf" in bad.stderr
    assert "cannot be run again: it happened in one of 2 processes" in bad.stderr


def test_a_policy_given_on_the_command_line_counts(folder: Path) -> None:
    done = python(folder, "-m", "runtime_guard", "run", "--policy", "skip", "bare.py")
    assert done.returncode == 0, done.stderr
    assert "skipped the step" in done.stderr
    # Two epochs of six batches, two bad ones that run twice, and two epochs of two batches for validation.
    assert len(done.stdout.splitlines()) == 2 * 6 + 2 + 2 * 2


def test_a_script_that_is_not_there_is_told(folder: Path) -> None:
    done = python(folder, "-m", "runtime_guard", "run", "nowhere.py")
    assert done.returncode == 2
    assert "there is no script nowhere.py; a module is run with -m nowhere.py" in done.stderr


def test_a_script_with_a_guard_of_its_own_keeps_it(folder: Path) -> None:
    done = python(folder, "-m", "runtime_guard", "run", "guarded.py", "own")
    assert done.returncode == 1
    assert done.stderr.count("log made inf") == 1
    assert len(list((folder / "own" / "incidents").iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "holds no incident.json"), ("{", "cannot be read"), ("[]", "is not an incident of runtime_guard"),
     ('{"incident": {}, "format": 1}', "is damaged: KeyError 'script'"),
     ('{"incident": {}, "format": 99}', "has format 99, this version reads 1")],
)  # fmt: skip
def test_what_is_no_bundle_is_told(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "incident.json").write_text(content)
    with pytest.raises(BundleError, match=message):
        Bundle.read(tmp_path)
