"""Lightning: a callback of its Trainer."""

from __future__ import annotations

import contextlib
import copy
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import Unpack

from runtime_guard.guard import Guard
from runtime_guard.hosted import Hosted, Options, Shown


class LightningGuard(Callback):
    """Guards `Trainer.fit`: `Trainer(callbacks=[LightningGuard(logdir="runs/1")])`.

    Automatic and manual optimization, accumulation, precision plugins and clipping are Lightning's own. Of a bad step
    `training_step` and `backward` run again, with Lightning's counters and what `self.log` collects set aside; other
    callbacks hear of `on_before_backward` and its like once more. What `training_step` logged of a step that is
    skipped stays logged, and the step is counted.

    Args:
        samples: From a batch and what `training_step` or `validation_step` returned, as a dict, to the arguments of
            `Guard.samples`; without it nothing is shown of predictions.
        options: Those of `Guard`, but for model, optimizer, scaler and scheduler, which the Trainer knows.
    """

    def __init__(self, *, samples: Shown | None = None, **options: Unpack[Options]) -> None:
        super().__init__()
        self._run = Hosted(options, samples)

    @property
    def guard(self) -> Guard:
        """The guard of the fit that goes on, or was the last; RuntimeError before the first."""
        return self._run.guard

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.start(
            pl_module,
            trainer.optimizers,
            again=partial(_train_again, trainer),
            scaler=getattr(trainer.precision_plugin, "scaler", None),
            scheduler=[config.scheduler for config in trainer.lr_scheduler_configs],
        )

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._run.begin(batch, batch_idx)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._run.end(outputs)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.set_validation(is_on=True)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._run.validated(batch, outputs)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.set_validation(is_on=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.end_epoch(trainer.callback_metrics)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._run.finish(trainer.callback_metrics)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._run.failed(exception)

    def state_dict(self) -> dict[str, Any]:
        return self._run.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._run.load_state_dict(state_dict)


def _train_again(trainer: Trainer, number: int, batch: Any) -> None:
    loop = trainer.fit_loop.epoch_loop
    module = trainer.lightning_module
    with _set_aside(loop):
        # By this and the next Lightning knows whether gradients are accumulated.
        loop.batch_progress.is_last_batch &= number + 1 == loop.batch_progress.current.ready
        loop.batch_progress.current.ready = number + 1
        loop._results.batch = batch
        arguments = loop._build_kwargs(OrderedDict(), batch, number)
        if module.automatic_optimization:
            loop.automatic_optimization.run(trainer.optimizers[0], number, arguments)
        else:
            loop.manual_optimization.run(arguments)


@contextlib.contextmanager
def _set_aside(loop: Any) -> Iterator[None]:
    """Has Lightning count and log into copies."""
    automatic, manual = loop.automatic_optimization, loop.manual_optimization
    kept = loop.batch_progress, loop._results, automatic.optim_progress, manual.optim_step_progress
    loop.batch_progress = copy.deepcopy(loop.batch_progress)
    loop._results = type(loop._results)(training=True)
    automatic.optim_progress = copy.deepcopy(automatic.optim_progress)
    manual.optim_step_progress = copy.deepcopy(manual.optim_step_progress)
    try:
        yield
    finally:
        loop.batch_progress, loop._results, automatic.optim_progress, manual.optim_step_progress = kept
