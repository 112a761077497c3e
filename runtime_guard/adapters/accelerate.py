"""accelerate: the loop is the user's, so this is `Guard` itself, which knows what `prepare` returned."""

from __future__ import annotations

from typing import Any

from accelerate import Accelerator
from typing_extensions import Unpack

from runtime_guard.arguments import unwrapped
from runtime_guard.guard import Guard
from runtime_guard.hosted import Options


class AccelerateGuard(Guard):
    """Guards a loop of accelerate: `for batch in guard.watch(loader)` with the loader that `prepare` returned.

    Losses are seen as `accelerator.backward` takes them: divided by the number of accumulated steps. The
    accelerator's count of those is put back before a step runs again.

    Args:
        accelerator: Whose `prepare` made the other objects.
        model: As `prepare` returned it, or several as for `Guard`.
        optimizer: As `prepare` returned it, or several.
        scheduler: As `prepare` returned it, or several.
        options: The others of `Guard`.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: Any,
        optimizer: Any,
        *,
        scheduler: Any = (),
        **options: Unpack[Options],
    ) -> None:
        if not isinstance(accelerator, Accelerator):
            raise TypeError(f"accelerator is a {type(accelerator).__name__}, expected an Accelerator; it comes first")
        options["state"] = [*options.get("state", ()), _Accumulation(accelerator)]
        super().__init__(model, unwrapped(optimizer), scaler=accelerator.scaler, scheduler=scheduler, **options)


class _Accumulation:
    """How far the accelerator has come with accumulating gradients."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._accelerator.step, "syncs": self._accelerator.gradient_state.sync_gradients}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._accelerator.step = state_dict["step"]
        self._accelerator.gradient_state._set_sync_gradients(state_dict["syncs"])
