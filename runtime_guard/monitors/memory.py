"""How much memory the run takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import torch

from runtime_guard.monitor import Monitor, Run
from runtime_guard.reading import Reading

_GIB = 2**30
_STATM = Path("/proc/self/statm")


class Memory(Monitor):
    """Memory of the process, and of the GPU that the model lies on.

    Memory that grows from epoch to epoch is held on to: losses kept with their graphs, outputs kept in lists. Much that
    is reserved and not allocated is fragmented, and an allocation fails before the GPU is full.

    Writes:
        `memory/resident_gib`: GiB of the process in the host's memory, where Linux tells.
        `memory/allocated_gib`: GiB of tensors on the GPU.
        `memory/reserved_gib`: GiB that torch has reserved on the GPU for them.
        `memory/peak_gib`: the most GiB of tensors that there ever were on the GPU; it is not reset.
        `memory/fragmentation`: fraction of what is reserved on the GPU that lies in pieces between tensors.

    All are the largest over the ranks. A model on several GPUs has keys for each, with `/cuda:1` at the end.

    When: every `every` updates, after the update.
    Cost: a fifth of a millisecond in an update that is due; nothing waits for the GPU.

    Args:
        every: Updates from one look to the next, at least 1.
    """

    charts: ClassVar = {"Memory, GiB": (r"memory/.*_gib.*",)}

    def __init__(self, every: int = 10) -> None:
        if every < 1:
            raise ValueError(f"every is {every}, expected 1 or more updates")
        self.every = every
        self._devices: list[torch.device] = []

    def start(self, run: Run) -> None:
        """Learns on which GPUs the models are."""
        parameters = [p for model in run.models.values() for p in model.parameters()]
        self._devices = sorted({p.device for p in parameters if p.is_cuda}, key=str)

    def end_step(self, step: int) -> Iterator[Reading]:
        """As it is after the update."""
        if step % self.every:
            return
        resident = _resident_bytes()
        if resident is not None:
            yield Reading("memory/resident_gib", resident / _GIB, "max")
        for device in self._devices:
            end = f"/{device}" if len(self._devices) > 1 else ""
            yield from gpu_readings(torch.cuda.memory_stats(device), end)


def gpu_readings(stats: dict[str, int], end: str = "") -> Iterator[Reading]:
    """Of the statistics of torch's allocator, which lie on the host."""
    reserved = stats.get("reserved_bytes.all.current", 0)
    yield Reading(f"memory/allocated_gib{end}", stats.get("allocated_bytes.all.current", 0) / _GIB, "max")
    yield Reading(f"memory/reserved_gib{end}", reserved / _GIB, "max")
    yield Reading(f"memory/peak_gib{end}", stats.get("allocated_bytes.all.peak", 0) / _GIB, "max")
    if reserved:
        split = stats.get("inactive_split_bytes.all.current", 0)
        yield Reading(f"memory/fragmentation{end}", split / reserved, "max")


def _resident_bytes() -> int | None:
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
