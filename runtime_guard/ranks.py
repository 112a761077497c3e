"""What the processes of a distributed run agree on."""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.distributed
from torch import Tensor

T = TypeVar("T")


def rank() -> int:
    """This process's number; 0 outside of distributed runs."""
    return torch.distributed.get_rank() if _is_distributed() else 0


def num_ranks() -> int:
    """How many processes train together; 1 outside of distributed runs."""
    return torch.distributed.get_world_size() if _is_distributed() else 1


def any_rank(flag: bool) -> bool:
    """Whether it is true on at least one rank: one all-reduce of a single float, none outside of distributed runs.

    Every rank has to ask, in the same order; waits.
    """
    return bool(any_rank_later(torch.tensor(float(flag))).tolist()) if _is_distributed() else flag


def any_rank_later(flag: Tensor) -> Tensor:
    """The same for a flag of 0 or 1 on a device, `()`: what comes back is there when the device gets to it.

    Waits only where the processes talk by other means than the flag's device.
    """
    if not _is_distributed():
        return flag
    backend = str(torch.distributed.get_backend())
    device = torch.device("cuda", torch.cuda.current_device()) if "nccl" in backend else torch.device("cpu")
    vote = flag.detach().to(device, torch.float32, copy=True)
    torch.distributed.all_reduce(vote, op=torch.distributed.ReduceOp.MAX)
    return vote.to(flag.device)


def from_all(value: T) -> list[T]:
    """Every rank's value, in the order of ranks. Every rank has to ask, in the same order; waits."""
    if not _is_distributed():
        return [value]
    values: list[T | None] = [None] * num_ranks()
    torch.distributed.all_gather_object(values, value)
    return [item for item in values if item is not None]


def _is_distributed() -> bool:
    return (
        torch.distributed.is_available()
        and torch.distributed.is_initialized()
        and torch.distributed.get_world_size() > 1
    )
