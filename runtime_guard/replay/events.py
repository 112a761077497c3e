"""What a replay notes: operations that made or passed on bad numbers, and where they were called."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from runtime_guard.device.finiteness import Level
from runtime_guard.incidents.incident import TensorSummary
from runtime_guard.replay.places import Line


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
