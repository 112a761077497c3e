"""What a computation would do if none of its numbers were inf or nan."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from typing_extensions import Self

from runtime_guard.device.finiteness import Level, has_only_negative_infinity, level_of, values_of


class MadeFinite(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, every operation that gives inf or nan gives large numbers or 0 instead; a mask of -inf stays.

    The tensors that it is given are finite within it, and what they were afterwards. Synchronises at each operation.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._given = tensors
        self._before: list[tuple[Tensor, Tensor]] = []

    def __enter__(self) -> Self:
        bad = [tensor for tensor in self._given if _is_bad(tensor)]
        self._before = [(tensor, tensor.detach().clone()) for tensor in bad]
        for tensor in bad:
            _make_finite(tensor)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)  # type: ignore[no-untyped-call]
        for tensor, before in self._before:
            tensor.data.copy_(before)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "is_view", False):
            return result  # It shares its memory with something that may be the script's own.
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and _is_bad(leaf):
                _make_finite(leaf)
        return result


def _is_bad(tensor: Tensor) -> bool:
    return level_of(tensor) is not Level.FINITE and not has_only_negative_infinity(tensor)


def _make_finite(tensor: Tensor) -> None:
    values = values_of(tensor)
    if values is not None:
        # Past autograd and the counting of versions: nothing was computed.
        torch.nan_to_num_(values.data)
