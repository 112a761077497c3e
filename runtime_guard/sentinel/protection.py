"""How a bad update is kept from doing harm before anybody has read the numbers.

On the CPU they can be read at once, so the gate itself withholds the update. On a GPU reading would wait for the
device. There the update runs under one of two protections, and the numbers are read one step later.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from runtime_guard import ranks
from runtime_guard.loops.step import Window
from runtime_guard.sentinel.gate import Gate
from runtime_guard.settings import Settings
from runtime_guard.state import Snapshot, Tracked

_MAX_SHARE_OF_FREE_MEMORY = 0.25


class Protection(Protocol):
    """One of the ways."""

    is_late: bool
    """Whether the numbers are read one step later."""
    prevents: bool
    """Whether a bad update does not happen, rather than being undone."""

    def arm(self, flag: Tensor, window: Window) -> None:
        """Before an update. `flag` is 1 on the device when the step is bad, 0 otherwise."""

    def disarm(self) -> None:
        """After it."""


class ReadFirst:
    """The numbers are read before the update; on a GPU this waits for the device once a step."""

    is_late = False
    prevents = True

    def arm(self, flag: Tensor, window: Window) -> None:
        """Nothing to do."""

    def disarm(self) -> None:
        """Nothing to do."""


class Flag:
    """For fused optimizers: their kernels read a flag on the device and do nothing when it is set."""

    is_late = True
    prevents = True

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._own: Tensor | None = None

    def arm(self, flag: Tensor, window: Window) -> None:
        _zero_momentum(self._optimizer)
        scalers = getattr(self._optimizer, "found_inf", None)
        if scalers is None:
            self._own = flag
        else:
            # A GradScaler is stepping and has put its own flag there, which it takes away itself.
            flag = torch.maximum(scalers, flag.to(scalers.device))
        self._optimizer.found_inf = flag  # type: ignore[attr-defined]

    def disarm(self) -> None:
        if self._own is not None:
            del self._optimizer.found_inf  # type: ignore[attr-defined]
            self._own = None


class SnapshotFirst:
    """For the others: parameters and optimizer state are copied on the device before each update."""

    is_late = True
    prevents = False

    def __init__(self, gate: Gate, tracked: Tracked) -> None:
        self._gate = gate
        self._tracked = tracked

    def arm(self, flag: Tensor, window: Window) -> None:
        window.snapshots.append(Snapshot(self._tracked, {self._gate.name: self._gate.optimizer}))

    def disarm(self) -> None:
        """Nothing to do."""


def choose_protection(gate: Gate, tracked: Tracked, settings: Settings, *, lets_pass: bool) -> Protection:
    """What the settings ask for; `auto` reads on the CPU, and on a GPU does what does not wait, memory allowing.

    With `lets_pass` bad updates are wanted, and only have to be undone for the replay.
    """
    way = settings.before_update
    if way == "auto":
        way = _fitting(gate)
    if way == "flag" and (lets_pass or not _is_fused(gate.optimizer)):
        way = "snapshot"
    if gate.num_evaluations > 0:
        way = "read"
    match way:
        case "flag":
            return Flag(gate.optimizer)
        case "snapshot":
            return SnapshotFirst(gate, tracked)
        case _:
            return ReadFirst()


def _fitting(gate: Gate) -> str:
    parameters = gate.parameters
    if not parameters or parameters[0].device.type != "cuda":
        return "read"
    if _is_fused(gate.optimizer):
        return "flag"
    # Parameters, and about two tensors of state for each.
    num_bytes = 3 * sum(p.numel() * p.element_size() for p in parameters)
    free, _ = torch.cuda.mem_get_info(parameters[0].device)
    # Where one rank has no memory to spare all have to read, or they would stop at different steps.
    return "read" if ranks.any_rank(num_bytes > _MAX_SHARE_OF_FREE_MEMORY * free) else "snapshot"


def _is_fused(optimizer: Optimizer) -> bool:
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False)) and all(
        group.get("fused") for group in optimizer.param_groups
    )


def _zero_momentum(optimizer: Optimizer) -> None:
    """A first step that the flag leaves out would leave fused SGD's momentum uninitialised, and ruin the second."""
    if not isinstance(optimizer, SGD):
        return
    for group in optimizer.param_groups:
        if not group["momentum"]:
            continue
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            if parameter.grad is not None and state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(parameter)
