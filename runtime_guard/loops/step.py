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

    def add_loss(self, loss: Tensor, name: str) -> None:
        """A loss of the current micro-batch, once; a name that the user gave stays."""
        value = loss.detach()
        known = [item for item in self.losses if item.value.data_ptr() == value.data_ptr() and value.numel() > 0]
        if known and known[-1].micro_batch == len(self.micro_batches) - 1:
            known[-1].name = name if known[-1].name == "loss" else known[-1].name
            return
        self.losses.append(Loss(name, value, len(self.micro_batches) - 1))

    def drop_last_micro_batch(self) -> None:
        """The loop body did nothing with it that the guard looks at."""
        self.micro_batches.pop()
        self.losses = [loss for loss in self.losses if loss.micro_batch < len(self.micro_batches)]


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
