"""What the optimizer is set to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor

from runtime_guard.monitor import Moment, Monitor
from runtime_guard.reading import Reading

_OPTIONS = ("lr", "momentum", "weight_decay", "eps")


class Optimizer(Monitor):
    """Settings of the optimizer's parameter groups, and the loss scale.

    A schedule that does something else than was meant, and a loss scale that falls without end, are seen here.

    Writes:
        `optimizer/lr/*`: learning rate of the group with this number.
        `optimizer/momentum/*`: its momentum, for optimizers that have one.
        `optimizer/weight_decay/*`: its weight decay.
        `optimizer/eps/*`: what keeps its denominators from 0.
        `optimizer/beta1/*`: how slowly its mean of gradients forgets.
        `optimizer/beta2/*`: how slowly its mean of squares forgets.
        `optimizer/scale`: the GradScaler's factor.

    When: each update.
    Cost: none, but for numbers that lie on the device.
    """

    charts: ClassVar = {"Learning rate": (r"optimizer/lr/.*",)}

    def read(self, moment: Moment) -> Iterator[Reading]:
        """Numbers of each group, as they are for this update."""
        for index, group in enumerate(moment.optimizer.param_groups):
            found = {option: group[option] for option in _OPTIONS if option in group}
            found.update(zip(("beta1", "beta2"), group.get("betas", ()), strict=False))
            for option, value in found.items():
                if isinstance(value, (Tensor, float, int)):
                    yield Reading(f"optimizer/{option}/{index}{moment.suffix}", value)
        if moment.scale is not None:
            yield Reading("optimizer/scale", moment.scale)
