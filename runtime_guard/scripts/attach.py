"""Guards scripts that know nothing of the guard: it finds optimizers and data loaders as the script makes them."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from runtime_guard.guard import Guard
from runtime_guard.incidents import reenact
from runtime_guard.loops.loop import turns
from runtime_guard.loops.unlooped import Unlooped
from runtime_guard.loops.watcher import Watcher
from runtime_guard.scripts.script import Script
from runtime_guard.settings import Settings


def run_attached(script: Script, *, logdir: Path | None = None, settings: Settings | None = None) -> Guard:
    """Runs a script under a guard of its own making. A Guard that the script makes itself takes its place."""
    guard = Guard(logdir=logdir, settings=settings)
    with _attached(guard), script.running():
        try:
            script.run()
        except BaseException as error:
            guard.ended_by(error)
            incident = guard.explain(error)
            if incident is not None:
                raise incident from error
            raise
        finally:
            if guard.watcher is not None:
                guard.watcher.end_loop()
            guard.close()
    return guard


@contextmanager
def _attached(guard: Guard) -> Iterator[None]:
    watcher = guard.watcher
    if watcher is None:
        yield
        return
    attachment = _Attachment(guard, watcher)
    init, iterate, guard_init = Optimizer.__init__, DataLoader.__iter__, Guard.__init__
    Optimizer.__init__ = attachment.wrap_optimizer(init)  # type: ignore[method-assign]
    DataLoader.__iter__ = attachment.wrap_loader(iterate)  # type: ignore[method-assign]
    Guard.__init__ = attachment.wrap_guard(guard_init)  # type: ignore[method-assign]
    try:
        yield
    finally:
        attachment.stand_down()
        Optimizer.__init__ = init  # type: ignore[method-assign]
        DataLoader.__iter__ = iterate  # type: ignore[method-assign]
        Guard.__init__ = guard_init  # type: ignore[method-assign]


class _Attachment:
    def __init__(self, guard: Guard, watcher: Watcher) -> None:
        self._guard = guard
        self._watcher = watcher
        self._is_in_loop = False
        self._stands_down = False
        self._num_known = 0
        self._unlooped = Unlooped(watcher, guard, self._find_models)

    def wrap_guard(self, init: Callable[..., None]) -> Callable[..., None]:
        def wrapped(guard: Guard, *args: Any, **kwargs: Any) -> None:
            self.stand_down()
            init(guard, *args, **kwargs)

        return wrapped

    def stand_down(self) -> None:
        """For good; also for a loop of the script that is still to be left."""
        self._stands_down = True
        self._unlooped.pause()
        self._watcher.detach()

    def wrap_optimizer(self, init: Callable[..., None]) -> Callable[..., None]:
        def wrapped(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            init(optimizer, *args, **kwargs)
            known = self._watcher.tracked.named_optimizers
            if not self._stands_down and all(optimizer is not other for other in known.values()):
                name = type(optimizer).__name__
                self._watcher.add_optimizer(name if name not in known else f"{name}{len(known)}", optimizer)
                if not self._is_in_loop and reenact.bundle_for(self._guard.number) is None:
                    self._unlooped.begin()

        return wrapped

    def wrap_loader(self, iterate: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(loader: Any) -> Any:
            # A loop within a loop is a validation in the midst of an epoch.
            if self._stands_down or self._is_in_loop or not self._watcher.tracked.named_optimizers:
                return iterate(loader)
            return self._watcher.hands_out(self._turns(lambda: iterate(loader)))

        return wrapped

    def _turns(self, make: Callable[[], Any]) -> Generator[Any, None, None]:
        self._is_in_loop = True
        self._unlooped.pause()
        step = self._watcher.step
        try:
            self._find_models()
            bundle = reenact.bundle_for(self._guard.number)
            if bundle is not None:
                yield from reenact.turns(bundle, self._watcher)
            else:
                yield from turns(make(), self._watcher, self._guard)
        finally:
            self._is_in_loop = False
            # A loop without updates was a validation.
            self._watcher.epoch += self._watcher.step > step
            if not self._stands_down:
                self._unlooped.begin()

    def _find_models(self) -> None:
        """Modules that hold parameters of the optimizers, and that are not held by others."""
        tracked = self._watcher.tracked
        if len(tracked.named_optimizers) == self._num_known:
            return
        self._num_known = len(tracked.named_optimizers)
        parameters = {id(p) for o in tracked.optimizers for group in o.param_groups for p in group["params"]}
        # `isinstance` would ask the objects for their `__class__`, which wakes lazy ones and warns for deprecated ones.
        modules = [item for item in gc.get_objects() if issubclass(type(item), nn.Module)]
        held = {id(child) for module in modules for child in module.children()}
        roots = [
            module
            for module in modules
            if id(module) not in held and any(id(p) in parameters for p in module.parameters())
        ]
        tracked.models.clear()
        for root in roots:
            name = type(root).__name__ if len(roots) > 1 else ""
            tracked.models[name if name not in tracked.models else f"{name}{len(tracked.models)}"] = root
        tracked.look_again()
