"""What the user measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from runtime_guard.monitor import Epoch, Monitor, Run
from runtime_guard.reading import Reading

_PHASES = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation", "eval": "validation",
    "test": "test",
}  # fmt: skip
_FIRST = re.compile(rf"^({'|'.join(_PHASES)})[/_.:\- ]+(.+)$", re.IGNORECASE)
_LAST = re.compile(rf"^(.+?)[/_.:\- ]+({'|'.join(_PHASES)})$", re.IGNORECASE)
_MAX_CLASSES = 100


class Metrics(Monitor):
    """The metrics that `Guard.epoch_end` and `Guard.close` are given: numbers, or objects with `compute` and `reset`.

    A name that begins or ends with a word for training, validation or test (`val_accuracy`, `train/accuracy`,
    `accuracy_test`, or one within `{"train": {...}}`) is shown with its own of the other phases: where training goes
    on to improve and validation does not, the model learns by heart.

    Writes:
        `metrics/*`: what was measured, under its name; a list of numbers, as one of each class, as `*/0`, `*/1`, or by
            the names that `Guard(class_names=...)` was given.
        `metrics/*/train`: of the training.
        `metrics/*/validation`: of the validation.

    Over several ranks it is the first one's: torchmetrics' objects join the ranks by themselves, and other numbers are
    those that the user made of them. What is no number, and lists of more than 100, are not shown.

    When: each epoch, and at the end.
    Cost: what `compute` costs.
    """

    charts: ClassVar = {"Metrics": (r"metrics/.*",)}

    def __init__(self) -> None:
        self._class_names: Sequence[str] = ()
        self._last: Mapping[str, Any] = {}

    def start(self, run: Run) -> None:
        """Learns what the classes are called."""
        self._class_names = run.class_names

    def end_epoch(self, epoch: Epoch) -> Iterator[Reading]:
        """What was measured in it."""
        self._last = epoch.metrics
        yield from self._shown(epoch.metrics)

    def close(self, metrics: Mapping[str, Any]) -> Iterator[Reading]:
        """What the last epoch did not say."""
        yield from self._shown({name: value for name, value in metrics.items() if name not in self._last})

    def _shown(self, metrics: Mapping[str, Any]) -> Iterator[Reading]:
        for name, value in metrics.items():
            key = f"metrics/{_paired(name)}"
            if isinstance(value, (int, float)):
                yield Reading(key, float(value))
            elif isinstance(value, (list, tuple)) and len(value) <= _MAX_CLASSES:
                for label, item in zip(self._labels(len(value)), value, strict=True):
                    if isinstance(item, (int, float)):
                        yield Reading(f"{key}/{label}", float(item))

    def _labels(self, num: int) -> Sequence[str]:
        return self._class_names if len(self._class_names) == num else [str(index) for index in range(num)]


def _paired(name: str) -> str:
    """With the phase at the end, where the name tells one."""
    if first := _FIRST.match(name):
        return f"{first[2]}/{_PHASES[first[1].lower()]}"
    if last := _LAST.match(name):
        return f"{last[1]}/{_PHASES[last[2].lower()]}"
    return name
