"""Stands before an optimizer's update, and can keep it from happening."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer


class GateKeeper(Protocol):
    """Decides at a gate."""

    def before_update(self, gate: Gate) -> bool:
        """Looks at gradients and losses; True withholds the update."""

    def before_evaluations(self, gate: Gate) -> None:
        """The optimizer was given a closure, and will call it once or more."""

    def after_update(self, gate: Gate) -> None:
        """The update was made, or withheld."""


class Gate:
    """Hooks before and after the steps of one optimizer.

    An update is withheld by taking the gradients away for the duration of the step: optimizers pass over parameters
    without one, touch neither them nor their own state, and whatever they return they return. The gradients are back
    when the step returns. Under torch.compile the hooks do nothing, so that they break no graph.
    """

    def __init__(self, optimizer: Optimizer, name: str, keeper: GateKeeper) -> None:
        self.optimizer = optimizer
        self.name = name
        self.num_evaluations = 0
        """How often the closure of the current step has been called."""
        self._keeper = keeper
        self._withheld: list[tuple[Tensor, Tensor]] = []
        self.is_withheld = False
        self._handles = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
        ]

    @property
    def parameters(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def close(self) -> None:
        """Takes the hooks off."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return None
        self.is_withheld, self.num_evaluations = False, 0
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._ask()
            return None
        self._keeper.before_evaluations(self)
        guarded = self._guarded(closure)
        if len(args) > 1:
            return (args[0], guarded, *args[2:]), kwargs
        return args, {**kwargs, "closure": guarded}

    def _guarded(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        """The user's closure, looked at after each call. Once withheld, an optimizer that calls again gets nothing."""

        def guarded() -> Any:
            self._give_back()
            loss = closure()
            self.num_evaluations += 1
            self._ask()
            return loss

        return guarded

    def _ask(self) -> None:
        if self.is_withheld or self._keeper.before_update(self):
            self.is_withheld = True
            self._withheld = [(p, p.grad) for p in self.parameters if p.grad is not None]
            for parameter, _ in self._withheld:
                parameter.grad = None

    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if torch.compiler.is_compiling():
            return
        self._give_back()
        self._keeper.after_update(self)

    def _give_back(self) -> None:
        for parameter, gradient in self._withheld:
            parameter.grad = gradient
        self._withheld = []
