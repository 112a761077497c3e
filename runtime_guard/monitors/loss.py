"""What the training and the validation loss are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor

from runtime_guard.device.averages import Averages
from runtime_guard.monitor import Epoch, Moment, Monitor
from runtime_guard.reading import Reading


class Loss(Monitor):
    """The loss of each update and each validation batch, and their averages over an epoch.

    A loss that is flat from the start, that falls and then spikes, or that is NaN is seen here first. A training loss
    that goes on falling while the validation loss rises is overfitting; both high is too small a model or too low a
    learning rate.

    Writes:
        `loss/*`: mean over the update's micro-batches of what `backward` starts from, before a loss scale; under the
            name that `Guard.loss` gave it, or `loss/loss`.
        `loss/validation_batch/*`: of each validation batch, at the step of the last update; only what `Guard.loss` was
            given within `Guard.validate`.
        `loss/epoch/*/train`: mean of the above over the epoch's updates.
        `loss/epoch/*/validation`: mean of the above over the validation batches since the last epoch ended.

    When: each update, each validation batch, each epoch.
    Cost: two small operations; after a run was resumed within an epoch, its average begins there.
    """

    charts: ClassVar = {
        "Loss of each update": (r"loss/(?!epoch/|validation_batch/).*", r"loss/validation_batch/.*"),
        "Loss of each epoch": (r"loss/epoch/.*",),
    }

    def __init__(self) -> None:
        self._train = Averages()
        self._validation = Averages()

    def read(self, moment: Moment) -> Iterator[Reading]:
        """One value per name."""
        by_name: dict[str, list[Tensor]] = {}
        for loss in moment.losses:
            by_name.setdefault(loss.name, []).append(loss.value.detach().double().mean())
        for name, values in by_name.items():
            total = values[0]
            for value in values[1:]:
                total = total + value
            mean = total / len(values)
            self._train.add(f"{name}{moment.suffix}", mean, moment.step)
            yield Reading(f"loss/{name}{moment.suffix}", mean, "mean")

    def forget(self, step: int) -> None:
        """Its loss is in no average."""
        self._train.forget(step)

    def validation_loss(self, name: str, loss: Tensor) -> Iterator[Reading]:
        """Of one batch."""
        mean = loss.double().mean()
        self._validation.add(name, mean)
        yield Reading(f"loss/validation_batch/{name}", mean, "mean")

    def end_epoch(self, epoch: Epoch) -> Iterator[Reading]:
        """Averages since the last one."""
        yield from self._train.taken("loss/epoch/*/train")
        yield from self._validation.taken("loss/epoch/*/validation")
