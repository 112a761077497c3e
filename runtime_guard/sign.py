"""The contract of early signs: what is told of each update, and what a sign says of it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runtime_guard.device.activations import Activation


class EarlyWarning(UserWarning):
    """Something that, going on like this, ends in an incident or in a run that learns nothing."""


@dataclass(frozen=True, slots=True)
class Omen:
    """One early warning."""

    step: int
    sign: str
    place: str
    """The module, parameter or quantity; one place is warned of once per sign."""
    text: str

    def __str__(self) -> str:
        return f"step {self.step}: {self.text} ({self.sign})"


@dataclass(frozen=True, slots=True)
class Weight:
    """What is known of a parameter of two dimensions or more, in the order in which the optimizer holds them."""

    name: str
    numel: int
    gradient_norm: float
    update_ratio: float | None
    """Norm of its last sampled change over its norm; None where that was not looked at."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the sentinel read of one update, on the host."""

    step: int
    optimizer: str
    loss: float | None
    gradient_norm: float | None
    """Over all of the optimizer's gradients, after clipping."""
    learning_rate: float | None
    """The largest of the parameter groups'."""
    scale: float | None = None
    """A GradScaler's."""
    activations: Sequence[Activation] = ()
    """Of sampled steps only, in the order of the forward pass."""
    weights: Sequence[Weight] = ()
    """Of sampled steps only."""


class Sign(Protocol):
    """Remembers what it needs in attributes of plain numbers, lists and dicts, so that it can be saved."""

    def look(self, reading: Reading) -> Iterator[tuple[str, str]]:
        """Places and texts of what it warns of; the same place again is no second warning."""


def all_signs() -> dict[str, Sign]:
    """One of each in `runtime_guard.signs`, by name: each file there holds the class that is named like it."""
    found: dict[str, Sign] = {}
    for info in pkgutil.iter_modules(importlib.import_module("runtime_guard.signs").__path__):
        module: Any = importlib.import_module(f"runtime_guard.signs.{info.name}")
        found[info.name.replace("_", "-")] = getattr(module, info.name.title().replace("_", ""))()
    return found
