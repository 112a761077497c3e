"""The contract of monitors: what is told of the run, and what a monitor reads of it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from runtime_guard.loops.step import Loss
from runtime_guard.reading import Reading
from runtime_guard.readings.samples import Samples

Point = Literal["open", "ask", "batch", "backward", "backward_end", "update", "update_end", "end", "exhausted"]
"""Where a turn of the loop stands: the loader is asked for a batch, the batch is there, `backward` begins and ends, an
optimizer's step does, and the loop body ends. What lies before `open` (a loop begins, or goes on after an incident)
and after `exhausted` (the loader has no more) belongs to no turn."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is watched. The models are there before the first step."""

    models: Mapping[str, nn.Module]
    """By name; a single one is named ""."""
    optimizers: Mapping[str, Optimizer]
    config: Mapping[str, Any] = field(default_factory=dict)
    """What the user says that the run was set to."""
    class_names: Sequence[str] = ()
    logdir: Path | None = None
    monitors: Sequence[Monitor] = ()
    """All that read of the run."""


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


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that is over."""

    number: int
    """From 0."""
    step: int
    """Of the last update."""
    metrics: Mapping[str, Any]
    """What the user measured."""


class Monitor:
    """Reads numbers on the device, and leaves them there. Nothing of it may wait, draw random numbers, or change a
    tensor that is not its own; only `end_epoch`, `incident` and `close` may
    wait. It does nothing of what it does not override.

    Its docstring lists the keys that it writes under `Writes:`, one a line: the key in backticks, with `*` for what
    varies, then its meaning and unit.
    """

    charts: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Titles of charts, with regular expressions for the keys that belong into one."""

    def start(self, run: Run) -> None:
        """Before the first step. Hooks that are set here are taken off in `close`."""

    def begin(self, step: int) -> None:
        """The first micro-batch of this update comes next."""

    def batch(self, batch: Any) -> None:
        """What the loop's body is about to be given. It must not be kept."""

    def mark(self, point: Point) -> None:
        """The turn of the training loop has come to this point."""

    def after_backward(self, step: int, parameters: Sequence[Tensor], scale: Tensor | None) -> None:
        """`backward` has run, and nothing has touched the gradients of the optimizers' parameters since. They are
        `scale` times what they should be, when there is one."""

    def read(self, moment: Moment) -> Iterable[Reading]:
        """The update comes next."""
        return ()

    def after_update(self, moment: Moment) -> Iterable[Reading]:
        """The update has been made."""
        return ()

    def end_step(self, step: int) -> Iterable[Reading]:
        """The loop's body is over in which the update was made; all of its points have been marked."""
        return ()

    def forget(self, step: int) -> None:
        """This update and later ones did not count: they were skipped, or will be made once more."""

    def validation_loss(self, name: str, loss: Tensor) -> Iterable[Reading]:
        """A loss that the user named in a validation loop."""
        return ()

    def observe(self, samples: Samples) -> None:
        """What the user showed of a batch, in training or validation."""

    def end_epoch(self, epoch: Epoch) -> Iterable[Reading]:
        """What was seen since the last epoch ended."""
        return ()

    def incident(self, step: int, verdict: str) -> Iterable[Reading]:
        """Something was not finite at this step, and a decision has been taken. May wait."""
        return ()

    def close(self, metrics: Mapping[str, Any]) -> Iterable[Reading]:
        """The run is over, with these metrics. Called once, after the last `end_epoch`."""
        return ()


def all_monitors() -> list[Monitor]:
    """One of each in `runtime_guard.monitors`, with its defaults."""
    folder = importlib.import_module("runtime_guard.monitors").__path__
    found: list[Monitor] = []
    for info in pkgutil.iter_modules(folder):
        module: Any = importlib.import_module(f"runtime_guard.monitors.{info.name}")
        found.append(getattr(module, info.name.title().replace("_", ""))())
    return found
