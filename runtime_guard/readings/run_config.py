"""What a run was set to, as flat names and values that can be shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer

from runtime_guard.secret import hide_secrets

_OPTIONS = ("lr", "momentum", "betas", "weight_decay", "eps")


def flat_config(config: Mapping[str, Any]) -> dict[str, str | float | bool]:
    """Mappings and dataclasses within it have their names joined with dots; values that look secret are hidden."""
    found = _flat(config)
    words = hide_secrets({name: value for name, value in found.items() if isinstance(value, str)})
    return {**found, **words}


def optimizer_config(optimizers: Mapping[str, Optimizer]) -> dict[str, str | float | bool]:
    """What each is, and the settings of its first parameter group, as they are now. Numbers on devices are left out."""
    found: dict[str, str | float | bool] = {}
    for name, optimizer in optimizers.items():
        end = f".{name}" if len(optimizers) > 1 else ""
        group = optimizer.param_groups[0]
        found[f"optimizer{end}"] = type(optimizer).__name__
        for option in _OPTIONS:
            value = group.get(option)
            if isinstance(value, (int, float)):
                found[f"{option}{end}"] = value
            elif isinstance(value, (tuple, list)) and all(isinstance(item, float) for item in value):
                found[f"{option}{end}"] = ", ".join(map(str, value))
    return found


def _flat(config: Mapping[str, Any]) -> dict[str, str | float | bool]:
    found: dict[str, str | float | bool] = {}
    for name, value in config.items():
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}  # noqa: PLW2901
        if isinstance(value, Mapping):
            found.update({f"{name}.{inner}": item for inner, item in _flat(value).items()})
        else:
            found[str(name)] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return found
