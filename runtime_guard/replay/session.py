"""One replay: everything that has to be switched on around the user's loop body, and off again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer
from torch.utils._pytree import keystr, tree_flatten_with_path
from typing_extensions import Self

from runtime_guard.device.finiteness import bad_samples
from runtime_guard.replay.births import BirthWatch
from runtime_guard.replay.events import Event
from runtime_guard.replay.places import ModuleStack
from runtime_guard.sentinel import taps
from runtime_guard.state import Tracked


@dataclass(frozen=True, slots=True)
class Target:
    """A loss, a gradient or what an error was raised about, found to be bad by the replay, and what made it so."""

    what: str
    name: str
    event: Event
    micro_batch: int


class ReplayedError(BaseException):
    """Leaves a loop body that is run again, where it has come to the update; no `except Exception` stops it."""


class ReplaySession:
    """A context manager around the second run of the loop body.

    Compiled regions run eagerly in it, modules and operations are watched, and every loss and gradient is looked at
    as it comes. It changes no number: what the body computes is what it computed before.
    """

    def __init__(self, tracked: Tracked) -> None:
        self._tracked = tracked
        self._names = tracked.names()
        self.modules = ModuleStack(tracked.models)
        self.births = BirthWatch(self.modules)
        self.losses: list[Target] = []
        self.gradients: list[Target] = []
        self.suspects: list[Target] = []
        """What was at hand where an error was raised."""
        self.stops_at: str | None = None
        """The optimizer at whose update the body is left; None to run it to its end."""
        self.loss_values: list[list[Tensor]] = []
        self.is_any_loss_seen = False
        self._scaled: list[Tensor] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        for parameter in self._tracked.parameters:
            self.births.add_source("parameter", self._names.get(id(parameter), ("a parameter",)), parameter)
        for buffer in self._tracked.buffers:
            self.births.add_source("buffer", self._names.get(id(buffer), ("a buffer",)), buffer)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_forced_eager())
            stack.enter_context(self.modules)
            for parameter in self._tracked.parameters:
                if parameter.requires_grad and parameter.is_leaf:
                    handle = parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                        self._accumulated
                    )
                    stack.callback(handle.remove)
            taps.listen(self)
            stack.callback(taps.unlisten, self)
            stack.enter_context(self.births)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._scaled.clear()
        self._stack.close()

    def begin_micro_batch(self, number: int, batch: object) -> None:
        """Tells that the body is about to run with this batch."""
        self.births.micro_batch = number
        self.loss_values.append([])
        with self.births.paused():
            for name, tensor in batch_tensors(batch):
                self.births.add_source("input", (name,), tensor)

    def name_variables(self, frame: FrameType) -> None:
        """Tells of what a script that hands out no batches holds, and nothing learns.

        The largest comes first: what a slice was taken from counts.
        """
        learnt = {id(parameter) for parameter in self._tracked.parameters}
        found = {**frame.f_globals, **frame.f_locals}.items()
        tensors = [(n, t) for n, t in found if isinstance(t, Tensor) and t.is_leaf and id(t) not in learnt]
        with self.births.paused():
            for name, tensor in sorted(tensors, key=lambda pair: pair[1].numel()):
                self.births.add_source("input", (name,), tensor)
            for name, value in found:
                if type(value).__module__ == "numpy" and hasattr(value, "ndim"):
                    self.births.add_array(name, value)

    def before_update(self, parameters: Sequence[tuple[str, Tensor]]) -> None:
        """Tells that an optimizer is about to step with the gradients that these named parameters have now."""
        for name, parameter in parameters:
            if parameter.grad is not None:
                self._look_at_gradient(name, parameter.grad)

    def note_loss(self, loss: Tensor, name: str = "loss") -> None:
        self.is_any_loss_seen = True
        if self.loss_values:
            with self.births.paused():
                self.loss_values[-1].append(loss.detach().clone())
        event = self.births.event_of(loss)
        if event is not None:
            self.losses.append(Target("loss", name, event, self.births.micro_batch))

    def parameters(self) -> Iterable[Tensor]:
        """As `taps.Listener`."""
        return self._tracked.parameters

    def backward_from(self, roots: Sequence[Tensor]) -> None:
        for root in roots:
            if not any(root is scaled for scaled in self._scaled):
                self.note_loss(root)

    def after_backward(self) -> None:
        pass

    def scaled(self, loss: Tensor, scaled: Tensor, scaler: GradScaler) -> None:
        self._scaled.append(scaled)
        self.note_loss(loss)

    def scaler_steps(self, scaler: GradScaler, optimizer: Optimizer) -> None:
        """Gradients were looked at as they came."""
        if self.stops_at is not None and self._tracked.named_optimizers.get(self.stops_at) is optimizer:
            raise ReplayedError

    def scaler_stepped(self) -> None:
        """Nothing to do."""

    def _accumulated(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            self._look_at_gradient(" = ".join(self._names.get(id(parameter), ("a parameter",))), parameter.grad)

    def _look_at_gradient(self, name: str, gradient: Tensor) -> None:
        event = self.births.event_of(gradient)
        if event is not None:
            self.gradients.append(Target("gradients", f"gradient of {name}", event, self.births.micro_batch))


def batch_tensors(batch: object) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a batch with their names, e.g. `batch['image']`; those of objects that look like mappings too."""
    if isinstance(batch, Mapping) and type(batch) is not dict:
        batch = dict(batch)
    leaves, _ = tree_flatten_with_path(batch)
    for path, leaf in leaves:
        if isinstance(leaf, Tensor):
            yield f"batch{keystr(path)}", leaf
        elif leaf is not batch and hasattr(leaf, "__dict__"):
            for name, value in vars(leaf).items():
                if isinstance(value, Tensor):
                    yield f"batch{keystr(path)}.{name}", value
        elif hasattr(leaf, "__dict__"):
            for name, value in vars(leaf).items():
                yield from ((f"batch.{name}", value) for _ in (0,) if isinstance(value, Tensor))


def versions_of(batch: object) -> tuple[int, ...]:
    """How often each tensor of the batch has been written to."""
    parts = batch if type(batch) in (tuple, list) else (batch,)
    assert isinstance(parts, (tuple, list))
    if all(isinstance(part, Tensor) for part in parts):  # Most batches; this is asked for in each step.
        return tuple(tensor._version for tensor in parts if not tensor.is_inference())
    return tuple(tensor._version for _, tensor in batch_tensors(batch) if not tensor.is_inference())


def samples_of(event: Event, batch: object) -> tuple[int, ...]:
    """Which samples of the batch are bad, for an event that is an input of the step."""
    for name, tensor in batch_tensors(batch):
        if event.kind == "input" and name in event.names:
            return bad_samples(tensor)
    return ()


def _forced_eager() -> Any:
    """Compiled functions run as they were written. Older torch does without: a dispatch mode turns compiling off."""
    stance = getattr(torch.compiler, "set_stance", None)
    return contextlib.nullcontext() if stance is None else stance("force_eager")
