"""What modules put out in a step that is sampled: a few numbers of each, which stay on the device."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Self

from runtime_guard.device.finiteness import values_of
from runtime_guard.state import join_name

_MAX_NUMEL = 16384
"""Elements of one tensor that are looked at: enough for shares of units, and cheap whatever the tensor's size."""
_MAX_TENSORS = 512
_EDGE = 0.99
NUM_STATISTICS = 4

_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)
_KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "rectifier": (nn.ReLU, nn.ReLU6, nn.Threshold),
    "sigmoid": (nn.Sigmoid, nn.Hardsigmoid),
    "tanh": (nn.Tanh, nn.Hardtanh, nn.Softsign),
    "softmax": (nn.Softmax, nn.Softmin),
    "weighted": _WEIGHTED,
}


@dataclass(frozen=True, slots=True)
class Sampled:
    """A tensor that was looked at."""

    name: str
    kind: str
    """rectifier, sigmoid, tanh, softmax, weighted or other for outputs of modules; input for a weighted one's input."""
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Activation:
    """The numbers of one tensor."""

    name: str
    kind: str
    dtype: torch.dtype
    largest: float
    """Largest magnitude."""
    rms: float
    """Root of the mean square."""
    dead_share: float
    """Share of units that are 0 for every sample, of tensors without negative numbers."""
    saturated_share: float
    """Share of elements (for softmax of rows) at the flat ends of the function."""


class ActivationSample:
    """A context manager around the forward passes of one loop body. Computes on detached values, never waits.

    Leaf modules are looked at, with hooks for all modules at once, because hooks on single modules would change the
    model. Nothing is seen of compiled models, whose graphs hooks would break.
    """

    def __init__(self, names: dict[int, str]) -> None:
        """Looks at the modules of `leaf_names`."""
        self.sampled: list[Sampled] = []
        self.numbers: list[Tensor] = []
        """For each of `sampled` a vector (4,): largest, rms, dead share, saturated share."""
        self.failure: Exception | None = None
        """What kept it from looking; it looks no more then."""
        self._names = names
        self._seen: set[int] = set()
        self._handle: Any = None

    def __enter__(self) -> Self:
        if self._names:
            self._handle = nn.modules.module.register_module_forward_hook(self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _look(self, module: nn.Module, args: Any, output: Any) -> None:
        name = self._names.get(id(module))
        if name is None or len(self.sampled) >= _MAX_TENSORS or torch.compiler.is_compiling():
            return
        try:
            self._look_at(name, module, args, output)
        except Exception as failure:  # The forward pass is the user's.
            self.failure, self._names = failure, {}

    def _look_at(self, name: str, module: nn.Module, args: Any, output: Any) -> None:
        if isinstance(module, _WEIGHTED) and args and isinstance(args[0], Tensor) and id(args[0]) not in self._seen:
            self._add(f"the input of {name}", "input", args[0])
        if isinstance(output, Tensor):
            self._add(name or "the model", _kind_of(module), output)

    def _add(self, name: str, kind: str, tensor: Tensor) -> None:
        # What needs no gradient is data, which may be as sparse as it likes.
        if not tensor.requires_grad or torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            return
        self._seen.add(id(tensor))
        with torch.no_grad():
            values = values_of(tensor)
            if values is None or values.numel() == 0 or values.dim() < 2:
                return
            self.numbers.append(_statistics(values, kind))
        self.sampled.append(Sampled(name, kind, tensor.dtype))


def leaf_names(models: dict[str, nn.Module]) -> dict[int, str]:
    """From `id` of each module without children to its name; empty when something is compiled."""
    found: dict[int, str] = {}
    for prefix, model in models.items():
        for name, module in model.named_modules():
            if _is_compiled(module):
                return {}
            if next(module.children(), None) is None:
                found[id(module)] = join_name(prefix, name)
    return found


def activations_of(sampled: list[Sampled], numbers: list[float]) -> list[Activation]:
    """Names and numbers together again, once the numbers have arrived."""
    chunks = [numbers[i : i + NUM_STATISTICS] for i in range(0, len(numbers), NUM_STATISTICS)]
    return [Activation(s.name, s.kind, s.dtype, *chunk) for s, chunk in zip(sampled, chunks, strict=True)]


def is_anything_compiled() -> bool:
    """Whether torch.compile has compiled anything in this process: graphs are compiled again when hooks come and go."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return dynamo is not None and bool(dynamo.counters["stats"]["unique_graphs"])


def _is_compiled(module: nn.Module) -> bool:
    return getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod")


def _kind_of(module: nn.Module) -> str:
    return next((kind for kind, classes in _KINDS.items() if isinstance(module, classes)), "other")


def _statistics(values: Tensor, kind: str) -> Tensor:
    """Vector of four on the values' device. All of a float16 tensor is searched for its largest: it may overflow."""
    sample = _some(values).float()
    largest = torch.linalg.vector_norm(values.float() if values.dtype is torch.float16 else sample, math.inf)
    zero = sample.new_zeros(())
    rms = dead = saturated = zero
    match kind:
        case "weighted":
            rms = torch.linalg.vector_norm(sample) / sample.numel() ** 0.5
        case "rectifier":
            dead = _dead_share(sample)
        case "sigmoid":
            saturated = ((sample < 1 - _EDGE) | (sample > _EDGE)).float().mean()
        case "tanh":
            saturated = (sample.abs() > _EDGE).float().mean()
        case "softmax":
            saturated = (sample.amax(-1) > 0.999).float().mean()
        case "input":
            # Of a rectifier or a tanh, if it looks like the output of one.
            dead = _dead_share(sample) * (sample.amin() >= 0)
            saturated = (sample.abs() > _EDGE).float().mean() * (largest <= 1)
    return torch.stack([largest, rms, dead, saturated])


def _dead_share(sample: Tensor) -> Tensor:
    """Share of units without a positive number."""
    units = 1 if sample.dim() > 3 else sample.dim() - 1
    return (sample.amax([dim for dim in range(sample.dim()) if dim != units]) <= 0).float().mean()


def _some(values: Tensor) -> Tensor:
    """The first samples, and of large ones every so many positions; all units."""
    if values.numel() <= _MAX_NUMEL:
        return values
    per_sample = values.numel() // values.shape[0]
    values = values[: max(1, _MAX_NUMEL // per_sample)]
    if per_sample > _MAX_NUMEL and values.dim() > 2:
        positions = 1 if values.dim() == 3 else 2
        stride = min(values.shape[positions], -(-per_sample // _MAX_NUMEL))
        values = values.index_select(positions, torch.arange(0, values.shape[positions], stride, device=values.device))
    return values
