"""What the modules put out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from runtime_guard.device.activations import ActivationSample, Sampled, is_anything_compiled, leaf_names
from runtime_guard.monitor import Moment, Monitor, Point, Run
from runtime_guard.reading import Reading

_CAN_DIE = ("rectifier", "input")
_CAN_SATURATE = ("sigmoid", "tanh", "softmax", "input")


class Activations(Monitor):
    """The range of what modules without children put out in the forward passes before the step's first `backward`.

    Headroom that shrinks from look to look ends in an overflow: in float16 there are 16 bits from 1 to the largest
    number. Units that are dead never learn again; activations at the flat ends of a sigmoid or tanh pass on hardly any
    gradient.

    Writes:
        `activations/absmax/*`: largest magnitude, over the ranks too; with `/input` at the end of what goes into a
            linear layer or convolution, where no module put it out.
        `activations/headroom_bits/*`: how often the largest magnitude can double before it is beyond its dtype; the
            smallest of all ranks.
        `activations/dead/*`: fraction of units that are 0 for every sample, of rectifiers, and of inputs that have no
            negative numbers; the smallest of all ranks.
        `activations/saturated/*`: fraction of elements at the flat ends (of a softmax: of rows that are all but
            decided), of sigmoid, tanh, softmax, and of inputs within -1 and 1.

    All are of up to 16384 elements of each tensor, but the largest magnitude in float16, and of tensors that need a
    gradient. Nothing is seen once anything was compiled.

    When: every `every` updates, from the second on.
    Cost: about ten small operations for each module, in an update that is due.

    Args:
        every: Updates from one look to the next, at least 1.
    """

    charts: ClassVar = {"Headroom, bits": (r"activations/headroom_bits/.*",)}

    def __init__(self, every: int = 50) -> None:
        if every < 1:
            raise ValueError(f"every is {every}, expected 1 or more updates")
        self.every = every
        self._run: Run | None = None
        self._sample: ActivationSample | None = None
        self._is_open = False
        self._has_begun = False
        self._last = 0

    def start(self, run: Run) -> None:
        """Learns of the models."""
        self._run = run

    def begin(self, step: int) -> None:
        """Listens to the modules, if it is time."""
        self._stop()
        self._sample = None
        # Not at the first update: only then is it known whether anything is compiled.
        has_begun, self._has_begun = self._has_begun, True
        is_due = (step - 1) // self.every > (self._last - 1) // self.every
        if self._run is not None and has_begun and is_due and not is_anything_compiled():
            self._sample = ActivationSample(leaf_names(dict(self._run.models)))
            self._sample.__enter__()
            self._is_open = True

    def mark(self, point: Point) -> None:
        """`backward` runs forward passes again where they are checkpointed; these do not count."""
        if point in ("backward", "end", "exhausted", "open"):
            self._stop()

    def read(self, moment: Moment) -> Iterator[Reading]:
        """What was seen since `begin`; with several optimizers beside the first one."""
        sample, self._sample = self._sample, None
        self._stop()
        if sample is not None:
            self._last = moment.step
            for sampled, numbers in zip(sample.sampled, sample.numbers, strict=True):
                yield from _readings(sampled, numbers)

    def close(self, metrics: object) -> Iterator[Reading]:
        """Listens no more."""
        self._stop()
        yield from ()

    def _stop(self) -> None:
        if self._is_open and self._sample is not None:
            self._sample.__exit__(None, None, None)
        self._is_open = False


def _readings(sampled: Sampled, numbers: Tensor) -> Iterator[Reading]:
    name = f"{sampled.name.removeprefix('the input of ')}/input" if sampled.kind == "input" else sampled.name
    name = name.replace("the model", "model")
    largest, _, dead, saturated = numbers
    yield Reading(f"activations/absmax/{name}", largest, "max")
    limits = torch.finfo(sampled.dtype)
    bits = math.log2(limits.max) - largest.clamp(min=torch.finfo(torch.float32).tiny).log2()
    yield Reading(f"activations/headroom_bits/{name}", bits, "min")
    if sampled.kind in _CAN_DIE:
        yield Reading(f"activations/dead/{name}", dead, "min")
    if sampled.kind in _CAN_SATURATE:
        yield Reading(f"activations/saturated/{name}", saturated, "mean")
