"""Catalyst: a callback of its runners."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any

from catalyst.core.callback import Callback, CallbackOrder, IBackwardCallback, ICriterionCallback, IOptimizerCallback
from typing_extensions import Unpack

from runtime_guard.arguments import unwrapped
from runtime_guard.guard import Guard
from runtime_guard.hosted import Hosted, Options, Shown


class CatalystGuard(Callback):
    """Guards a runner: `runner.train(..., callbacks=[CatalystGuard(logdir="runs/1")])`.

    Of a bad step `handle_batch` runs again, and the callbacks that compute the loss, run `backward` and step, with
    their metrics and counts set aside. What `handle_batch` itself counts, in meters of a runner's own, it counts twice,
    and what metrics have heard of a step that is skipped they keep.

    Args:
        samples: From a batch and a dict with the batch's entries and metrics to the arguments of `Guard.samples`;
            without it nothing is shown of predictions.
        options: Those of `Guard`, but for model, optimizer, scaler and scheduler, which the runner knows.
    """

    def __init__(self, *, samples: Shown | None = None, **options: Unpack[Options]) -> None:
        # After the optimizer's step, and before schedulers and checkpoints.
        super().__init__(order=CallbackOrder.optimizer + 5)
        self._run = Hosted(options, samples)
        self._runner: Any = None

    @property
    def guard(self) -> Guard:
        """The guard of the run that goes on, or was the last; RuntimeError before the first."""
        return self._run.guard

    # What the runner calls by name

    def on_experiment_start(self, runner: Any) -> None:
        self._runner = runner
        scheduler = runner.scheduler
        if isinstance(scheduler, Mapping):
            scheduler = list(scheduler.values())
        steppers = [callback for callback in _steps(runner) if hasattr(callback, "_accumulation_counter")]
        self._run.start(
            runner.model,
            unwrapped(runner.optimizer),
            again=self._again,
            scaler=getattr(runner.engine, "scaler", None),
            scheduler=() if scheduler is None else scheduler,
            state=[_Count(callback) for callback in steppers],
        )

    def on_loader_start(self, runner: Any) -> None:
        self._run.set_validation(is_on=not runner.is_train_loader)

    def on_loader_end(self, runner: Any) -> None:
        self._run.set_validation(is_on=False)

    def on_batch_start(self, runner: Any) -> None:
        if runner.is_train_loader:
            self._run.begin(runner.batch, runner.loader_batch_step - 1)

    def on_batch_end(self, runner: Any) -> None:
        entries = runner.batch if isinstance(runner.batch, Mapping) else {}
        outputs = {**entries, **runner.batch_metrics}
        if runner.is_train_loader:
            self._run.end(outputs)
        else:
            self._run.validated(runner.batch, outputs)

    def on_epoch_end(self, runner: Any) -> None:
        self._run.end_epoch(runner.epoch_metrics)

    def on_experiment_end(self, runner: Any) -> None:
        self._run.finish(runner.epoch_metrics)

    def on_exception(self, runner: Any) -> None:
        self._run.failed(runner.exception)

    # Inside

    def _again(self, number: int, batch: Any) -> None:
        runner = self._runner
        metrics = dict(runner.batch_metrics)
        runner.batch = batch
        callbacks = _steps(runner)
        with _set_aside(callbacks):
            runner.handle_batch(batch=batch)
            for callback in callbacks:
                callback.on_batch_end(runner)
        runner.batch_metrics.clear()
        runner.batch_metrics.update(metrics)


def _steps(runner: Any) -> list[Any]:
    """The callbacks that make up a training step, in their order."""
    wanted = (ICriterionCallback, IBackwardCallback, IOptimizerCallback)
    found = [callback for callback in runner.callbacks.values() if isinstance(callback, wanted)]
    return sorted(found, key=lambda callback: callback.order)


@contextlib.contextmanager
def _set_aside(callbacks: list[Any]) -> Iterator[None]:
    """Has them count into copies of their metrics."""
    counting = [callback for callback in callbacks if hasattr(callback, "metric")]
    kept = [callback.metric for callback in counting]
    for callback in counting:
        callback.metric = copy.deepcopy(callback.metric)
    try:
        yield
    finally:
        for callback, metric in zip(counting, kept, strict=True):
            callback.metric = metric


class _Count:
    """How many batches an optimizer's callback has accumulated."""

    def __init__(self, callback: Any) -> None:
        self._callback = callback

    def state_dict(self) -> dict[str, Any]:
        return {"count": self._callback._accumulation_counter}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._callback._accumulation_counter = state_dict["count"]
