"""Early warnings: has a few numbers travel with the sentinel's, and asks the signs about what arrives."""

from __future__ import annotations

import copy
import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from runtime_guard import ranks
from runtime_guard.device.activations import (
    NUM_STATISTICS,
    ActivationSample,
    Sampled,
    activations_of,
    is_anything_compiled,
    leaf_names,
)
from runtime_guard.device.updates import UpdateSample
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sentinel.gate import Gate
from runtime_guard.settings import Settings
from runtime_guard.sign import EarlyWarning, Omen, Reading, Weight, all_signs
from runtime_guard.state import Tracked


@dataclass(slots=True)
class Cargo:
    """What travels in the vector of one look, after the look's own numbers."""

    sampled: list[Sampled] = field(default_factory=list)
    moved: list[Tensor] = field(default_factory=list)
    """Parameters whose update ratio is known."""
    owners: list[Tensor] | None = None
    """Parameters whose gradients the look holds, on sampled steps."""
    has_scale: bool = False
    vectors: list[Tensor] = field(default_factory=list)

    @property
    def size(self) -> int:
        return NUM_STATISTICS * len(self.sampled) + len(self.moved) + self.has_scale


class EarlySigns:
    """Samples every so many steps; losses, norms and scales are looked at in each. Never waits for a device.

    What fails within it ends early warnings, with a warning, and not the training.
    """

    def __init__(self, tracked: Tracked, settings: Settings) -> None:
        self.omens: list[Omen] = []
        self._tracked = tracked
        self._every = settings.sample_every
        self._is_enabled = settings.early_warnings
        self._signs = all_signs() if settings.early_warnings else {}
        self._warned: set[tuple[str, str]] = set()
        self._is_due = False
        self._activations: ActivationSample | None = None
        self._is_open = False
        self._leaves: dict[int, str] | None = None
        self._updates: dict[str, UpdateSample] = {}
        self._moved: dict[str, tuple[list[Tensor], Tensor]] = {}
        self._names: dict[int, tuple[str, ...]] = {}

    # Around the loop body

    def begin(self, step: int) -> None:
        """Before the first loop body of an update."""
        # Not at the first update: only then is it known whether anything is compiled.
        self._is_due = self._is_enabled and step % self._every == 1 % self._every
        if self._is_due and not is_anything_compiled():
            if self._leaves is None:
                self._leaves = leaf_names(self._tracked.models)
            self._activations = ActivationSample(self._leaves)
            self._activations.__enter__()
            self._is_open = True

    def end(self) -> None:
        """After a loop body, or when it was left."""
        if self._is_open and self._activations is not None:
            self._activations.__exit__(None, None, None)
            self._is_open = False

    def before_update(self, gate: Gate) -> None:
        """When the gradients have been looked at."""
        if self._is_due and gate.num_evaluations == 0:
            try:
                self._updates[gate.name] = UpdateSample(gate.parameters)
            except Exception as failure:
                self._give_up(failure)

    def after_update(self, gate: Gate) -> None:
        """What is found out travels with the next look."""
        sample = self._updates.pop(gate.name, None)
        if sample is not None and sample.parameters:
            try:
                self._moved[gate.name] = (sample.parameters, sample.ratios())
            except Exception as failure:
                self._give_up(failure)

    # With the sentinel

    def load(self, name: str, owners: Callable[[], Sequence[Tensor]]) -> Cargo:
        """What is to travel with the next look at this optimizer's gradients, which belong to `owners`."""
        cargo = Cargo()
        if self._activations is not None and self._activations.failure is not None:
            self._give_up(self._activations.failure)
        if not self._is_enabled:
            return cargo
        if self._activations is not None and self._activations.numbers:
            cargo.sampled, cargo.vectors = self._activations.sampled, list(self._activations.numbers)
        self.end()
        self._activations = None
        if name in self._moved:
            cargo.moved, ratios = self._moved.pop(name)
            cargo.vectors.append(ratios)
        if self._is_due:
            cargo.owners = list(owners())
        scale = next((s._scale for s in self._tracked.scalers if s.is_enabled() and s._scale is not None), None)
        if scale is not None:
            cargo.has_scale = True
            # The scaler changes it in place.
            cargo.vectors.append(scale.detach().reshape(1).clone())
        return cargo

    def arrived(self, cargo: Cargo, numbers: Sequence[float], norms: Sequence[float], reading: Reading) -> None:
        """The cargo's numbers are on the host, with the norms of the gradients and what else was read of the look."""
        if not self._is_enabled:
            return
        try:
            self._ask(cargo, numbers, norms, reading)
        except EarlyWarning:
            raise  # Python was told to make errors of such warnings.
        except Exception as failure:
            self._give_up(failure)

    def _ask(self, cargo: Cargo, numbers: Sequence[float], norms: Sequence[float], reading: Reading) -> None:
        num = NUM_STATISTICS * len(cargo.sampled)
        if cargo.size == 0 and cargo.owners is None:
            self._hear(reading)
            return
        ratios = {id(p): ratio for p, ratio in zip(cargo.moved, numbers[num:], strict=False)}
        reading = dataclasses.replace(
            reading,
            scale=numbers[-1] if cargo.has_scale else None,
            activations=activations_of(cargo.sampled, list(numbers[:num])),
            weights=self._weights(cargo, norms, ratios),
        )
        self._hear(reading)

    def _hear(self, reading: Reading) -> None:
        for name, sign in self._signs.items():
            for place, text in sign.look(reading):
                self._warn(Omen(reading.step, name, place, text))

    def _weights(self, cargo: Cargo, norms: Sequence[float], ratios: dict[int, float]) -> list[Weight]:
        owners = cargo.owners if cargo.owners is not None else cargo.moved
        values = norms if cargo.owners is not None else [math.nan] * len(owners)
        chosen = [(p, norm) for p, norm in zip(owners, values, strict=True) if p.dim() > 1]
        if any(id(p) not in self._names for p, _ in chosen):
            self._names = self._tracked.names()
        return [
            Weight(" = ".join(self._names.get(id(p), ("a parameter",))), p.numel(), norm, ratios.get(id(p)))
            for p, norm in chosen
        ]

    def _give_up(self, failure: Exception) -> None:
        self._is_enabled = self._is_due = False
        self.end()
        self._activations = None
        self._updates.clear()
        self._moved.clear()
        text = f"runtime_guard goes on without early warnings: {type(failure).__name__}: {failure}"
        warnings.warn(text, GuardWarning, stacklevel=2)

    def _warn(self, omen: Omen) -> None:
        if (omen.sign, omen.place) in self._warned:
            return
        self._warned.add((omen.sign, omen.place))
        self.omens.append(omen)
        if ranks.rank() == 0:
            warnings.warn(f"runtime_guard: {omen}", EarlyWarning, stacklevel=2)

    # Resuming

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts."""
        signs = {name: copy.deepcopy(vars(sign)) for name, sign in self._signs.items()}
        return {"signs": signs, "warned": sorted(map(list, self._warned))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Signs that the state does not know begin anew."""
        for name, sign in self._signs.items():
            vars(sign).update(copy.deepcopy(state["signs"].get(name, {})))
        self._warned = {(sign, place) for sign, place in state["warned"]}
