"""What a guarded run must survive. Full disks and kills while an incident is written are in test_bundle."""

from __future__ import annotations

import copy
import io
import json
import math
import os
import pickle
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from runtime_guard import Guard, IncidentWarning, Settings, TrainingIncident
from runtime_guard.health import Health
from runtime_guard.replay.births import BirthWatch
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sinks.json_lines import read_rows
from tests.runtime_guard.processes import ROOT, fresh_python, python


def good(num: int) -> list[Tensor]:
    return list(torch.randn(num, 4, 3, generator=torch.Generator().manual_seed(3)))


def bad() -> Tensor:
    return torch.full((4, 3), math.nan)


class Training:
    """A model, its optimizer, and a guard around both."""

    def __init__(self, **options: Any) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.1), nn.Linear(4, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-2)
        self.guard = Guard(self.model, self.optimizer, **options)

    def step(self, batch: Any) -> None:
        batch = batch[0] if isinstance(batch, list) else batch
        self.optimizer.zero_grad()
        self.model(batch).pow(2).mean().backward()
        self.optimizer.step()

    def train(self, batches: Any) -> None:
        for batch in self.guard.watch(batches):
            self.step(batch)

    def state(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self.model.state_dict().items()}


def is_guarding(training: Training) -> bool:
    """Whether a bad batch is still found."""
    with pytest.raises(TrainingIncident):
        training.train([bad()])
    return True


