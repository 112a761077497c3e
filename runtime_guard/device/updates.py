"""How far an update moves each parameter, from a sample of its elements."""

from __future__ import annotations

import torch
from torch import Tensor

from runtime_guard.device.finiteness import values_of

_MAX_NUMEL = 1024
"""Elements of each parameter that are copied, so that the copy is small whatever the model's size."""
_MAX_PARAMETERS = 512


class UpdateSample:
    """Made before an update; `ratios` afterwards. Never waits for a device."""

    def __init__(self, parameters: list[Tensor]) -> None:
        """Of up to 512 weights (two dimensions or more) that have a gradient, on the first one's device."""
        chosen = [p for p in parameters if p.dim() > 1 and p.grad is not None and not p.grad.is_sparse]
        chosen = [p for p in chosen if p.device == chosen[0].device]
        self.parameters = chosen[:: -(-len(chosen) // _MAX_PARAMETERS) or 1]
        self._slices = [part for p in self.parameters if (part := _slice(p)) is not None]
        if len(self._slices) < len(self.parameters):
            self.parameters, self._slices = [], []
        self._before = self._now()

    def ratios(self) -> Tensor:
        """Norm of each parameter's change over its norm before: (len(parameters),), on their device."""
        if not self._slices:
            return torch.zeros(0)
        sizes = [len(part) for part in self._slices]
        with torch.no_grad():
            moved = torch._foreach_norm(list(torch.split(self._now() - self._before, sizes)))
            norms = torch._foreach_norm(list(torch.split(self._before, sizes)))
            return torch.stack(list(moved)) / torch.stack(list(norms)).clamp(min=1e-30)

    def _now(self) -> Tensor:
        with torch.no_grad():
            return torch.cat([part.float() for part in self._slices]) if self._slices else torch.zeros(0)


def _slice(parameter: Tensor) -> Tensor | None:
    """The first elements, as a view of the parameter; None where there is no such view."""
    values = values_of(parameter)
    if values is None or values.numel() == 0 or values.dtype is not parameter.dtype:
        return None
    extent = sum((size - 1) * stride for size, stride in zip(values.shape, values.stride(), strict=True)) + 1
    # Dense memory is read in its own order, whatever the order of the dimensions.
    return values.as_strided((min(extent, _MAX_NUMEL),), (1,)) if extent == values.numel() else None
