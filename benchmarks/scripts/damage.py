"""Puts one fault into what a script trains on, without a change to the script."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from torch.utils.data._utils.fetch import _MapDatasetFetcher

FAULTY_BATCH = 3
_TOKEN = 5


def in_a_batch() -> None:
    """One NaN in the third batch of the first DataLoader's dataset."""
    fetch: Callable[[Any, Any], Any] = _MapDatasetFetcher.fetch
    init: Callable[..., None] = DataLoader.__init__
    count = 0
    training: list[Any] = []

    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if not training:
            training.append(self.dataset)

    def spoiling(self: Any, indices: Any) -> Any:
        nonlocal count
        batch = fetch(self, indices)
        if training and self.dataset is training[0]:
            count += 1
            if count == FAULTY_BATCH:
                _first_floating(batch).view(-1)[0] = torch.nan
        return batch

    DataLoader.__init__ = remember  # type: ignore[method-assign]
    _MapDatasetFetcher.fetch = spoiling  # type: ignore[method-assign]


def in_a_tensor() -> None:
    """One NaN in the features, or in the largest floating-point tensor or array, when the optimizer is made."""

    def spoil(frame: FrameType) -> None:
        found = list(_data(frame))
        named = [item for name, item in found if name == "features"]
        _spoil(named[0] if named else max((item for _, item in found), key=lambda item: item.size))

    _when_an_optimizer_is_made(spoil)


def in_an_embedding() -> None:
    """NaN in the vector of one word, when the script makes its optimizer."""

    def spoil(_frame: FrameType) -> None:
        tables = [item for item in gc.get_objects() if isinstance(item, nn.Embedding)]
        with torch.no_grad():
            max(tables, key=lambda table: table.num_embeddings).weight[_TOKEN, 0] = torch.nan

    _when_an_optimizer_is_made(spoil)


DAMAGES = {"batch": in_a_batch, "tensor": in_a_tensor, "embedding": in_an_embedding}


def _when_an_optimizer_is_made(do: Callable[[FrameType], None]) -> None:
    init = Optimizer.__init__
    is_done = False

    def wrapped(self: Optimizer, *args: Any, **kwargs: Any) -> None:
        nonlocal is_done
        if not is_done:
            is_done = True
            do(sys._getframe(1))
        init(self, *args, **kwargs)

    Optimizer.__init__ = wrapped  # type: ignore[method-assign]


def _data(frame: FrameType | None) -> Iterator[tuple[str, np.ndarray]]:
    """Names and numbers of tensors and arrays that the script's functions hold, and that nothing learns."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "__main__":
            for name, value in list(frame.f_locals.items()):
                if isinstance(value, Tensor) and value.is_floating_point() and not value.requires_grad:
                    yield name, (value._values() if value.is_sparse else value).numpy()
                elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
                    yield name, value
        frame = frame.f_back


def _spoil(numbers: np.ndarray) -> None:
    numbers[(numbers.shape[0] // 2, *(0,) * (numbers.ndim - 1))] = np.nan


def _first_floating(batch: Any) -> Tensor:
    items = batch.values() if isinstance(batch, dict) else [batch] if isinstance(batch, Tensor) else batch
    return next(item for item in items if isinstance(item, Tensor) and item.is_floating_point())
