"""The guard: what a user puts around the training loop."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from typing_extensions import Self

from runtime_guard.arguments import by_name
from runtime_guard.display import panel_for
from runtime_guard.health import Health
from runtime_guard.incidents import reenact
from runtime_guard.incidents.case import incident_of
from runtime_guard.incidents.incident import Birth, Incident, StepRecord, TrainingIncident
from runtime_guard.incidents.verdict import describe
from runtime_guard.loops.ending import Ending, ending_of
from runtime_guard.loops.loop import Validated, Watched
from runtime_guard.loops.watcher import Watcher
from runtime_guard.monitor import Monitor
from runtime_guard.policy import Decision, Policy
from runtime_guard.readings.measured import measured
from runtime_guard.replay.session import ReplaySession
from runtime_guard.replay.update import birth_in_update
from runtime_guard.run_folder import GuardWarning, RunFolder
from runtime_guard.scripts import uncaught
from runtime_guard.sentinel.gate import Gate
from runtime_guard.sentinel.sentinel import Finding
from runtime_guard.settings import POLICIES, Settings
from runtime_guard.sign import Omen
from runtime_guard.sink import Sink
from runtime_guard.state import Stateful, Tracked

Batch = TypeVar("Batch")


class IncidentWarning(UserWarning):
    """An incident after which training goes on; its text is the verdict."""


_numbers = itertools.count()


class Guard:
    """Watches a training loop, and says what made the first number that is not finite.

    ```
    guard = Guard(model, optimizer)
    for batch in guard.watch(loader):
        ...
    guard.close()
    ```

    It changes nothing in a healthy run: losses, parameters and random numbers are bit for bit what they are without
    it. After a bad step the loop body runs once more with the same batches, so what it logs or counts is done twice.

    Args:
        model: The model, or several by name.
        optimizer: The optimizer, or several by name.
        logdir: Folder of the run, for TensorBoard and everything else; nothing is written without one.
        scaler: The GradScaler. One that is not given is found when it first steps.
        scheduler: Learning rate scheduler, or several; a skipped step takes their steps back.
        state: Further objects with `state_dict` and `load_state_dict` that the loop body changes.
        policy: "raise" (the default), "skip", "rollback", "warn", or a function from `Incident` to `Decision`.
        monitors: What is shown of the run: "all" (the default), "none", or a list of monitors.
        sinks: Where it is shown: names ("tensorboard", "json-lines", "console", "wandb", "mlflow") or sinks; by default
            TensorBoard and JSON lines in `logdir`.
        config: What the run is set to, for the hyperparameters beside its final metrics.
        class_names: Of the classes, in the order of their numbers.
        settings: All settings; by default those of pyproject.toml and the environment.
    """

    def __init__(  # noqa: PLR0913 - each is named by the user
        self,
        model: nn.Module | Mapping[str, nn.Module] | Sequence[nn.Module] = (),
        optimizer: Optimizer | Mapping[str, Optimizer] | Sequence[Optimizer] = (),
        *,
        logdir: str | Path | None = None,
        scaler: GradScaler | None = None,
        scheduler: Stateful | Sequence[Stateful] = (),
        state: Iterable[Stateful] = (),
        policy: str | Policy | None = None,
        monitors: str | Sequence[Monitor] | None = None,
        sinks: Sequence[Sink | str] | None = None,
        config: Mapping[str, Any] | None = None,
        class_names: Sequence[str] = (),
        settings: Settings | None = None,
    ) -> None:
        self.settings = Settings.load() if settings is None else settings
        self._policy: Policy | None = None
        if isinstance(policy, str):
            self.settings = dataclasses.replace(self.settings, policy=policy)
        elif policy is not None:
            if not callable(policy):
                raise TypeError(f"policy is a {type(policy).__name__}, expected {', '.join(POLICIES)} or a function")
            self._policy = policy
        # What is run again must not write over what it was.
        self.logdir = None if logdir is None or reenact.is_active() else Path(logdir)
        self._folder = RunFolder(self.logdir, self.settings)
        self.incidents: list[Incident] = []
        self.metrics: list[dict[str, Any]] = []
        schedulers = list(scheduler) if isinstance(scheduler, (list, tuple)) else [scheduler]
        self._tracked = Tracked(
            by_name(model, nn.Module, "model"),
            by_name(optimizer, Optimizer, "optimizer"),
            [scaler] if scaler is not None and scaler.is_enabled() else [],
            [*schedulers, *state],  # type: ignore[list-item]
        )
        self.number = next(_numbers)
        self._update_birth: tuple[Birth, ...] = ()
        self._unraised: TrainingIncident | None = None
        self._is_closed = False
        self._ended_by: str | None = None
        self._watcher: Watcher | None = None
        if self.settings.enabled:
            self._watcher = Watcher(
                self._tracked,
                self.settings,
                lets_bad_updates_pass=self._policy is not None or self.settings.policy == "warn",
                restores=self._policy is not None or self.settings.policy in ("skip", "rollback"),
            )
            self._watcher.hooks.on_parameters = self._updated_badly
        if self._watcher is not None and not reenact.is_active():
            self._watcher.hooks.panel = panel_for(
                self._tracked,
                monitors,
                sinks,
                default=self.settings.monitors,
                default_sinks=self.settings.sinks,
                folder=self._folder,
                config=config or {},
                class_names=class_names,
            )

    @property
    def watcher(self) -> Watcher | None:
        """What follows the loop; None when the guard is turned off."""
        return self._watcher

    @property
    def history(self) -> tuple[StepRecord, ...]:
        """What was seen of the last updates, oldest first."""
        return () if self._watcher is None else self._watcher.history.records

    @property
    def omens(self) -> tuple[Omen, ...]:
        """Early warnings so far."""
        return () if self._watcher is None else tuple(self._watcher.hooks.inspection.early.omens)

    def watch(self, loader: Iterable[Batch]) -> Iterable[Batch]:
        """The loader's batches, for the training loop. The result has the loader's length and attributes."""
        self.raise_pending()
        if self._watcher is None or self._is_closed:
            return loader
        uncaught.listen(self)
        return Watched(loader, self._watcher, self)

    def validate(self, loader: Iterable[Batch]) -> Iterable[Batch]:
        """The loader's batches, for a validation loop: losses and samples shown within it are validation's."""
        self.raise_pending()
        return loader if self._watcher is None or self._is_closed else Validated(loader, self._watcher)

    def loss(self, loss: Tensor, name: str = "loss") -> Tensor:
        """Names the loss, before `backward`; returns it. Without it the guard takes what `backward` starts from.

        In a validation loop it is the only way in which the guard learns of a loss.
        """
        if self._watcher is not None:
            self._watcher.name_loss(loss, name)
        return loss

    def samples(
        self, scores: Any, targets: Any, *, inputs: Any = None, losses: Tensor | None = None, indices: Any = None
    ) -> None:
        """Shows a batch to the monitors that look at predictions, in a training or a validation loop.

        Args:
            scores: What the model says, as logits: `(N, C)` for classes or for several labels at once, `(N,)` or
                `(N, 1)` for yes or no, `(N, C, H, W)` for the classes of pixels, a list of N dicts with `boxes`,
                `labels` and `scores` for objects.
            targets: What is right: `(N,)`, `(N, C)` for several labels, `(N, H, W)`, or N dicts with `boxes` and
                `labels`.
            inputs: What the model was shown, to be seen beside it: pictures `(N, 1 or 3, H, W)`, or N texts.
            losses: One per sample, `(N, ...)`; where the task is known they are computed otherwise.
            indices: Of the samples in the dataset, `(N,)`, so that they can be found again.

        Raises ValueError where these do not agree on N.
        """
        if self._watcher is not None and not self._is_closed:
            self._watcher.observe(scores, targets, inputs=inputs, losses=losses, indices=indices)

    def epoch_end(self, metrics: Mapping[str, Any] | None = None) -> None:
        """Ends an epoch, and keeps its metrics: numbers by name, or objects that are asked to `compute` them, and then
        to `reset`."""
        self.raise_pending()
        values = {} if metrics is None else measured(metrics)
        if metrics is not None:
            self.metrics.append(values)
        if self._watcher is not None:
            self._watcher.hooks.panel.end_epoch(values)
            self._watcher.epoch += 1
            self._write_health()

    def close(self, metrics: Mapping[str, Any] | None = None) -> None:
        """Takes the guard off the optimizers; once more does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        uncaught.unlisten(self)
        values = {} if metrics is None else measured(metrics)
        if metrics is not None:
            self.metrics.append(values)
        if self._watcher is not None:
            self._watcher.detach()
            self._watcher.hooks.panel.close(values or (self.metrics[-1] if self.metrics else {}))
            self._write_health()
        self.raise_pending()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on: steps, epochs, metrics and what was seen. Goes into any checkpoint."""
        watched = None if self._watcher is None else self._watcher.state_dict()
        return {"watched": watched, "metrics": copy.deepcopy(self.metrics)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where the run stood that `state_dict` was asked of. Raises ValueError for another object's state."""
        if not {"watched", "metrics"} <= state.keys():
            raise ValueError(f"this is no state of a Guard: it has {', '.join(map(str, state)) or 'nothing'}")
        self.metrics = copy.deepcopy(list(state["metrics"]))
        if self._watcher is not None and state["watched"] is not None:
            self._watcher.load_state_dict(state["watched"])

    def _write_health(self) -> None:
        watcher = self._watcher
        if watcher is None:
            return
        last = watcher.history.records[-1:]
        health = Health(
            num_steps=watcher.step,
            num_epochs=watcher.epoch,
            num_incidents=len(self.incidents),
            is_closed=self._is_closed,
            last=dataclasses.asdict(last[0]) if last else None,
            ended_by=self._ended_by,
            metrics=self.metrics,
        )
        self._folder.write_health(health)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        incident = None
        if error is not None:
            self.ended_by(error)
            incident = self.explain(error)
        self.close()
        if incident is not None:
            raise incident from error

    def explain(self, error: BaseException) -> TrainingIncident | None:
        """The incident behind an error that left a watched loop; None when it has nothing to do with the numbers.

        Called by `with Guard(...)`, by `runtime-guard run`, and for an error that nobody catches. Where the loop's
        body allows, it is run again.
        """
        known, self._unraised = self._unraised, None
        watcher = self._watcher
        if isinstance(error, TrainingIncident) or watcher is None:
            return None
        if watcher.left is None:
            watcher.leave()  # Nobody has closed the iterator of a loop that calls `next` by itself.
        left, watcher.left = watcher.left, None
        try:
            ending = None if left is None else ending_of(error, left, watcher)
        except Exception as failure:  # The user's error must not be lost.
            warnings.warn(f"runtime_guard could not look into the error: {failure!r}", GuardWarning, stacklevel=2)
            ending = None
        if ending is None:
            # An error during the replay is the loop's own.
            is_after_incident = left is not None and left.suspicion is not None
            return known if is_after_incident and isinstance(error, (Exception, SystemExit)) else None
        if known is not None:
            self._folder.drop(known.incident)
            self.incidents.remove(known.incident)
        watcher.hooks.suspicion = ending.suspicion
        try:
            self.judge(ending.session, is_complete=True, ending=ending)
        except TrainingIncident as incident:
            return incident
        return None

    def leave(self) -> None:
        """Called when the process ends, where nobody has closed the guard: what is on its way is written."""
        watcher = self._watcher
        if watcher is None or self._is_closed:
            return
        watcher.end_loop()
        watcher.detach()
        watcher.hooks.panel.close(self.metrics[-1] if self.metrics else {})
        self._write_health()
        if self._unraised is not None:
            warnings.warn(str(self._unraised), IncidentWarning, stacklevel=2)

    def ended_by(self, error: BaseException) -> None:
        """Remembers for the run's health what ended the training before its time."""
        is_end = isinstance(error, SystemExit) and error.code in (None, 0)
        if not is_end and self._ended_by is None:
            self._ended_by = type(error).__name__

    def judge(self, session: ReplaySession | None, *, is_complete: bool, ending: Ending | None = None) -> Decision:
        """Called by the loop after a replay: makes the incident, decides, and puts the state where it belongs.

        With `ending` an error has ended the loop.
        """
        watcher = self._watcher
        assert watcher is not None
        suspicion = watcher.suspicion
        assert suspicion is not None
        incident = incident_of(
            suspicion, session, watcher.history, is_complete=is_complete, update=self._update_birth, ending=ending
        )
        contents = self._folder.collect(self._tracked, suspicion, self.number, has_gone=bool(self._update_birth))
        if contents is not None and ending is not None and ending.obstacle is not None:
            contents.obstacle = ending.obstacle
        self._update_birth = ()
        decision, words = self._decide(incident, watcher)
        if ending is not None and ending.error is not None and decision is not Decision.WARN:
            decision, words = Decision.RAISE, "raised; the error had left the loop, so there was nothing to go on with"
        incident = self._folder.keep(dataclasses.replace(incident, decision=words), contents)
        self.incidents.append(incident)
        watcher.restore(decision)
        watcher.resolved(decision)
        text = describe(incident)
        watcher.hooks.panel.show_incident(incident.step, text)
        if decision is Decision.RAISE:
            self._ended_by = "an incident"
            self._write_health()
        if decision is not Decision.RAISE:
            warnings.warn(text, IncidentWarning, stacklevel=2)
        elif is_complete:
            raise TrainingIncident(text, incident)
        else:
            self._unraised = TrainingIncident(text, incident)
        return decision

    def _decide(self, incident: Incident, watcher: Watcher) -> tuple[Decision, str]:
        decision = Decision(self.settings.policy) if self._policy is None else self._policy(incident)
        if not isinstance(decision, Decision):
            raise TypeError(f"the policy returned {decision!r}, expected a Decision, e.g. Decision.SKIP")
        suspicion = watcher.suspicion
        assert suspicion is not None
        if decision is Decision.SKIP and not watcher.can_restore(suspicion):
            decision = Decision.ROLLBACK
        if decision is Decision.ROLLBACK and not watcher.restoration.has_snapshot:
            return Decision.RAISE, "raised, because there is no snapshot to return to"
        return watcher.retries.bounded(decision)

    def _updated_badly(self, gate: Gate, finding: Finding) -> None:
        assert self._watcher is not None
        birth = birth_in_update(gate, self._tracked)
        self._update_birth = () if birth is None else (birth,)

    def raise_pending(self, cause: BaseException | None = None) -> None:
        """Raises an incident of a loop that was left early, which could not be raised there; nothing without one."""
        error, self._unraised = self._unraised, None
        if error is not None:
            raise error from cause
