"""Sees what passes through `backward` and a GradScaler, without a word in the user's code.

Three functions of torch are wrapped while at least one listener is there, and put back afterwards:
`torch.autograd.backward`, which `Tensor.backward` calls, and `GradScaler.scale` and `.step`. The wrappers hand on
arguments and results untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer


class Listener(Protocol):
    """Told of what passes through. Nothing of it may synchronise or raise."""

    def parameters(self) -> Iterable[Tensor]:
        """What it guards. Where several listen, each hears only of losses that lead to its own parameters."""

    def backward_from(self, roots: Sequence[Tensor]) -> None:
        """`backward` was called on these; not for the inner calls that a checkpoint makes."""

    def after_backward(self) -> None:
        """It has run."""

    def scaled(self, loss: Tensor, scaled: Tensor, scaler: GradScaler) -> None:
        """A scaler multiplied a loss by its scale."""

    def scaler_steps(self, scaler: GradScaler, optimizer: Optimizer) -> None:
        """A scaler is about to step an optimizer, or to leave the step out."""

    def scaler_stepped(self) -> None:
        """It has done so."""


_listeners: list[Listener] = []
_originals: dict[str, Callable[..., Any]] = {}


def listen(listener: Listener) -> None:
    """Starts telling a listener; once more for one that is there changes nothing."""
    if any(known is listener for known in _listeners):
        return
    if not _listeners:
        _wrap()
    _listeners.append(listener)


def unlisten(listener: Listener) -> None:
    """Stops telling a listener, and takes the wrappers off when nobody listens any more."""
    _listeners[:] = [known for known in _listeners if known is not listener]
    if not _listeners:
        _unwrap()


def _wrap() -> None:
    _originals.update(backward=torch.autograd.backward, scale=GradScaler.scale, step=GradScaler.step)
    torch.autograd.backward = _backward
    GradScaler.scale = _scale  # type: ignore[method-assign]
    GradScaler.step = _step  # type: ignore[method-assign]


def _unwrap() -> None:
    # What somebody else has wrapped in the meantime stays; our wrapper in it does nothing without listeners.
    if torch.autograd.backward is _backward:
        torch.autograd.backward = _originals["backward"]
    if GradScaler.scale is _scale:
        GradScaler.scale = _originals["scale"]  # type: ignore[method-assign]
    if GradScaler.step is _step:
        GradScaler.step = _originals["step"]  # type: ignore[method-assign]


def _backward(tensors: Any, *args: Any, **kwargs: Any) -> None:
    is_told = bool(_listeners) and torch._C._current_autograd_node() is None and not torch.compiler.is_compiling()
    if is_told:
        roots = [tensors] if isinstance(tensors, Tensor) else [t for t in tensors if isinstance(t, Tensor)]
        for listener in _concerned(roots):
            listener.backward_from(roots)
    _originals["backward"](tensors, *args, **kwargs)
    if is_told:
        for listener in tuple(_listeners):
            listener.after_backward()


def _concerned(roots: Sequence[Tensor]) -> list[Listener]:
    """All, where the graph leads to nobody's parameters: a checkpoint or a sharded model hides them."""
    if len(_listeners) < 2:
        return list(_listeners)
    leaves = _leaves(roots)
    return [listener for listener in _listeners if not leaves.isdisjoint(map(id, listener.parameters()))] or list(
        _listeners
    )


def _leaves(roots: Sequence[Tensor]) -> set[int]:
    """Ids of the tensors that a backward from the roots gives gradients."""
    nodes = [root.grad_fn for root in roots if root.grad_fn is not None]
    seen = set(nodes)
    found = set()
    while nodes:
        node = nodes.pop()
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        following = {node for node, _ in node.next_functions if node is not None} - seen
        seen |= following
        nodes.extend(following)
    return found


def _scale(self: GradScaler, outputs: Any) -> Any:
    scaled = _originals["scale"](self, outputs)
    if isinstance(outputs, Tensor) and isinstance(scaled, Tensor) and scaled is not outputs:
        for listener in tuple(_listeners):
            listener.scaled(outputs, scaled, self)
    return scaled


def _step(self: GradScaler, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
    if not self.is_enabled():
        return _originals["step"](self, optimizer, *args, **kwargs)
    for listener in tuple(_listeners):
        listener.scaler_steps(self, optimizer)
    try:
        return _originals["step"](self, optimizer, *args, **kwargs)
    finally:
        for listener in tuple(_listeners):
            listener.scaler_stepped()
