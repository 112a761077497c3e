"""Keeps an error of the guard's own from ending the training."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from runtime_guard import ranks
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sentinel.gate import Gate, GateKeeper
from runtime_guard.sentinel.taps import Listener

Result = TypeVar("Result")
_PACKAGE = Path(__file__).parents[1]


class _Hooks(GateKeeper, Listener, Protocol):
    """What is told of the step."""

    def updated(self, gate: Gate) -> None:
        """An update is over; raises what the user is to hear."""

    def give_up(self) -> None:
        """Hears of nothing any more."""


class Shield:
    """Stands between what torch calls and what the guard does about it.

    An error there, be it a bug or memory that is missing for a copy, ends the watching, with one warning, and not the
    training. In a distributed run it is raised: the other ranks wait for what this one would say.
    """

    def __init__(self, hooks: _Hooks) -> None:
        self._hooks = hooks
        self.has_failed = False

    def run(self, work: Callable[[], Result], otherwise: Result) -> Result:
        """What the work gives; `otherwise` where it fails, or where some has failed before."""
        if self.has_failed:
            return otherwise
        try:
            return work()
        except Exception as error:
            if ranks.num_ranks() > 1:
                raise
            self.has_failed = True
            self._hooks.give_up()
            text = (
                f"runtime_guard no longer watches this training, which goes on without it: {type(error).__name__}: "
                f"{error}, at {_place_of(error)}. Unless memory ran out, that is a mistake of the guard's; please "
                "report it with this line."
            )
            warnings.warn(text, GuardWarning, stacklevel=3)
            return otherwise

    # GateKeeper

    def before_update(self, gate: Gate) -> bool:
        return self.run(lambda: self._hooks.before_update(gate), False)

    def before_evaluations(self, gate: Gate) -> None:
        self.run(lambda: self._hooks.before_evaluations(gate), None)

    def after_update(self, gate: Gate) -> None:
        self.run(lambda: self._hooks.after_update(gate), None)
        if not self.has_failed:
            self._hooks.updated(gate)

    # taps.Listener

    def parameters(self) -> Iterable[Tensor]:
        return self._hooks.parameters()

    def backward_from(self, roots: Sequence[Tensor]) -> None:
        self.run(lambda: self._hooks.backward_from(roots), None)

    def after_backward(self) -> None:
        self.run(self._hooks.after_backward, None)

    def scaled(self, loss: Tensor, scaled: Tensor, scaler: GradScaler) -> None:
        self.run(lambda: self._hooks.scaled(loss, scaled, scaler), None)

    def scaler_steps(self, scaler: GradScaler, optimizer: Optimizer) -> None:
        self.run(lambda: self._hooks.scaler_steps(scaler, optimizer), None)

    def scaler_stepped(self) -> None:
        # Raises what the user is to hear.
        if not self.has_failed:
            self._hooks.scaler_stepped()


def _place_of(error: Exception) -> str:
    """The line of the guard's that is nearest to the error."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _PACKAGE in Path(frame.filename).parents]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"
