"""Ignite: attaches to the engine that trains."""

from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events
from typing_extensions import Self, Unpack

from runtime_guard.guard import Guard
from runtime_guard.hosted import Hosted, Options, Shown


class IgniteGuard:
    """Guards an engine: `IgniteGuard(model, optimizer, logdir="runs/1").attach(trainer, evaluator)`.

    Of a bad step the engine's process function runs again, before any handler hears of the iteration. An epoch lasts
    until the next begins, so that what handlers of `EPOCH_COMPLETED` evaluate is a part of it. What the process
    function put out for a step that is skipped stays the engine's output, and the iteration is counted.

    Args:
        model: As for `Guard`.
        optimizer: As for `Guard`.
        samples: From a batch and what the process function returned to the arguments of `Guard.samples`; without it
            nothing is shown of predictions.
        scaler: As for `Guard`.
        scheduler: As for `Guard`.
        options: The others of `Guard`.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        *,
        samples: Shown | None = None,
        scaler: Any = None,
        scheduler: Any = (),
        **options: Unpack[Options],
    ) -> None:
        self._run = Hosted(options, samples)
        self._model, self._optimizer = model, optimizer
        self._found = {"scaler": scaler, "scheduler": scheduler}
        self._evaluators: dict[str, Engine] = {}
        self._is_in_epoch = False
        self._number = 0

    @property
    def guard(self) -> Guard:
        """The guard of the run that goes on, or was the last; RuntimeError before the first."""
        return self._run.guard

    def attach(self, trainer: Engine, evaluator: Engine | None = None, *, name: str = "validation") -> Self:
        """Follows the engine that trains, and one that validates, whose metrics are kept under this name."""
        # The process function, and not events: what other handlers do of an iteration is no part of the step.
        process = trainer._process_function
        trainer._process_function = self._guarded(process)
        self._process, self._trainer = process, trainer
        trainer.add_event_handler(Events.STARTED, self._start)
        trainer.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)
        trainer.add_event_handler(Events.COMPLETED | Events.TERMINATE, self._finish)
        return self if evaluator is None else self.attach_evaluator(evaluator, name=name)

    def attach_evaluator(self, evaluator: Engine, *, name: str = "validation") -> Self:
        """Follows an engine that validates: a loss that it puts out, alone or in a dict, is a loss of validation."""
        self._evaluators[name] = evaluator
        evaluator.add_event_handler(Events.STARTED, lambda: self._run.set_validation(is_on=True))
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._validated)
        evaluator.add_event_handler(Events.COMPLETED, lambda: self._run.set_validation(is_on=False))
        return self

    def state_dict(self) -> dict[str, Any]:
        """For `ignite.handlers.Checkpoint(to_save=...)`."""
        return self._run.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next run goes on there."""
        self._run.load_state_dict(state_dict)

    def _guarded(self, process: Any) -> Any:
        def step(engine: Engine, batch: Any) -> Any:
            self._run.begin(batch, self._number)
            try:
                output = process(engine, batch)
            except BaseException as error:
                self._run.failed(error)
                raise
            self._run.end(output)
            self._number += 1
            return output

        return step

    def _start(self) -> None:
        self._is_in_epoch = False
        self._run.start(self._model, self._optimizer, again=self._again, **self._found)

    def _again(self, number: int, batch: Any) -> None:
        self._process(self._trainer, batch)

    def _begin_epoch(self) -> None:
        if self._is_in_epoch:
            self._run.end_epoch(self._metrics())
        self._is_in_epoch, self._number = True, 0

    def _validated(self, engine: Engine) -> None:
        self._run.validated(engine.state.batch, engine.state.output)

    def _finish(self) -> None:
        if self._is_in_epoch:
            self._is_in_epoch = False
            self._run.end_epoch(self._metrics())
        self._run.finish(self._metrics())

    def _metrics(self) -> dict[str, Any]:
        found = dict(self._trainer.state.metrics)
        for name, evaluator in self._evaluators.items():
            found.update({f"{name}/{key}": value for key, value in evaluator.state.metrics.items()})
        return found
