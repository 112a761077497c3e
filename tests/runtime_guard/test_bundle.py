"""What is written of an incident: whole or not at all, within its bounds, and never at the cost of the training."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from runtime_guard import Guard, Incident, Settings
from runtime_guard.incidents.bundle import Bundle, BundleError, bundles_of
from runtime_guard.incidents.stored import NotStorableError, Packer, pack_rng, unpack, unpack_rng
from runtime_guard.run_folder import GuardWarning
from runtime_guard.state import RngState
from tests.runtime_guard.processes import ROOT, python


class Pair(NamedTuple):
    """A batch as collate functions make them."""

    x: Any
    y: Any


pytestmark = pytest.mark.filterwarnings("ignore::runtime_guard.IncidentWarning")


def train(logdir: Path, batches: Iterable[Any], dtype: torch.dtype = torch.float32, **settings: Any) -> list[Incident]:
    """A training that skips its bad steps."""
    model = nn.Linear(4, 1, dtype=dtype)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    with Guard(model, optimizer, logdir=logdir, settings=Settings(policy="skip", **settings)) as guard:
        for batch in guard.watch(batches):
            optimizer.zero_grad()
            x = batch["x"] if isinstance(batch, dict) else batch
            model(x).abs().sum().backward()
            optimizer.step()
    return guard.incidents


def good_and_bad(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [torch.ones(2, 4, dtype=dtype), torch.full((2, 4), torch.nan, dtype=dtype), torch.ones(2, 4, dtype=dtype)]


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5),
    st.sampled_from([torch.float32, torch.bfloat16, torch.int64, torch.bool]).map(lambda d: torch.ones(2, 3, dtype=d)),
    st.just(torch.arange(6.0).reshape(2, 3).t()),
)  # fmt: skip
batches = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.builds(Pair, inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip


def is_same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(is_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(is_same, a, b))
    return bool(a == b)


@settings(deadline=None)
@given(batches)
def test_what_is_packed_comes_back_the_same(batch: Any) -> None:
    packer = Packer()
    packed = packer.pack(batch, "batch")
    assert is_same(unpack(packed, packer.tensors), batch)


def test_what_cannot_be_packed_is_named_by_its_path() -> None:
    with pytest.raises(NotStorableError, match=r"batch\['meta'\]\[1\] is a builtins\.object"):
        Packer().pack({"meta": [1, object()]}, "batch")


def test_random_numbers_go_on_as_they_would_have() -> None:
    packer = Packer()
    state = RngState()
    packed = pack_rng(state, packer, "rng")
    drawn = torch.rand(3), random.random()
    unpack_rng(packed, packer.tensors, "rng").restore()
    assert torch.equal(torch.rand(3), drawn[0])
    assert random.random() == drawn[1]


def test_the_incident_names_a_folder_that_can_be_read(tmp_path: Path) -> None:
    (incident,) = train(tmp_path, good_and_bad())
    (folder,) = bundles_of(tmp_path)
    assert incident.bundle == str(folder.absolute())
    read = Bundle.read(folder)
    assert read.incident.birth == incident.birth
    assert torch.isnan(unpack(read.micro_batches[0]["batch"], read.tensors("batches"))).all()
    assert sorted(read.tensors("state")) == ["bias", "weight"]


@pytest.mark.parametrize("name", ["batches", "state"])
def test_a_damaged_file_of_tensors_is_told(tmp_path: Path, name: str) -> None:
    train(tmp_path, good_and_bad())
    (folder,) = bundles_of(tmp_path)
    file = folder / f"{name}.safetensors"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(BundleError, match=f"{name}.safetensors cannot be read"):
        Bundle.read(folder).tensors(name)


def test_a_bundle_cannot_call_functions(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="os:mkdir is no named tuple"):
        unpack({"named": "os:mkdir", "items": [{"value": str(tmp_path / "made")}]}, {})
    assert not (tmp_path / "made").exists()


def test_parameters_of_a_dtype_that_cannot_be_stored_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime_guard.incidents.bundle.is_storable", lambda tensor: tensor.dtype is not torch.float64)
    (incident,) = train(tmp_path, good_and_bad(torch.float64), torch.float64)
    assert incident.obstacle == "parameters cannot be stored: weight is torch.float64"


def test_a_second_run_in_the_same_folder_keeps_the_first_ones_incident(tmp_path: Path) -> None:
    train(tmp_path, good_and_bad())
    train(tmp_path, good_and_bad())
    assert [folder.name for folder in bundles_of(tmp_path)] == ["step-00000001", "step-00000001-2"]


def test_a_bundle_can_be_turned_off(tmp_path: Path) -> None:
    (incident,) = train(tmp_path, good_and_bad(), bundle=False)
    assert incident.bundle is None
    assert bundles_of(tmp_path) == []


@pytest.mark.parametrize(
    ("num_samples", "num_outputs", "left_out"),
    [(70_000, 1, "parameters, buffers and batches"), (2, 70_000, "parameters and buffers")],
)
def test_a_bundle_never_grows_above_its_bound(
    tmp_path: Path, num_samples: int, num_outputs: int, left_out: str
) -> None:
    wide = [torch.full((num_samples, 4), torch.nan)]
    model = nn.Linear(4, num_outputs)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    with Guard(model, optimizer, logdir=tmp_path, settings=Settings(policy="skip", max_bundle_mib=1)) as guard:
        for batch in guard.watch(wide):
            model(batch).sum().backward()
            optimizer.step()
    (incident,) = guard.incidents
    assert incident.obstacle == f"more than max-bundle-mib = 1, so {left_out} were left out"
    (folder,) = bundles_of(tmp_path)
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1024 * 1024


def test_objects_in_a_batch_keep_the_rest_of_the_bundle(tmp_path: Path) -> None:
    (incident,) = train(tmp_path, [{"x": torch.full((2, 4), torch.nan), "meta": object()}])
    assert incident.obstacle is not None
    assert "batch0['meta'] is a builtins.object" in incident.obstacle
    assert Bundle.read(bundles_of(tmp_path)[0]).incident.birth == incident.birth


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.warns(GuardWarning) as caught:
        incidents = train(file, good_and_bad() + good_and_bad())
    assert [incident.bundle for incident in incidents] == [None, None]
    own = [str(item.message) for item in caught if item.category is GuardWarning]
    assert len(own) == 1
    assert "could not be written to" in own[0]
    assert "training goes on" in own[0]


SCRIPT = """
import os, resource, signal, sys
from pathlib import Path
from tests.runtime_guard.test_bundle import good_and_bad, train
{setup}
print(len(train(Path(sys.argv[1]), good_and_bad())), "incidents")
"""


def start(folder: Path, setup: str) -> subprocess.CompletedProcess[str]:
    return python(ROOT, "-c", SCRIPT.format(setup=setup), str(folder))


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of POSIX processes")
@pytest.mark.parametrize("limit", [100, 1000, 6000])
def test_a_full_disk_ends_no_training_and_leaves_nothing_half_written(tmp_path: Path, limit: int) -> None:
    done = start(tmp_path, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))")
    assert done.stdout == "1 incidents\n", done.stderr
    assert "could not be written to" in done.stderr
    assert list((tmp_path / "incidents").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("count", [1, 4, 5])
def test_a_kill_while_writing_leaves_no_bundle(tmp_path: Path, count: int) -> None:
    setup = f"""
left = [{count}]
def kill(descriptor):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
os.fsync = kill
"""
    done = start(tmp_path, setup)
    assert done.returncode == -9, done.stderr
    assert len(list((tmp_path / "incidents").iterdir())) == 1, "the kill came too early or too late"
    assert bundles_of(tmp_path) == []
