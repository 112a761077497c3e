"""How large the weights are, and how far an update moves them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from runtime_guard.device.finiteness import norms, values_of
from runtime_guard.device.updates import UpdateSample
from runtime_guard.monitor import Moment, Monitor
from runtime_guard.reading import Derived, Reading, Value


class Weights(Monitor):
    """Norms of the parameters, and their updates beside them.

    Updates of about a thousandth of the weights' norm are healthy. Of a tenth and more they throw away what was
    learned: the learning rate is too high. Below a hundred-thousandth the layer hardly learns. Norms that only grow
    want weight decay.

    Writes:
        `weights/norm`: L2 norm over all parameters of the optimizer, before the update.
        `weights/norm/*`: L2 norm of this parameter; of a sharded one over all ranks.
        `weights/update_ratio/*`: norm of its change in this update by its norm before; of its first 1024 elements, for
            up to 512 parameters of two dimensions or more that have a gradient.

    When: every `every` updates, from the first on.
    Cost: a pass over all parameters, and two copies of up to 1024 elements of each, in an update that is due.

    Args:
        every: Updates from one look to the next, at least 1.
    """

    charts: ClassVar = {"Updates beside the weights": (r"weights/update_ratio/.*",)}

    def __init__(self, every: int = 50) -> None:
        if every < 1:
            raise ValueError(f"every is {every}, expected 1 or more updates")
        self.every = every
        self._samples: dict[str, UpdateSample] = {}
        self._last: dict[str, int] = {}

    def read(self, moment: Moment) -> Iterator[Reading]:
        """Norms before the update."""
        # A scaler may leave out the very update that is due.
        if self._last.get(moment.suffix, -1) // self.every >= moment.step // self.every:
            return
        self._last[moment.suffix] = moment.step
        parameters = [p for group in moment.optimizer.param_groups for p in group["params"]]
        self._samples[moment.suffix] = UpdateSample(parameters)
        pairs = [(p, values) for p in parameters if (values := values_of(p)) is not None and values.numel()]
        if not pairs:
            return
        squares = norms([values for _, values in pairs]).double().square()
        is_sharded = any(_is_sharded(p) for p, _ in pairs)
        yield _norm(f"weights/norm{moment.suffix}", squares.sum(), is_sharded=is_sharded)
        for (p, _), square in zip(pairs, squares, strict=True):
            yield _norm(f"weights/norm/{moment.names[id(p)]}", square, is_sharded=_is_sharded(p))

    def after_update(self, moment: Moment) -> Iterator[Reading]:
        """How far it moved them."""
        sample = self._samples.pop(moment.suffix, None)
        if sample is not None and sample.parameters:
            for parameter, ratio in zip(sample.parameters, sample.ratios(), strict=True):
                yield Reading(f"weights/update_ratio/{moment.names[id(parameter)]}", ratio, "mean")


def _is_sharded(parameter: Tensor) -> bool:
    """A DTensor of which each rank holds a part."""
    placements: Sequence[Any] = getattr(parameter, "placements", ())
    return any(placement.is_shard() for placement in placements)


def _norm(key: str, square: Tensor, *, is_sharded: bool) -> Reading:
    if not is_sharded:
        return Reading(key, torch.sqrt(square))
    return Reading(key, Derived(square, functools.partial(_rooted, key)), "sum")


def _rooted(key: str, numbers: Sequence[float]) -> dict[str, Value]:
    return {key: math.sqrt(numbers[0])}
