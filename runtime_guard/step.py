"""The unit that is checked, kept and run again: the micro-batches of one update."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from runtime_guard.state import LightState, RngState, Snapshot


@dataclass(slots=True)
class Loss:
    """A loss that `backward` started from, or that the user named."""

    name: str
    value: Tensor
    """Detached."""
    micro_batch: int
    is_examined: bool = False


@dataclass(slots=True)
class MicroBatch:
    """One turn of the loop body."""

    batch: object
    number: int
    """Number of the batch within its epoch, from 0."""
    rng: RngState
    versions: tuple[int, ...]
    """How often each tensor of the batch had been written to when it was handed out."""
    has_backward: bool = False


@dataclass(slots=True)
class Window:
    """The micro-batches since the last update, and the state before the first of them."""

    step: int
    epoch: int
    state: LightState
    micro_batches: list[MicroBatch] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    """Of optimizers that stepped within the window, in that order, each from before its first step."""
    num_updates: int = 0
    """Updates attempted so far, by whatever optimizer."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What the sentinel found in a window, before anybody knows why."""

    what: str
    """loss, gradients, parameters or scale."""
    found: tuple[str, ...]
    optimizer: str
    micro_batch: int
    window: Window
    is_prevented: bool
    """Whether the update was kept from happening."""
    first_snapshot: int
    """Which of the window's snapshots is the first that was not taken before the bad update."""