def no_trace_is_left() -> bool:
    """Whether torch is as it was before any guard."""
    return torch.autograd.backward.__module__ == "torch.autograd" and not nn.modules.module._global_forward_hooks


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_run_killed_at_any_moment_leaves_what_can_be_read_as_it_could_beside_it(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    code = f"""
from pathlib import Path
from tests.runtime_guard.test_survival import Training, good
training = Training(logdir=Path({str(tmp_path)!r}))
while True:
    training.train(good(1))
    training.guard.epoch_end({{"accuracy": 0.5}})
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    try:
        while not (tmp_path / "health.json").exists():
            assert process.poll() is None
            os.sched_yield()
        events = EventAccumulator(str(tmp_path))
        moment = time.monotonic() + 1.0
        while time.monotonic() < moment:  # A reader beside the run never sees half a file.
            json.loads((tmp_path / "health.json").read_text())
            events.Reload()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    health = Health.read(tmp_path)
    assert health is not None
    assert health.num_epochs == len(health.metrics) > 0
    assert "not finished" in health.describe()
    shown = [event.step for event in EventAccumulator(str(tmp_path)).Reload().Scalars("loss/loss")]
    rows = [row["step"] for row in read_rows(tmp_path / "readings.jsonl") if "loss/loss" in row]
    assert shown == sorted(set(shown))
    assert len(shown) > 1
    assert rows == list(range(len(rows)))
    assert len(rows) > 1


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_loaders_with_workers_are_watched(context: str) -> None:
    if context == "fork" and sys.platform in ("win32", "darwin"):
        pytest.skip("does not fork")
    x = torch.cat([*good(3), bad()])
    loader = DataLoader(TensorDataset(x), batch_size=4, num_workers=1, multiprocessing_context=context)
    training = Training()
    with pytest.raises(TrainingIncident) as caught:
        training.train(loader)
    assert caught.value.incident.batch == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="does not fork")
def test_a_fork_in_the_midst_of_training_leaves_the_parent_alone() -> None:
    code = """
import os, sys
from tests.runtime_guard.test_survival import Training, good, is_guarding
training = Training()
for batch in training.guard.watch(good(4)):
    child = os.fork()
    if child == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    training.step(batch)
assert is_guarding(training)
print("done")
"""
    done = python(ROOT, "-c", code)
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize(
    "batch",
    [{"text": ["a", "b"], "none": None}, ("a", 3, object()), "text", None, 7],
    ids=["dict", "tuple", "string", "none", "number"],
)
def test_batches_that_are_no_tensors_go_through(batch: Any) -> None:
    training = Training()
    seen = []
    for item in training.guard.watch([batch] * 3):
        training.step(good(1)[0])
        seen.append(item)
    assert all(item is batch for item in seen)
    assert len(seen) == 3
    with pytest.raises(TrainingIncident):  # noqa: PT012 - the loop is what is tried
        for _ in training.guard.watch([batch]):
            training.step(bad())


def test_a_model_without_parameters_is_guarded() -> None:
    with Guard(nn.ReLU()) as guard:
        assert len(list(guard.watch(good(3)))) == 3
    assert guard.incidents == []


def test_empty_epochs_are_epochs(tmp_path: Path) -> None:
    training = Training(logdir=tmp_path)
    for _ in range(3):
        training.train([])
        training.guard.epoch_end()
    training.guard.close()
    health = Health.read(tmp_path)
    assert health is not None
    assert health.describe() == "0 steps, 3 epochs, 0 incidents, finished"


def test_a_resumed_run_goes_on_where_it_stood(tmp_path: Path) -> None:
    whole = Training()
    whole.train(good(8))
    first = Training()
    first.train(good(8)[:5])
    first.guard.epoch_end({"accuracy": 0.5})
    file = io.BytesIO()
    torch.save({"guard": first.guard.state_dict()}, file)
    file.seek(0)
    second = Training(logdir=tmp_path)
    second.guard.load_state_dict(torch.load(file, weights_only=True)["guard"])
    second.model.load_state_dict(first.model.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    second.train(good(8)[5:])
    assert [record.step for record in second.guard.history] == list(range(8))
    assert second.guard.history[:5] == first.guard.history
    with pytest.raises(TrainingIncident) as caught:
        second.train([bad()])
    assert (caught.value.incident.step, caught.value.incident.epoch) == (8, 1)
    assert second.guard.metrics == [{"accuracy": 0.5}]


def test_a_state_of_something_else_is_told() -> None:
    training = Training()
    with pytest.raises(ValueError, match=r"this is no state of a Guard: it has 0\.weight, "):
        training.guard.load_state_dict(training.model.state_dict())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_model_can_be_copied_within_a_step_and_the_copy_is_free(duplicate: Any) -> None:
    training = Training()
    for batch in training.guard.watch(good(2)):
        training.optimizer.zero_grad()
        loss = training.model(batch).pow(2).mean()
        loss.backward()
        free = duplicate(training.model)
        training.optimizer.step()
    free(bad()).sum().backward()
    torch.optim.SGD(free.parameters(), 0.1).step()
    assert training.guard.incidents == []
    assert is_guarding(training)


def test_two_guards_each_tell_their_own() -> None:
    first, second = Training(policy="skip"), Training(policy="skip")
    # The bad batch comes twice, for the replay.
    pairs = zip(first.guard.watch([*good(2), bad()]), second.guard.watch(good(4)), strict=True)
    with pytest.warns(IncidentWarning, match="the input batch held nan"):  # noqa: PT031 - the loop is what is tried
        for a, b in pairs:
            first.step(a)
            second.step(b)
    assert len(first.guard.incidents) == 1
    assert second.guard.incidents == []
    assert [record.step for record in second.guard.history] == [0, 1, 2, 3]
    assert all(value.isfinite().all() for training in (first, second) for value in training.state().values())


def test_closing_twice_does_nothing_more_and_leaves_no_trace() -> None:
    training = Training()
    training.train(good(2))
    training.guard.close()
    training.guard.close()
    assert not training.optimizer._optimizer_step_pre_hooks
    assert not training.optimizer._optimizer_step_post_hooks
    assert no_trace_is_left()
    assert list(training.guard.watch([1, 2])) == [1, 2]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_in_the_loop_is_the_loops_own_and_training_can_go_on(kind: type[BaseException]) -> None:
    training = Training()
    error = kind("mine")
    with pytest.raises(kind) as caught:  # noqa: PT012 - the loop is what is tried
        for index, batch in enumerate(training.guard.watch(good(4))):
            if index == 2:
                raise error
            training.step(batch)
    assert caught.value is error
    assert training.guard.incidents == []
    del caught, error
    training.train(good(2))
    assert is_guarding(training)


def test_an_operation_that_cannot_be_looked_at_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The replay's own mistake neither ends it nor changes what it comes to."""
    original = BirthWatch._note_outputs

    def note(self: BirthWatch, operation: Any, outputs: Any, *, is_in_place: bool) -> None:
        if operation.name == "ones_like":
            raise NotImplementedError("no such tensor")
        original(self, operation, outputs, is_in_place=is_in_place)

    monkeypatch.setattr(BirthWatch, "_note_outputs", note)
    training = Training()
    with pytest.raises(TrainingIncident) as caught:
        training.train([*good(1), bad()])
    incident = caught.value.incident
    assert incident.birth is not None
    assert incident.birth.kind == "input"
    assert "the replay could not look at 1 operation: NotImplementedError: no such tensor" in incident.notes
    assert incident.is_replay_bit_equal


MISTAKES = {
    "begins a step": ("loops.watcher.Watcher", "_begin_micro_batch"),
    "copies the state": ("state.LightState", "__init__"),
    "ends a step": ("loops.watcher.Watcher", "_end_micro_batch"),
    "hears of backward": ("sentinel.hooks.Hooks", "backward_from"),
    "hears that backward is over": ("sentinel.hooks.Hooks", "after_backward"),
    "looks at gradients": ("sentinel.inspection.Inspection", "gradients"),
    "looks at the updated parameters": ("sentinel.inspection.Inspection", "are_parameters_due"),
    "settles": ("sentinel.inspection.Inspection", "settle"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_of_the_guards_ends_the_watching_and_not_the_training(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Training(settings=Settings(enabled=False))
    for _ in range(2):
        expected.train(good(4))
    owner, method = MISTAKES[name]
    calls = []
    original = getattr(pkgutil.resolve_name(f"runtime_guard.{owner}"), method)

    def fail(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise IndexError("a mistake")
        return original(*args, **kwargs)

    monkeypatch.setattr(f"runtime_guard.{owner}.{method}", fail)
    training = Training()
    with pytest.warns(GuardWarning, match="no longer watches this training.* IndexError: a mistake, at .*py") as caught:
        training.train(good(4))
    assert len(caught) == 1
    training.train(good(4))
    training.guard.close()
    assert len(calls) >= 3
    assert all(torch.equal(a, b) for a, b in zip(training.state().values(), expected.state().values(), strict=True))
    assert not training.guard.incidents
    assert no_trace_is_left()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_exception_during_the_replay_is_the_loops_own_and_the_incident_is_kept(kind: type[BaseException]) -> None:
    training = Training()
    turns = 0
    with pytest.raises(kind, match="mine"), training.guard:  # noqa: PT012 - the loop is what is tried
        for batch in training.guard.watch([bad(), *good(1)]):
            turns += 1
            if turns == 2:
                raise kind("mine")
            training.step(batch)
    assert len(training.guard.incidents) == 1
    assert training.guard.incidents[0].notes
    assert all(value.isfinite().all() for value in training.state().values())
    assert no_trace_is_left()


def failing() -> Iterator[Tensor]:
    yield from good(2)
    raise OSError("the disk went away")


def test_an_exception_of_the_loader_reaches_the_loop() -> None:
    training = Training()
    with pytest.raises(OSError, match="the disk went away"):
        training.train(failing())
    assert is_guarding(training)


def test_a_loop_left_halfway_begins_anew() -> None:
    training = Training()
    for _ in range(3):
        for index, batch in enumerate(training.guard.watch(good(4))):
            training.step(batch)
            if index == 1:
                break
    abandoned = iter(training.guard.watch(good(4)))
    next(abandoned)
    del abandoned
    assert no_trace_is_left()
    assert training.guard.incidents == []
    assert is_guarding(training)


def test_a_process_that_ends_with_a_loop_half_done_ends_well_and_writes_all_of_it(tmp_path: Path) -> None:
    code = """
from tests.runtime_guard.test_survival import Training, good
training = Training(logdir="run")
batches = iter(training.guard.watch(good(9)))
for _ in range(5):
    training.step(next(batches))
"""
    done = fresh_python(tmp_path, "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    health = Health.read(tmp_path / "run")
    assert health is not None
    assert health.describe().startswith("5 steps, 0 epochs, 0 incidents, not finished")
    steps = [json.loads(line)["step"] for line in (tmp_path / "run" / "readings.jsonl").read_text().splitlines()]
    assert max(steps) == 4


def test_a_process_that_an_error_ends_says_so(tmp_path: Path) -> None:
    code = """
from tests.runtime_guard.test_survival import Training, good
training = Training(logdir="run")
for batch in training.guard.watch(good(9)):
    training.step(batch)
    raise OSError("mine")
"""
    done = fresh_python(tmp_path, "-c", code)
    assert done.returncode == 1
    assert done.stderr.endswith("OSError: mine\n")
    health = Health.read(tmp_path / "run")
    assert health is not None
    assert ", ended by OSError" in health.describe()


def test_a_batch_that_the_loop_changes_in_place_is_told() -> None:
    training = Training()
    with pytest.raises(TrainingIncident) as caught:  # noqa: PT012 - the loop is what is tried
        for batch in training.guard.watch([torch.ones(4, 3)]):
            batch.sub_(1.0).log_()
            training.step(batch)
    assert any("changed the batch in place" in note for note in caught.value.incident.notes)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission_costs_one_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    training = Training(logdir=tmp_path / "run", settings=Settings(policy="skip"))
    with pytest.warns(UserWarning, match="training goes on") as caught:
        training.train([*good(1), bad(), *good(1), bad()])
    assert sum("could not be written" in str(item.message) for item in caught) == 1


FULL_DISK = """\
import hashlib, resource, signal, sys
from pathlib import Path
from runtime_guard.monitors.loss import Loss
from tests.runtime_guard.shown_run import train

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
guard = train(Path(sys.argv[1]), epochs=2, num_samples=48, monitors=[Loss()], has_black=True)
parameters = b"".join(p.detach().numpy().tobytes() for p in guard._tracked.models[""].parameters())
print(len(guard.incidents), hashlib.blake2b(parameters).hexdigest())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no limits of file sizes")
def test_a_full_disk_costs_one_warning_and_not_a_step(tmp_path: Path) -> None:
    """No file may grow beyond a size, which the system says as it does that there is no space left."""
    seen = set()
    for limit in (10**9, 500, 100):
        folder = tmp_path / str(limit)
        done = python(ROOT, "-c", FULL_DISK, str(folder), str(limit))
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout)
        assert done.stderr.count("GuardWarning") == (limit < 10**9)
        assert "Traceback" not in done.stderr
        lines = (folder / "readings.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        assert all(json.loads(line) and line.endswith("\n") for line in lines)
        assert not list(folder.rglob(".*"))
    assert len(seen) == 1
