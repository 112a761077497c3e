"""The contract of monitors: what is told of each update, and what a monitor reads of it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor
from torch.optim import Optimizer

from runtime_guard.step import Loss


@dataclass(frozen=True, slots=True)
class Binned:
    """A histogram in the making: one device vector, `NUM_BINS` counts and then the statistics of `Statistics`."""

    vector: Tensor


@dataclass(frozen=True, slots=True)
class Moment:
    """An update that is about to be made."""

    step: int
    suffix: str
    """What tells its optimizer from others at the end of a key: empty when there is only one."""
    optimizer: Optimizer
    losses: Sequence[Loss]
    """Those since the last update, without a loss scale."""
    scale: Tensor | None
    """The GradScaler's, of no dimensions."""
    names: Mapping[int, str]
    """Of the parameters, by their `id`."""


class Monitor(Protocol):
    """Reads numbers on the device, and leaves them there. Nothing of it may wait, draw random numbers, or change a
    tensor that is not its own.

    Its docstring lists the keys that it writes under `Writes:`, one a line: the key in backticks, with `*` for what
    varies, then its meaning and unit.
    """

    def after_backward(self, step: int, parameters: Sequence[Tensor], scale: Tensor | None) -> None:
        """`backward` has run, and nothing has touched the gradients since. They are `scale` times what they should
        be, when there is one."""

    def read(self, moment: Moment) -> Iterator[tuple[str, Tensor | float | Binned]]:
        """Keys and values; tensors have no dimensions."""


def all_monitors() -> list[Monitor]:
    """One of each in `runtime_guard.monitors`, with its defaults."""
    folder = importlib.import_module("runtime_guard.monitors").__path__
    found: list[Monitor] = []
    for info in pkgutil.iter_modules(folder):
        module: Any = importlib.import_module(f"runtime_guard.monitors.{info.name}")
        found.append(getattr(module, info.name.title().replace("_", ""))())
    return found
