"""Watches every operation of a step and keeps those that made, or passed on, numbers that are not finite.

A birth is an operation whose output is further from finite than all of its inputs (finite < inf < nan). What passes a
bad number on is kept too, as an edge from the operation that wrote the memory it read. So the births that matter can
be told from those that were masked away: they are the ancestors of the loss or gradient that was found to be bad.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from runtime_guard.finiteness import Level, first_bad_index, has_only_negative_infinity, level_of, summarize
from runtime_guard.incident import TensorSummary
from runtime_guard.replay.places import CallSite, Line, ModuleStack, frame_above, user_stack

_UNINITIALISED = {
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "resize_", "resize",
}  # fmt: skip
_READS_TO_PYTHON = {"_local_scalar_dense", "item"}
_MAX_EVENTS = 200_000
_MAX_INPUTS = 8


@dataclass(slots=True)
class Event:
    """One operation with a bad output, or one tensor that was bad before any operation touched it."""

    index: int
    kind: str
    """operation, pass (hands on what was bad), literal; of sources parameter, buffer, input, outside, uninitialised."""
    operation: str
    overload: str
    level: Level
    phase: str
    modules: tuple[torch.nn.Module, ...]
    line: Line | None
    stack: tuple[Line, ...]
    micro_batch: int
    parents: list[Event]
    inputs: tuple[TensorSummary, ...] = ()
    output: TensorSummary | None = None
    producers: tuple[str, ...] = ()
    samples: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    absorber: str = ""
    """An operation that made something finite of this event's output."""
    forward: Event | None = None
    """In backward: what the forward operation did, when that was bad as well."""

    @property
    def is_birth(self) -> bool:
        return self.kind == "operation"


def ancestors(event: Event) -> list[Event]:
    """The event and all that its bad numbers come from."""
    seen: dict[int, Event] = {}
    waiting = [event]
    while waiting:
        found = waiting.pop()
        if found.index not in seen:
            seen[found.index] = found
            waiting.extend(found.parents)
    return list(seen.values())


@dataclass(slots=True)
class Site:
    """Where the forward operation was called that an autograd node belongs to."""

    operation: str
    modules: tuple[torch.nn.Module, ...]
    line: Line | None
    stack: tuple[Line, ...]
    phase: str = "forward"
    event: Event | None = None
    """What the forward operation did, when its output was bad."""


@dataclass(slots=True)
class Source:
    """A tensor that the step began with."""

    kind: str
    names: tuple[str, ...]
    tensor: Tensor


@dataclass(slots=True)
class _Written:
    """A bad range of bytes within a storage."""

    start: int
    stop: int
    event: Event


@dataclass(slots=True)
class _Operation:
    """One operation that is about to run, or has just run."""

    name: str
    overload: str
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    site: Site
    tensors: list[Tensor] = field(init=False)
    levels: list[Level] = field(default_factory=list)
    summaries: list[TensorSummary] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tensors = [leaf for leaf in tree_leaves(self.arguments) if isinstance(leaf, Tensor)]


class BirthWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The dispatch mode. It reads every output, so each operation synchronises: for replays only."""

    def __init__(self, modules: ModuleStack) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[Event] = []
        self.micro_batch = 0
        self.is_update = False
        """Whether an optimizer's step is running."""
        self._modules = modules
        self._sources: dict[int, list[Source]] = {}
        self._sites: dict[tuple[int, int], Site] = {}
        self._thread = threading.get_ident()
        self._written: dict[int, list[_Written]] = {}
        self._producers: dict[int, str] = {}
        self._kept: dict[int, StorageWeakRef] = {}
        self._uninitialised: set[int] = set()
        self._scalar: Event | None = None
        self._is_paused = False
        self._lock = threading.RLock()

    def add_source(self, kind: str, names: tuple[str, ...], tensor: Tensor) -> None:
        """Tells what a tensor is that was there before the step; a later one with the same memory comes first."""
        self._sources.setdefault(_storage_key(tensor), []).insert(0, Source(kind, names, tensor))
        self._hold(tensor)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """For the guard's own operations while the mode is on."""
        before, self._is_paused = self._is_paused, True
        try:
            yield
        finally:
            self._is_paused = before

    def event_of(self, tensor: Tensor) -> Event | None:
        """What made this tensor bad; None when it is finite."""
        with self.paused():
            level = level_of(tensor)
            return None if level is Level.FINITE else self._cause_of(tensor, level)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._is_paused or len(self.events) >= _MAX_EVENTS:
            return func(*args, **kwargs)
        with self._lock:
            name = func.overloadpacket.__name__ if hasattr(func, "overloadpacket") else str(func)
            frame = frame_above(1)
            site = self._note_site(name, frame)
            if getattr(func, "is_view", False):
                return func(*args, **kwargs)
            written = _written_arguments(func, args, kwargs)
            operation = _Operation(name, str(func), (args, kwargs), site)
            if written:
                self._look_at_inputs(operation)
            result = func(*args, **kwargs)
            outputs = written or [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
            self._note_outputs(operation, outputs, is_in_place=bool(written))
            return result

    def _note_site(self, name: str, frame: FrameType | None) -> Site:
        """Where the operation was called; for one of the autograd engine, where its forward operation was."""
        call = CallSite(frame)
        thread = threading.get_ident()
        node = torch._C._current_autograd_node()
        if node is not None and not call.is_recomputed:
            forward = self._sites.get((self._thread, node._sequence_nr())) or self._sites.get(
                (thread, node._sequence_nr())
            )
            operation = _forward_name(node.name()) or (forward.operation if forward else name)
            if call.line is None or call.is_engine:
                if forward is None:
                    return Site(operation, (), call.line, (), "backward")
                return Site(operation, forward.modules, forward.line, forward.stack, "backward", forward.event)
            # Python code within backward: a custom Function, or a hook.
            modules = forward.modules if forward else ()
            return Site(name, modules, call.line, (), "backward")
        phase = "update" if self.is_update else "forward"
        site = Site(name, self._modules.current, call.line, user_stack(frame), phase)
        # A node is made before its operation is dispatched. The first operation after it is the node's own; those
        # that follow without a node of their own find the number taken.
        self._sites.setdefault((thread, torch._C._autograd._get_sequence_nr() - 1), site)
        return site

    def _look_at_inputs(self, operation: _Operation) -> None:
        if operation.name in _UNINITIALISED:
            return
        tensors = operation.tensors
        operation.levels = [level_of(tensor) for tensor in tensors]
        operation.summaries = [summarize(tensor, f"input {i}") for i, tensor in enumerate(tensors[:_MAX_INPUTS])]

    def _note_outputs(self, operation: _Operation, outputs: list[Tensor], *, is_in_place: bool) -> None:
        if operation.name in _UNINITIALISED:
            for output in outputs:
                self._hold(output)
                self._uninitialised.add(_storage_key(output))
                self._written.pop(_storage_key(output), None)
            return
        if operation.name in _READS_TO_PYTHON:
            self._scalar = self.event_of(operation.tensors[0]) or self._scalar
            return
        bad: list[tuple[Tensor, Level]] = []
        for output in outputs:
            level = level_of(output)
            if level is Level.FINITE:
                self._producers[_storage_key(output)] = operation.name
                self._forget_range(output)
            else:
                bad.append((output, level))
        if not bad:
            self._note_absorption(operation)
            return
        if not is_in_place:
            operation.levels = [level_of(tensor) for tensor in operation.tensors]
        event = self._event_from(operation, max(level for _, level in bad))
        if event.is_birth:
            self._describe_birth(event, operation, max(bad, key=lambda pair: pair[1])[0], is_in_place=is_in_place)
        for output, _ in bad:
            self._producers[_storage_key(output)] = operation.name
            self._write(output, event)

    def _note_absorption(self, operation: _Operation) -> None:
        for tensor in operation.tensors:
            if self._written.get(_storage_key(tensor)):
                level = level_of(tensor)
                if level is not Level.FINITE:
                    for event in ancestors(self._cause_of(tensor, level)):
                        event.absorber = event.absorber or operation.name

    def _event_from(self, operation: _Operation, level: Level) -> Event:
        highest = max(operation.levels, default=Level.FINITE)
        literal = _literal_level(operation.arguments)
        # What the operation writes to its own inputs is noted afterwards, so these are the causes from before it.
        parents = [
            self._cause_of(tensor, input_level)
            for tensor, input_level in zip(operation.tensors, operation.levels, strict=False)
            if input_level is not Level.FINITE
        ]
        kind = "operation"
        if highest >= level:
            kind = "pass"
        elif literal >= level:
            kind = "literal"
            if self._scalar is not None and self._scalar.level >= level:
                kind, parents = "pass", [*parents, self._scalar]
        site = operation.site
        event = self._add(
            Event(
                index=len(self.events),
                kind=kind,
                operation=site.operation if site.phase == "backward" else operation.name,
                overload=operation.overload,
                level=level,
                phase=site.phase,
                modules=site.modules,
                line=site.line,
                stack=site.stack,
                micro_batch=self.micro_batch,
                parents=parents,
                forward=site.event if site.phase == "backward" else None,
            )
        )
        if site.phase == "forward":
            site.event = event
        return event

    def _describe_birth(self, event: Event, operation: _Operation, output: Tensor, *, is_in_place: bool) -> None:
        tensors = operation.tensors[:_MAX_INPUTS]
        at = first_bad_index(output)
        event.output = summarize(output, "output")
        if is_in_place:
            event.inputs = tuple(operation.summaries)
        else:
            event.inputs = tuple(summarize(tensor, f"input {i}", at=at) for i, tensor in enumerate(tensors))
        event.producers = tuple(self._producers.get(_storage_key(tensor), "") for tensor in tensors)

    def _cause_of(self, tensor: Tensor, level: Level) -> Event:
        """The last event that wrote bad numbers into the tensor's memory, or a source that is made for it."""
        key, (start, stop) = _storage_key(tensor), _byte_range(tensor)
        for written in reversed(self._written.get(key, ())):
            if written.start < stop and start < written.stop:
                return written.event
        event = self._source_event(tensor, key, level)
        self._write(tensor, event)
        return event

    def _source_event(self, tensor: Tensor, key: int, level: Level) -> Event:
        start, stop = _byte_range(tensor)
        source = None
        for candidate in self._sources.get(key, ()):
            first, last = _byte_range(candidate.tensor)
            if first < stop and start < last:
                source = candidate
                break
        kind, held = "outside", tensor
        names: tuple[str, ...] = ("a tensor made before the step",)
        if source is not None:
            kind, names, held = source.kind, source.names, source.tensor
        elif key in self._uninitialised:
            kind, names = "uninitialised", ("memory of torch.empty that was not written to",)
        # A mask made outside, with nothing but -inf in it, is as good as a literal.
        if kind in ("outside", "buffer", "input") and has_only_negative_infinity(held):
            kind = "literal"
        return self._add(
            Event(
                index=len(self.events),
                kind=kind,
                operation=names[0],
                overload="",
                level=level,
                phase="before",
                modules=(),
                line=None,
                stack=(),
                micro_batch=self.micro_batch,
                parents=[],
                output=summarize(held, names[0]),
                names=names,
            )
        )

    def _add(self, event: Event) -> Event:
        self.events.append(event)
        return event

    def _write(self, tensor: Tensor, event: Event) -> None:
        self._hold(tensor)
        start, stop = _byte_range(tensor)
        ranges = self._written.setdefault(_storage_key(tensor), [])
        ranges[:] = [known for known in ranges if not (start <= known.start and known.stop <= stop)]
        ranges.append(_Written(start, stop, event))

    def _forget_range(self, tensor: Tensor) -> None:
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


def _written_arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The arguments that an in-place or out= operation writes to."""
    schema = getattr(func, "_schema", None)
    if schema is None or not schema.is_mutable:
        return []
    found: list[Tensor] = []
    for index, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[index] if index < len(args) else kwargs.get(argument.name)
            found.extend(leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))
    return found


def _literal_level(arguments: Any) -> Level:
    """The level of the Python numbers among the arguments: masked_fill(mask, -inf) is no birth."""
    level = Level.FINITE
    for leaf in tree_leaves(arguments):
        if isinstance(leaf, float) and not math.isfinite(leaf):
            level = max(level, Level.NAN if math.isnan(leaf) else Level.INF)
    return level


def _forward_name(node: str) -> str:
    """`SqrtBackward0` is the backward of `sqrt`; empty for nodes that are not named after an operation."""
    base, separator, _ = node.partition("Backward")
    if not separator or not base:
        return ""
    if node.endswith("Backward"):  # A custom Function keeps its class's name.
        return base
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in base)
    return words.lstrip("_")
