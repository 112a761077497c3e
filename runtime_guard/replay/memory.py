"""Which bytes of which storages hold bad numbers, and what wrote them there."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from runtime_guard.replay.events import Event, Source


@dataclass(slots=True)
class _Written:
    """A bad range of bytes within a storage."""

    start: int
    stop: int
    event: Event


class Memory:
    """Bad ranges, the tensors that the step began with, and memory that was never written to."""

    def __init__(self) -> None:
        self._written: dict[int, list[_Written]] = {}
        self._sources: dict[int, list[Source]] = {}
        self._arrays: list[Source] = []
        self._producers: dict[int, str] = {}
        self._uninitialised: set[int] = set()
        self._kept: dict[int, StorageWeakRef] = {}

    def add_source(self, source: Source) -> None:
        """A later one with the same memory comes first."""
        self._sources.setdefault(_storage_key(source.tensor), []).insert(0, source)
        self._hold(source.tensor)

    def add_array(self, source: Source) -> None:
        """One whose memory belongs to numpy, of which torch may make any number of storages."""
        self._arrays.append(source)

    def source_of(self, tensor: Tensor) -> Source | None:
        """The tensor from before the step that shares bytes with this one."""
        start, stop = _byte_range(tensor)
        for candidate in self._sources.get(_storage_key(tensor), ()):
            first, last = _byte_range(candidate.tensor)
            if first < stop and start < last:
                return candidate
        return self._array_of(tensor)

    def _array_of(self, tensor: Tensor) -> Source | None:
        if not self._arrays or tensor.device.type != "cpu" or tensor.layout is not torch.strided:
            return None
        start = tensor.data_ptr()
        for source in self._arrays:
            first, last = _byte_range(source.tensor)
            if source.tensor.data_ptr() <= start < source.tensor.data_ptr() + last - first:
                return source
        return None

    def set_producer(self, tensor: Tensor, operation: str) -> None:
        self._producers[_storage_key(tensor)] = operation

    def producer_of(self, tensor: Tensor) -> str:
        """The operation that last wrote to the tensor's storage; empty when none has."""
        return self._producers.get(_storage_key(tensor), "")

    def set_uninitialised(self, tensor: Tensor) -> None:
        self._hold(tensor)
        self._uninitialised.add(_storage_key(tensor))
        self._written.pop(_storage_key(tensor), None)

    def is_uninitialised(self, tensor: Tensor) -> bool:
        return _storage_key(tensor) in self._uninitialised

    def has_bad(self, tensor: Tensor) -> bool:
        """Whether anything in the tensor's storage is known to be bad."""
        return bool(self._written.get(_storage_key(tensor)))

    def writer_of(self, tensor: Tensor) -> Event | None:
        """The last event that wrote bad numbers into the tensor's memory."""
        start, stop = _byte_range(tensor)
        for written in reversed(self._written.get(_storage_key(tensor), ())):
            if written.start < stop and start < written.stop:
                return written.event
        return None

    def write(self, tensor: Tensor, event: Event) -> None:
        """The event wrote bad numbers here."""
        self._hold(tensor)
        start, stop = _byte_range(tensor)
        ranges = self._written.setdefault(_storage_key(tensor), [])
        ranges[:] = [known for known in ranges if not (start <= known.start and known.stop <= stop)]
        ranges.append(_Written(start, stop, event))

    def forget(self, tensor: Tensor) -> None:
        """The tensor was overwritten with finite numbers."""
        ranges = self._written.get(_storage_key(tensor))
        if ranges:
            start, stop = _byte_range(tensor)
            ranges[:] = [known for known in ranges if not (start <= known.start and known.stop <= stop)]

    def _hold(self, tensor: Tensor) -> None:
        """Keeps the storage's identity, not its memory, so that no other storage gets the same key."""
        key = _storage_key(tensor)
        if key not in self._kept:
            with contextlib.suppress(NotImplementedError, RuntimeError):
                self._kept[key] = StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]


def _storage_key(tensor: Tensor) -> int:
    local = getattr(tensor, "_local_tensor", tensor)
    try:
        return int(local.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # Sparse tensors have no storage of their own.
        return id(tensor)


def _byte_range(tensor: Tensor) -> tuple[int, int]:
    """The bytes of its storage that a tensor spans, gaps included."""
    local = getattr(tensor, "_local_tensor", tensor)
    if local.layout is not torch.strided or local.numel() == 0:
        return (0, 1)
    size = local.element_size()
    extent = sum((n - 1) * stride for n, stride in zip(local.shape, local.stride(), strict=True))
    start = int(local.storage_offset()) * size
    return int(start), int(start + (extent + 1) * size)
