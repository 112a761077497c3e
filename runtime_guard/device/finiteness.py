"""Whether tensors are finite, and what they hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import IntEnum

import torch
from torch import Tensor

from runtime_guard.incidents.incident import TensorSummary


class Level(IntEnum):
    """How far from finite a tensor is; what rises from input to output was born in between."""

    FINITE = 0
    INF = 1
    NAN = 2

    def __str__(self) -> str:
        return self.name.lower()


def values_of(tensor: Tensor) -> Tensor | None:
    """The plain floating-point values of this process's part of a tensor, without a copy where there is a way.

    None for what cannot be infinite (integers), and for tensors without values (meta, fake).
    """
    local = getattr(tensor, "_local_tensor", None)
    if isinstance(local, Tensor):  # A DTensor; comparing it as a whole would communicate.
        tensor = local
    tensor = tensor.detach()
    if tensor.layout is not torch.strided:
        if tensor.layout is torch.sparse_coo:
            tensor = tensor._values()
        elif tensor.layout in (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc):
            tensor = tensor.values()
        else:
            return None
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    if not tensor.is_floating_point() or tensor.device.type == "meta":
        return None
    return tensor.float() if tensor.element_size() == 1 else tensor


def norms(tensors: Sequence[Tensor], *, dtype: torch.dtype = torch.float32) -> Tensor:
    """The L2 norm of each tensor, as one vector on the device of the first: (len(tensors),), float32 or float64.

    Half tensors are summed in float32, because their own norms overflow. Does not synchronise. In float32 the norm of
    finite numbers beyond 1e19 is infinite all the same, so an infinite norm is a suspicion, not a proof; summed in
    float64, which costs more, it is a proof for all that is not float64 itself.
    """
    return torch.stack(norms_apart(tensors, dtype=dtype))


def norms_apart(tensors: Sequence[Tensor], *, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """The same as scalars, `()` each."""
    # Asking for a type that they have already takes longer.
    asked = None if all(t.dtype is dtype for t in tensors) else dtype
    try:
        return list(torch._foreach_norm(list(tensors), 2.0, dtype=asked))
    except RuntimeError:  # A float64 tensor is among them, or several devices are.
        return [
            torch.linalg.vector_norm(t, dtype=torch.float32 if t.element_size() < 4 else None).to(
                tensors[0].device, torch.float64, non_blocking=True
            )
            for t in tensors
        ]


def level_of(tensor: Tensor) -> Level:
    """Synchronises."""
    values = values_of(tensor)
    if values is None or values.numel() == 0:
        return Level.FINITE
    if math.isfinite(norms([values]).tolist()[0]):
        return Level.FINITE
    if bool(values.isnan().any()):
        return Level.NAN
    return Level.INF if bool(values.isinf().any()) else Level.FINITE


def has_only_negative_infinity(tensor: Tensor) -> bool:
    """Whether nothing but -inf makes the tensor not finite, as in a mask that is added to scores. Synchronises."""
    values = values_of(tensor)
    return values is not None and not bool((values.isnan() | (values == math.inf)).any())


def first_bad_index(tensor: Tensor) -> tuple[int, ...] | None:
    """Index of the first element that is not finite, in row-major order. Synchronises."""
    values = values_of(tensor)
    if values is None or values.numel() == 0:
        return None
    bad = ~values.isfinite()
    flat = int(bad.flatten().to(torch.uint8).argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), values.shape))
    if not bool(bad.flatten()[flat]):
        return None
    return index[:-1] if tensor.is_complex() else index


def bad_samples(tensor: Tensor, limit: int = 16) -> tuple[int, ...]:
    """Indices along the first dimension that hold a number that is not finite. Synchronises."""
    values = values_of(tensor)
    if values is None or values.dim() == 0 or values.numel() == 0:
        return ()
    bad = (~values.isfinite()).flatten(1).any(1) if values.dim() > 1 else ~values.isfinite()
    return tuple(int(i) for i in bad.nonzero().flatten()[:limit])


def summarize(tensor: Tensor, role: str, *, at: tuple[int, ...] | None = None) -> TensorSummary:
    """What the tensor holds, with the value at index `at` where its shape has that index. Synchronises."""
    values = values_of(tensor)
    small = large = value = None
    num_nan = num_inf = num_zero = 0
    if values is None and tensor.layout is torch.strided and tensor.device.type != "meta":
        values = tensor.detach().to(torch.float64) if tensor.numel() else None
    if values is not None and values.numel():
        finite = values[values.isfinite()]
        if finite.numel():
            small, large = (float(limit) for limit in finite.aminmax())
        num_nan, num_inf = int(values.isnan().sum()), int(values.isinf().sum())
        num_zero = int((values == 0).sum())
        if at is not None and values.dim() == len(at) and _can_index(values.shape, at):
            value = float(values[tuple(i if n > 1 else 0 for i, n in zip(at, values.shape, strict=True))])
    return TensorSummary(
        role=role,
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=str(tensor.device),
        min=small,
        max=large,
        num_nan=num_nan,
        num_inf=num_inf,
        num_zero=num_zero,
        first_bad=first_bad_index(tensor) if num_nan or num_inf else None,
        value_at_bad=value,
    )


def _can_index(shape: torch.Size, at: tuple[int, ...]) -> bool:
    """Whether `at` is within the shape, where a dimension of 1 takes any index as broadcasting does."""
    return all(n == 1 or i < n for i, n in zip(at, shape, strict=True))
