"""Batches and random states as JSON and tensors, so that no pickle is needed to read them."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from runtime_guard.state import RngState


class NotStorableError(Exception):
    """A part of a batch that is neither a tensor, an array, a number, a string nor a plain container of these."""


class Packer:
    """Takes tensors out of nested data, and leaves JSON with their keys."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def pack(self, value: Any, path: str) -> Any:
        """The value as JSON. Raises `NotStorableError` with the path of what cannot be stored."""
        if isinstance(value, Tensor):
            if value.layout is not torch.strided or value.is_quantized:
                raise NotStorableError(f"{path} is a tensor of layout {value.layout}")
            if not is_storable(value):
                raise NotStorableError(f"{path} is a tensor of {value.dtype}")
            return {"tensor": self.add(path, value), "requires_grad": value.requires_grad}
        if value is None or isinstance(value, (bool, int, float, str)):
            return {"value": value}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            items = [self.pack(getattr(value, name), f"{path}.{name}") for name in value._fields]
            return {"named": f"{type(value).__module__}:{type(value).__qualname__}", "items": items}
        if isinstance(value, (list, tuple)):
            items = [self.pack(item, f"{path}[{index}]") for index, item in enumerate(value)]
            return {type(value).__name__ if type(value) in (list, tuple) else "list": items}
        if isinstance(value, Mapping):
            return {
                "dict": [[self.pack(key, path), self.pack(item, f"{path}[{key!r}]")] for key, item in value.items()]
            }
        if type(value).__module__ == "numpy" and hasattr(value, "dtype") and value.dtype.kind in "biuf":
            return {"array": self.add(path, torch.as_tensor(value))}
        raise NotStorableError(f"{path} is a {type(value).__module__}.{type(value).__qualname__}")

    def add(self, key: str, tensor: Tensor) -> str:
        """Keeps a copy on the CPU that shares no memory with other tensors."""
        self.tensors[key] = tensor.detach().to("cpu", copy=True).contiguous()
        return key


def is_storable(tensor: Tensor) -> bool:
    """Whether safetensors knows the dtype."""
    return _is_storable(tensor.dtype)


@functools.cache
def _is_storable(dtype: torch.dtype) -> bool:
    try:
        save({"": torch.empty(0, dtype=dtype)})
    except (KeyError, ValueError, SafetensorError):
        return False
    return True


def unpack(data: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `Packer.pack`.

    Raises KeyError where a tensor is missing; ImportError, AttributeError or TypeError where a named tuple is not one.
    """
    (kind, value), *rest = data.items()
    match kind:
        case "tensor":
            return tensors[value].requires_grad_(bool(dict(rest).get("requires_grad")))
        case "value":
            return value
        case "array":
            return tensors[value].numpy()
        case "dict":
            return {unpack(key, tensors): unpack(item, tensors) for key, item in value}
        case "tuple":
            return tuple(unpack(item, tensors) for item in value)
        case "list":
            return [unpack(item, tensors) for item in value]
        case _:
            module, _, name = value.partition(":")
            made: Any = getattr(importlib.import_module(module), name)
            # Else a bundle could call anything.
            if not (isinstance(made, type) and issubclass(made, tuple) and hasattr(made, "_fields")):
                raise TypeError(f"{value} is no named tuple")
            return made(*(unpack(item, tensors) for item in data["items"]))


def pack_rng(state: RngState, packer: Packer, path: str) -> dict[str, Any]:
    """A random state; Python's and numpy's are lists of numbers."""
    packer.add(f"{path}.torch", state.torch)
    for index, cuda in enumerate(state.cuda):
        packer.add(f"{path}.cuda{index}", cuda)
    version, numbers, gauss = state.python
    numpy = None
    if state.numpy is not None:
        kind, keys, position, has_gauss, cached = state.numpy
        numpy = [kind, [int(key) for key in keys], int(position), int(has_gauss), float(cached)]
    return {"python": [version, list(numbers), gauss], "numpy": numpy, "num_cuda": len(state.cuda)}


def unpack_rng(data: Mapping[str, Any], tensors: Mapping[str, Tensor], path: str) -> RngState:
    """The inverse of `pack_rng`. Devices that this machine has not are left out."""
    state = RngState()
    version, numbers, gauss = data["python"]
    state.python = (version, tuple(numbers), gauss)
    state.torch = tensors[f"{path}.torch"]
    if data["numpy"] is not None and state.numpy is not None:
        import numpy as np

        kind, keys, position, has_gauss, cached = data["numpy"]
        state.numpy = (kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached)
    count = min(data["num_cuda"], len(state.cuda))
    state.cuda = [tensors[f"{path}.cuda{index}"] for index in range(count)]
    return state
