"""The state of a training run that a step changes, and how to return to it: RNG, buffers, parameters, optimizers."""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

_SMALL_NUMEL = 65536
"""Buffers up to this size are copied at every step. Larger ones (masks, tables) only after they were written to: most
writes count a tensor's version up, but those of batch norm to its running statistics do not."""


class Stateful(Protocol):
    """What torch's schedulers, torchmetrics and many others offer."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class RngState:
    """The states of all random number generators: Python's, numpy's where loaded, torch's on CPU and GPUs."""

    __slots__ = ("cuda", "numpy", "python", "torch")

    def __init__(self) -> None:
        self.python = random.getstate()
        numpy_random = sys.modules.get("numpy.random")
        self.numpy: Any = None if numpy_random is None else numpy_random.get_state()
        self.torch = torch.get_rng_state()
        # A generator's state lies on the host; asking does not wait for the GPU. Before CUDA starts there is none.
        self.cuda: list[Tensor] = (
            torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
        )

    def restore(self) -> None:
        random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy.random"].set_state(self.numpy)
        torch.set_rng_state(self.torch)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)


class TensorCopies:
    """Copies of tensors that are written over in place at each `save`."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []
        self._copies: list[Tensor] = []
        self._versions: list[int] = []

    def save(self, tensors: Sequence[Tensor]) -> None:
        """Copies on the tensors' devices, without synchronising. Large ones that did not change are left out."""
        if len(tensors) != len(self._tensors) or any(a is not b for a, b in zip(tensors, self._tensors, strict=True)):
            self._tensors = list(tensors)
            self._copies = [t.detach().clone() for t in tensors]
        else:
            # `_version` is not kept in inference mode.
            changed = [
                i
                for i, t in enumerate(tensors)
                if t.numel() <= _SMALL_NUMEL or t.is_inference() or t._version != self._versions[i]
            ]
            with torch.no_grad():
                if changed:
                    torch._foreach_copy_([self._copies[i] for i in changed], [tensors[i].detach() for i in changed])
        self._versions = [0 if t.is_inference() else t._version for t in tensors]

    def restore(self) -> None:
        with torch.no_grad():
            for tensor, saved in zip(self._tensors, self._copies, strict=True):
                tensor.copy_(saved)

    @property
    def num_bytes(self) -> int:
        return sum(copy.numel() * copy.element_size() for copy in self._copies)


