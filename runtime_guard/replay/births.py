"""Watches every operation of a step and keeps those that made, or passed on, numbers that are not finite.

A birth is an operation whose output is further from finite than all of its inputs (finite < inf < nan). What passes a
bad number on is kept too, as an edge from the operation that wrote the memory it read. So the births that matter can
be told from those that were masked away: they are the ancestors of the loss or gradient that was found to be bad.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from runtime_guard.device.finiteness import Level, first_bad_index, has_only_negative_infinity, level_of, summarize
from runtime_guard.replay.events import Event, Site, Source, ancestors
from runtime_guard.replay.memory import Memory
from runtime_guard.replay.operation import Operation, forward_name, literal_level, written_arguments
from runtime_guard.replay.places import CallSite, ModuleStack, frame_above, user_stack

_UNINITIALISED = {
    "empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided", "resize_", "resize",
}  # fmt: skip
_READS_TO_PYTHON = {"_local_scalar_dense", "item"}
_MAX_EVENTS = 200_000
_MAX_INPUTS = 8


class BirthWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The dispatch mode. It reads every output, so each operation synchronises: for replays only."""

    def __init__(self, modules: ModuleStack) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[Event] = []
        self.micro_batch = 0
        self.is_update = False
        """Whether an optimizer's step is running."""
        self._modules = modules
        self._memory = Memory()
        self._sites: dict[tuple[int, int], Site] = {}
        self._thread = threading.get_ident()
        self._scalar: Event | None = None
        self._is_paused = False
        self._lock = threading.RLock()
        self.num_missed = 0
        """Operations that could not be looked at."""
        self.failure: Exception | None = None
        """What kept the first of them from being looked at."""

    def add_source(self, kind: str, names: tuple[str, ...], tensor: Tensor) -> None:
        """Tells what a tensor is that was there before the step; a later one with the same memory comes first."""
        self._memory.add_source(Source(kind, names, tensor))

    def add_array(self, name: str, array: Any) -> None:
        """Tells the name of a numpy array that the script holds, whose memory tensors may share."""
        with contextlib.suppress(TypeError, ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # That it is not writable.
            self._memory.add_array(Source("input", (name,), torch.from_numpy(array)))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """For the guard's own operations while the mode is on."""
        before, self._is_paused = self._is_paused, True
        try:
            yield
        finally:
            self._is_paused = before

    @property
    def scalar(self) -> Event | None:
        """What made the last bad number that Python read from a tensor."""
        return self._scalar

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
            frame = frame_above(1)
            try:
                operation, written = self._note_call(func, args, kwargs, frame)
            except Exception as error:
                self._missed(error)
                return func(*args, **kwargs)
            result = func(*args, **kwargs)
            if operation is not None:
                try:
                    outputs = written or [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
                    self._note_outputs(operation, outputs, is_in_place=bool(written))
                except Exception as error:
                    self._missed(error)
            return result

    def _note_call(
        self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], frame: FrameType | None
    ) -> tuple[Operation | None, list[Tensor]]:
        """An operation that is about to run, and what of its arguments it writes to; None for one that only looks."""
        name = func.overloadpacket.__name__ if hasattr(func, "overloadpacket") else str(func)
        site = self._note_site(name, frame)
        if getattr(func, "is_view", False):
            return None, []
        written = written_arguments(func, args, kwargs)
        operation = Operation(name, str(func), (args, kwargs), site)
        if written:
            self._look_at_inputs(operation)
        return operation, written

    def _missed(self, error: Exception) -> None:
        """An operation could not be looked at: an odd kind of tensor, say. The body's own result is what it is."""
        self.num_missed += 1
        self.failure = self.failure or error

    def _note_site(self, name: str, frame: FrameType | None) -> Site:
        """Where the operation was called; for one of the autograd engine, where its forward operation was."""
        call = CallSite(frame)
        thread = threading.get_ident()
        node = torch._C._current_autograd_node()
        if node is not None and not call.is_recomputed:
            forward = self._sites.get((self._thread, node._sequence_nr())) or self._sites.get(
                (thread, node._sequence_nr())
            )
            operation = forward_name(node.name()) or (forward.operation if forward else name)
            if call.line is None or call.is_engine:
                if forward is None:
                    return Site(operation, (), call.line, (), "backward")
                return Site(operation, forward.modules, forward.line, forward.stack, "backward", forward.event)
            # Python code within backward: a custom Function, or a hook.
            modules = forward.modules if forward else ()
            return Site(name, modules, call.line, (), "backward", forward.event if forward else None)
        phase = "update" if self.is_update else "forward"
        site = Site(name, self._modules.current, call.line, user_stack(frame), phase)
        # A node is made before its operation is dispatched. The first operation after it is the node's own; those
        # that follow without a node of their own find the number taken.
        self._sites.setdefault((thread, torch._C._autograd._get_sequence_nr() - 1), site)
        return site

    def _look_at_inputs(self, operation: Operation) -> None:
        if operation.name in _UNINITIALISED:
            return
        tensors = operation.tensors
        operation.levels = [level_of(tensor) for tensor in tensors]
        operation.summaries = [summarize(tensor, f"input {i}") for i, tensor in enumerate(tensors[:_MAX_INPUTS])]

    def _note_outputs(self, operation: Operation, outputs: list[Tensor], *, is_in_place: bool) -> None:
        if operation.name in _UNINITIALISED:
            for output in outputs:
                self._memory.set_uninitialised(output)
            return
        if operation.name in _READS_TO_PYTHON:
            self._scalar = self.event_of(operation.tensors[0]) or self._scalar
            return
        bad: list[tuple[Tensor, Level]] = []
        # What works in place has nothing bad to show any more for what it made finite.
        overwritten = list(self._bad_inputs(operation, operation.levels)) if is_in_place else []
        for output in outputs:
            level = level_of(output)
            if level is Level.FINITE:
                self._memory.set_producer(output, operation.name)
                self._memory.forget(output)
            else:
                bad.append((output, level))
        if not bad:
            levels = map(level_of, operation.tensors)
            for cause in overwritten or self._bad_inputs(operation, levels):
                for event in ancestors(cause):
                    event.absorber = event.absorber or operation.name.rstrip("_")
            return
        if not is_in_place:
            operation.levels = [level_of(tensor) for tensor in operation.tensors]
        event = self._event_from(operation, max(level for _, level in bad))
        if event.is_birth:
            self._describe_birth(event, operation, max(bad, key=lambda pair: pair[1])[0], is_in_place=is_in_place)
        for output, _ in bad:
            self._memory.set_producer(output, operation.name)
            self._memory.write(output, event)

    def _bad_inputs(self, operation: Operation, levels: Iterable[Level]) -> Iterator[Event]:
        """What made those inputs bad that are; `levels` are the inputs'."""
        for tensor, level in zip(operation.tensors, levels, strict=False):
            if level is not Level.FINITE and self._memory.has_bad(tensor):
                yield self._cause_of(tensor, level)

    def _event_from(self, operation: Operation, level: Level) -> Event:
        highest = max(operation.levels, default=Level.FINITE)
        literal = literal_level(operation.arguments)
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

    def _describe_birth(self, event: Event, operation: Operation, output: Tensor, *, is_in_place: bool) -> None:
        tensors = operation.tensors[:_MAX_INPUTS]
        at = first_bad_index(output)
        event.output = summarize(output, "output")
        if is_in_place:
            event.inputs = tuple(operation.summaries)
        else:
            event.inputs = tuple(summarize(tensor, f"input {i}", at=at) for i, tensor in enumerate(tensors))
        event.producers = tuple(self._memory.producer_of(tensor) for tensor in tensors)

    def _cause_of(self, tensor: Tensor, level: Level) -> Event:
        """The last event that wrote bad numbers into the tensor's memory, or a source that is made for it."""
        event = self._memory.writer_of(tensor)
        if event is None:
            event = self._source_event(tensor, level)
            self._memory.write(tensor, event)
        return event

    def _source_event(self, tensor: Tensor, level: Level) -> Event:
        source = self._memory.source_of(tensor)
        kind, held = "outside", tensor
        names: tuple[str, ...] = ("a tensor made before the step",)
        if source is not None:
            kind, names, held = source.kind, source.names, source.tensor
        elif self._memory.is_uninitialised(tensor):
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
