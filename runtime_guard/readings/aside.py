"""Runs a model beside its training, and leaves everything as if it had not been run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from runtime_guard.device.activations import is_anything_compiled
from runtime_guard.state import RngState


@contextlib.contextmanager
def aside(model: nn.Module) -> Iterator[None]:
    """In evaluation mode, with gradients recorded, uncompiled and without autocast, for as long as the context lasts.

    Modes, buffers, attributes of modules and random number generators are put back; `.grad` is the caller's to leave
    alone (`torch.autograd.grad` does). What hooks of the user's do outside of the model stays done.
    """
    modules = list(model.modules())
    attributes = [(vars(module), dict(vars(module))) for module in modules]
    buffers = [(module._buffers, dict(module._buffers)) for module in modules]
    tensors = {id(b): b for _, held in buffers for b in held.values() if b is not None}
    copies = [(buffer, buffer.detach().clone()) for buffer in tensors.values()]
    rng = RngState()
    try:
        model.eval()
        with torch.inference_mode(False), torch.enable_grad(), contextlib.ExitStack() as stack:
            for kind in ("cpu", "cuda"):
                if torch.is_autocast_enabled(kind):
                    stack.enter_context(torch.autocast(kind, enabled=False))
            if is_anything_compiled():
                # Compiling for another mode takes minutes.
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        for now, before in (*attributes, *buffers):
            for name in now.keys() - before.keys():
                del now[name]
            # Not those that are the same: a module's own dicts are written to by nobody else.
            now.update({name: value for name, value in before.items() if now.get(name) is not value})
        with torch.no_grad():
            for buffer, copied in copies:
                if not torch.equal(buffer, copied):
                    buffer.copy_(copied)
        rng.restore()
