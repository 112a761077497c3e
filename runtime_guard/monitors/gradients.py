"""How large the gradients are, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from runtime_guard.device.binning import binned
from runtime_guard.device.finiteness import norms, values_of
from runtime_guard.monitor import Moment, Monitor
from runtime_guard.reading import Binned, Reading


class Gradients(Monitor):
    """Gradients as `backward` left them: before clipping, and without a loss scale.

    Norms that shrink by a factor per layer towards the input vanish, norms that grow from update to update explode, and
    a layer whose gradients are all 0 does not learn. With gradient accumulation they are those after the update's last
    `backward`, summed over its micro-batches.

    Writes:
        `gradients/norm`: L2 norm over all parameters of the optimizer.
        `gradients/norm_after_clipping`: the same as the optimizer finds them, every `norms_every` updates.
        `gradients/norm_after_clipping/*`: of this optimizer, where there are several.
        `gradients/norm/*`: L2 norm of this parameter's gradient, every `norms_every` updates.
        `gradients/min/*`: smallest finite number in it, every `every` updates.
        `gradients/mean/*`: mean of its finite numbers, every `every` updates.
        `gradients/max/*`: largest finite number in it, every `every` updates.
        `gradients/zeros/*`: fraction of its finite numbers that are 0, every `every` updates.
        `gradients/histogram/*`: how its finite numbers spread, every `every` updates.

    When: the norm over all each update, those of parameters every `norms_every`, the rest every `every` updates.
    Cost: a pass over all gradients per `backward`, and about ten more per `backward` of an update that is due.

    Args:
        every: Updates from one histogram to the next, at least 1.
        norms_every: Updates from one look at each parameter's norm to the next, at least 1.
    """

    charts: ClassVar = {"Gradient norm": (r"gradients/norm(/[^./]+)?$",)}

    def __init__(self, every: int = 100, norms_every: int = 10) -> None:
        for name, value in (("every", every), ("norms_every", norms_every)):
            if value < 1:
                raise ValueError(f"{name} is {value}, expected 1 or more updates")
        self.every = every
        self.norms_every = norms_every
        self._norms: dict[int, Tensor] = {}
        self._bins: dict[int, Tensor] = {}

    def after_backward(self, step: int, parameters: Sequence[Tensor], scale: Tensor | None) -> None:
        """Looks at all gradients."""
        pairs = [
            (id(p), values)
            for p in parameters
            if p.grad is not None and (values := values_of(p.grad)) is not None and values.numel()
        ]
        if not pairs:
            return
        found = norms([values for _, values in pairs]).double()
        factor = None if scale is None else scale.double().reciprocal()
        if factor is not None:
            found = found * factor.to(found.device, non_blocking=True)
        self._norms.update(zip((key for key, _ in pairs), found, strict=True))
        self._bins.clear()
        if step % self.every == 0:
            for key, values in pairs:
                unscaled = values.float() if factor is None else values.float() * factor.float().to(values.device)
                self._bins[key] = binned(unscaled)

    def read(self, moment: Moment) -> Iterator[Reading]:
        """What `after_backward` saw of this optimizer's parameters."""
        keys = [id(p) for group in moment.optimizer.param_groups for p in group["params"]]
        found = {key: self._norms.pop(key) for key in keys if key in self._norms}
        if not found:
            return
        yield Reading(f"gradients/norm{moment.suffix}", torch.linalg.vector_norm(torch.stack(list(found.values()))))
        are_norms_due = moment.step % self.norms_every == 0
        if are_norms_due:
            yield from _after_clipping(moment)
        for key, norm in found.items():
            if are_norms_due:
                yield Reading(f"gradients/norm/{moment.names[key]}", norm)
            if key in self._bins:
                yield Reading(f"gradients/*/{moment.names[key]}", Binned(self._bins.pop(key)))


def _after_clipping(moment: Moment) -> Iterator[Reading]:
    gradients = [p.grad for group in moment.optimizer.param_groups for p in group["params"] if p.grad is not None]
    values = [part for gradient in gradients if (part := values_of(gradient)) is not None and part.numel()]
    if values:
        yield Reading(f"gradients/norm_after_clipping{moment.suffix}", torch.linalg.vector_norm(norms(values).double()))
