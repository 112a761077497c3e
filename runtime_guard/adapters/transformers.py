"""transformers: wraps the steps of a Trainer, whose callbacks see neither batches nor losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import Trainer, TrainerCallback
from typing_extensions import Unpack

from runtime_guard.arguments import unwrapped
from runtime_guard.guard import Guard
from runtime_guard.hosted import Hosted, Options, Shown

_NUM_ITEMS = "num_items_in_batch"


class TrainerGuard(TrainerCallback):
    """Guards a Trainer: `TrainerGuard(trainer, logdir="runs/1")` before `trainer.train()`.

    `training_step` and `compute_loss` of this one Trainer are wrapped, also where a subclass has its own, and a
    callback is added. Of a bad step `training_step` runs again for each of its batches, before the Trainer logs or
    saves anything. An epoch lasts until the next begins, so that what is evaluated at its end is a part of it. A step
    that is skipped is counted; `logging_nan_inf_filter` hides its loss from the Trainer's own log.

    Args:
        trainer: The Trainer; deepspeed and other engines that step by themselves are not guarded.
        samples: From a batch and the model's outputs to the arguments of `Guard.samples`; without it nothing is shown
            of predictions.
        options: Those of `Guard`, but for model, optimizer, scaler and scheduler, which the Trainer makes.
    """

    def __init__(self, trainer: Trainer, *, samples: Shown | None = None, **options: Unpack[Options]) -> None:
        if not isinstance(trainer, Trainer):
            raise TypeError(f"trainer is a {type(trainer).__name__}, expected a transformers.Trainer")
        self._run = Hosted(options, samples)
        self._trainer = trainer
        self._step, self._compute_loss = trainer.training_step, trainer.compute_loss
        self._wants_outputs = samples is not None
        self._outputs: Any = None
        self._metrics: dict[str, Any] = {}
        self._is_in_epoch = False
        self._number = 0
        trainer.training_step = self._guarded_step
        trainer.compute_loss = self._guarded_loss
        trainer.add_callback(self)

    @property
    def guard(self) -> Guard:
        """The guard of the training that goes on, or was the last; RuntimeError before the first."""
        return self._run.guard

    # What the Trainer calls by name

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._is_in_epoch = False
        self._run.start(
            self._trainer.model,
            unwrapped(self._trainer.optimizer),
            again=self._again,
            scaler=self._trainer.accelerator.scaler,
            scheduler=self._trainer.lr_scheduler,
        )

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._end_epoch()
        self._is_in_epoch, self._number = True, 0

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        outputs, self._outputs = self._outputs, None
        self._run.end(outputs)
        self._number += 1

    on_step_end = on_substep_end

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any], **kwargs: Any) -> None:
        self._metrics.update(metrics)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        metrics = dict(self._metrics)
        self._end_epoch()
        self._run.finish(metrics)

    # What is wrapped

    def _guarded_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        # `compute_loss` may take entries out of `inputs`.
        self._run.begin({**inputs, _NUM_ITEMS: num_items_in_batch}, self._number)
        try:
            return self._step(model, inputs, num_items_in_batch)
        except BaseException as error:
            self._run.failed(error)
            raise

    def _guarded_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        if self._run.is_turning:
            if not self._wants_outputs:
                return self._compute_loss(model, inputs, return_outputs=return_outputs, **kwargs)
            loss, self._outputs = self._compute_loss(model, inputs, return_outputs=True, **kwargs)
            return (loss, self._outputs) if return_outputs else loss
        batch = {**inputs}
        found = self._compute_loss(model, inputs, return_outputs=return_outputs, **kwargs)
        loss, outputs = found if return_outputs else (found, {})
        self._run.set_validation(is_on=True)
        self._run.validated(batch, {**outputs, "loss": loss} if isinstance(outputs, Mapping) else loss)
        self._run.set_validation(is_on=False)
        return found

    def _again(self, number: int, batch: Any) -> None:
        inputs = {key: value for key, value in batch.items() if key != _NUM_ITEMS}
        self._step(self._trainer.model_wrapped, inputs, batch[_NUM_ITEMS])

    def _end_epoch(self) -> None:
        if self._is_in_epoch:
            self._is_in_epoch = False
            self._run.end_epoch(self._metrics)
            self._metrics = {}