class LightState:
    """What changes in a step besides parameters and what optimizers keep for them; captured before every step.

    Buffers, RNG, the options of parameter groups (a scheduler changes the learning rate), the scaler's scale, and
    the state of registered objects. Capturing does not synchronise.
    """

    def __init__(self, tracked: Tracked, copies: TensorCopies) -> None:
        self._tracked = tracked
        self.rng = RngState()
        self._buffers = copies
        copies.save(tracked.buffers)
        self._groups = [
            [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
            for optimizer in tracked.optimizers
        ]
        self._scalers = [_scaler_state(scaler) for scaler in tracked.scalers]
        self._stateful = [copy.deepcopy(item.state_dict()) for item in tracked.stateful]

    def restore(self, *, with_rng: bool = True) -> None:
        self._buffers.restore()
        for optimizer, groups in zip(self._tracked.optimizers, self._groups, strict=False):
            for group, options in zip(optimizer.param_groups, groups, strict=False):
                group.update(options)
        for restore in self._scalers:
            restore()
        for item, state in zip(self._tracked.stateful, self._stateful, strict=True):
            item.load_state_dict(copy.deepcopy(state))
        if with_rng:
            self.rng.restore()


class Snapshot:
    """Parameters and the state of optimizers, on their devices: as much memory again as they take."""

    def __init__(
        self, tracked: Tracked, optimizers: dict[str, Optimizer] | None = None, *, shallow_lists: bool = False
    ) -> None:
        """Of some of the optimizers and their parameters, or of everything.

        `shallow_lists` keeps the tensors in lists of the optimizers' state without copying them: LBFGS keeps a long
        history there that it never writes to.
        """
        chosen = tracked.named_optimizers if optimizers is None else optimizers
        self.names = tuple(chosen)
        self._shallow_lists = shallow_lists
        self._optimizers = list(chosen.values())
        parameters = [p for o in self._optimizers for group in o.param_groups for p in group["params"]]
        if optimizers is None:
            known = {id(p) for p in parameters}
            parameters += [p for p in tracked.parameters if id(p) not in known]
        self._parameters = parameters
        self._values = [p.detach().clone() for p in parameters]
        self._states = [
            {p: self._copied(state) for p, state in optimizer.state.items()} for optimizer in self._optimizers
        ]

    def restore(self) -> None:
        """Writes the parameters back in place and gives the optimizers fresh copies of their state."""
        with torch.no_grad():
            for parameter, value in zip(self._parameters, self._values, strict=True):
                parameter.copy_(value)
        for optimizer, states in zip(self._optimizers, self._states, strict=True):
            optimizer.state.clear()
            optimizer.state.update({p: self._copied(state) for p, state in states.items()})

    def _copied(self, state: Any) -> Any:
        if not self._shallow_lists or not isinstance(state, dict):
            return _cloned(state)
        return {key: list(item) if isinstance(item, list) else _cloned(item) for key, item in state.items()}


class Tracked:
    """The objects whose state makes up the run."""

    def __init__(
        self,
        models: dict[str, nn.Module],
        optimizers: dict[str, Optimizer],
        scalers: Iterable[GradScaler] = (),
        stateful: Iterable[Stateful] = (),
    ) -> None:
        self.models = models
        self.named_optimizers = optimizers
        self.scalers = list(scalers)
        self.stateful = list(stateful)
        self._buffers: list[Tensor] | None = None

    @property
    def optimizers(self) -> list[Optimizer]:
        return list(self.named_optimizers.values())

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Parameters of the models and of the optimizers, each once."""
        found = {id(p): p for model in self.models.values() for p in model.parameters()}
        for optimizer in self.optimizers:
            found.update({id(p): p for group in optimizer.param_groups for p in group["params"]})
        return list(found.values())

    @property
    def buffers(self) -> list[Tensor]:
        """All buffers of the models, looked up once an epoch, because walking a large model takes milliseconds."""
        if self._buffers is None:
            found = {id(b): b for model in self.models.values() for b in model.buffers()}
            self._buffers = [b for b in found.values() if b.device.type != "meta"]
        return self._buffers

    def look_again(self) -> None:
        """Buffers may have been replaced, as `model.to` and `load_state_dict(assign=True)` do."""
        self._buffers = None

    def names(self) -> dict[int, tuple[str, ...]]:
        """From `id` of each parameter and buffer to all of its names; tied weights have several."""
        found: dict[int, list[str]] = {}
        for prefix, model in self.models.items():
            for part in (model.named_parameters, model.named_buffers):
                for name, tensor in part(remove_duplicate=False):
                    found.setdefault(id(tensor), []).append(join_name(prefix, name))
        for prefix, optimizer in self.named_optimizers.items():
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            for index, parameter in enumerate(parameters):
                if id(parameter) not in found:
                    found[id(parameter)] = [join_name(prefix, f"parameter {index}")]
        return {key: tuple(names) for key, names in found.items()}


def join_name(prefix: str, name: str) -> str:
    """A dotted name without the parts that wrappers add (torch.compile, DistributedDataParallel)."""
    parts = [part for part in name.split(".") if part not in ("_orig_mod", "_fsdp_wrapped_module")]
    if parts and parts[0] == "module":
        parts = parts[1:]
    return ".".join([prefix, *parts] if prefix else parts)


def _scaler_state(scaler: GradScaler) -> Callable[[], None]:
    """What puts the scaler back. Not its `state_dict`, which would synchronise."""
    scale, tracker = scaler._scale, scaler._growth_tracker
    if scale is None or tracker is None:
        start = scaler._init_scale

        def restart() -> None:
            if scaler._scale is not None:
                scaler._scale.fill_(start)
                assert scaler._growth_tracker is not None
                scaler._growth_tracker.fill_(scaler._init_growth_tracker)

        return restart
    saved_scale, saved_tracker = scale.clone(), tracker.clone()

    def restore() -> None:
        assert scaler._scale is not None
        assert scaler._growth_tracker is not None
        scaler._scale.copy_(saved_scale)
        scaler._growth_tracker.copy_(saved_tracker)

    return restore


def _cloned(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _cloned(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cloned(item) for item in value)
    return copy.deepcopy(value)
