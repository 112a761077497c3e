"""The bundle of an incident: a folder with everything that is needed to read it, and to run the step again."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from runtime_guard import ranks
from runtime_guard.environment import Environment
from runtime_guard.incidents.incident import Incident
from runtime_guard.incidents.stored import NotStorableError, Packer, is_storable, pack_rng
from runtime_guard.incidents.verdict import describe, short_path
from runtime_guard.loops.step import Window
from runtime_guard.scripts.script import Script
from runtime_guard.state import Tracked

FORMAT = 1
_MIB = 1024 * 1024


class BundleError(Exception):
    """A folder that is no bundle, or one that cannot be run again; the text says why."""


@dataclass(slots=True)
class Contents:
    """What goes into a bundle besides the incident: collected right after the replay, before anything is restored."""

    batches: Packer
    structure: list[dict[str, Any]]
    state: dict[str, Tensor]
    obstacle: str | None
    """Why the step cannot be run again from the bundle."""
    script: Script | None
    guard_number: int

    @classmethod
    def collect(cls, tracked: Tracked, window: Window, *, guard_number: int, max_mib: int) -> Contents:
        """Copies to the CPU, and waits for the device. What does not fit into `max_mib` is left out."""
        packer = Packer()
        structure: list[dict[str, Any]] = []
        obstacle: str | None = None
        for index, micro_batch in enumerate(window.micro_batches):
            entry: dict[str, Any] = {"number": micro_batch.number}
            entry["rng"] = pack_rng(micro_batch.rng, packer, f"rng{index}")
            try:
                entry["batch"] = packer.pack(micro_batch.batch, f"batch{index}")
            except NotStorableError as error:
                obstacle = f"the batch cannot be stored: {error}"
            structure.append(entry)
        named = _named_state(tracked)
        strange = [f"{name} is {tensor.dtype}" for name, tensor in named.items() if not is_storable(tensor)]
        room = max_mib * _MIB - _num_bytes(packer.tensors)
        if strange:
            obstacle, named = f"parameters cannot be stored: {strange[0]}", {}
        elif _num_bytes(named) > room:
            left_out = "parameters and buffers" if room >= 0 else "parameters, buffers and batches"
            obstacle, named = f"more than max-bundle-mib = {max_mib}, so {left_out} were left out", {}
        if room < 0:
            packer.tensors.clear()
        script = Script.of_this_process()
        if ranks.num_ranks() > 1:
            obstacle = f"it happened in one of {ranks.num_ranks()} processes, and a replay starts only one"
        elif script is None:
            obstacle = obstacle or "the training was not started as a script or with -m, so there is nothing to start"
        state = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in named.items()}
        return cls(packer, structure, state, obstacle, script, guard_number)


def kept_in(incident: Incident, folder: Path) -> Incident:
    """The incident that knows its folder, and with that the command that fixes the very line."""
    path = str(folder.absolute())
    command = incident.command
    if incident.rule is not None:
        command = f"pipeline-lint fix --incident {short_path(path)} --diff"
    return dataclasses.replace(incident, bundle=path, command=command)


def write_bundle(folder: Path, incident: Incident, contents: Contents) -> Path:
    """Writes the bundle below `folder`, whole or not at all, and returns its path. Raises OSError."""
    name = f"step-{incident.step:08d}" + (f"-rank-{incident.rank}" if incident.rank else "")
    target = _free_name(folder / "incidents" / name)
    target.parent.mkdir(parents=True, exist_ok=True)
    working = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        told = {**kept_in(incident, target).as_dict(), "environment": Environment.collect().as_dict()}
        record = {
            "format": FORMAT,
            "incident": told,
            "micro_batches": contents.structure,
            "script": None if contents.script is None else contents.script.as_dict(),
            "guard_number": contents.guard_number,
        }
        save_file(contents.batches.tensors, working / "batches.safetensors")
        save_file(contents.state, working / "state.safetensors")
        text = describe(Incident.from_dict(told))
        (working / "verdict.txt").write_text(text + "\n", encoding="utf-8")
        (working / "incident.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        for file in working.iterdir():
            _flush(file)
        working.chmod(0o755)
        _flush(working)
        working.rename(target)
    except SafetensorError as error:
        shutil.rmtree(working, ignore_errors=True)
        raise OSError(f"tensors could not be written: {error}") from None
    except BaseException:
        shutil.rmtree(working, ignore_errors=True)
        raise
    return target


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read."""

    folder: Path
    incident: Incident
    micro_batches: list[dict[str, Any]]
    script: Script | None
    guard_number: int

    @classmethod
    def read(cls, path: Path) -> Bundle:
        """From the bundle's folder or its incident.json. Raises `BundleError`."""
        folder = path.parent if path.name == "incident.json" else path
        file = folder / "incident.json"
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise BundleError(f"{folder} holds no incident.json; expected the folder of an incident") from None
        except (OSError, ValueError) as error:
            raise BundleError(f"{file} cannot be read: {error}") from None
        if not isinstance(record, Mapping) or "incident" not in record:
            raise BundleError(f"{file} is not an incident of runtime_guard")
        if record.get("format") != FORMAT:
            raise BundleError(f"{file} has format {record.get('format')!r}, this version reads {FORMAT}")
        try:
            script = None if record["script"] is None else Script(**record["script"])
            incident = Incident.from_dict(record["incident"])
            return cls(folder, incident, record["micro_batches"], script, record["guard_number"])
        except (KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{file} is damaged: {type(error).__name__} {error}") from None

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of `batches` or `state`."""
        file = self.folder / f"{name}.safetensors"
        try:
            return load_file(file)
        except (OSError, ValueError, SafetensorError) as error:
            raise BundleError(f"{file} cannot be read: {error}") from None


def bundles_of(run: Path) -> list[Path]:
    """The bundles of a run, in the order of their steps. What a killed process left half-written is none."""
    found = (file.parent for file in run.glob("incidents/*/incident.json"))
    return sorted(folder for folder in found if not folder.name.startswith("."))


def load_state(tracked: Tracked, state: Mapping[str, Tensor]) -> None:
    """Writes parameters, buffers and scales of a bundle into the objects of this process. Raises `BundleError`."""
    own = _named_state(tracked)
    missing = sorted(set(own) - set(state))
    changed = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or changed:
        what = f"{missing[0]} is not in the bundle" if missing else f"{changed[0]} has another shape in the bundle"
        raise BundleError(f"the model that the script makes now is not the one of the incident: {what}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def _named_state(tracked: Tracked) -> dict[str, Tensor]:
    """Parameters, buffers and scales by name; a shared one under its first name."""
    names = tracked.names()
    tensors: list[Tensor] = [*tracked.parameters, *tracked.buffers]
    found = {names[id(tensor)][0]: tensor for tensor in tensors if id(tensor) in names}
    for index, scaler in enumerate(tracked.scalers):
        if scaler._scale is not None:
            found[f"scaler {index}"] = scaler._scale
    return {name: getattr(tensor, "_local_tensor", tensor) for name, tensor in found.items()}


def _num_bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _free_name(path: Path) -> Path:
    """The path, with a number when it is taken: a run may be started again in its folder."""
    candidate, number = path, 2
    while candidate.exists():
        candidate, number = path.with_name(f"{path.name}-{number}"), number + 1
    return candidate


def _flush(file: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
