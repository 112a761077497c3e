"""Guards the loops of frameworks. Each adapter is imported when it is first asked for, and needs its framework."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime_guard.adapters.accelerate import AccelerateGuard as AccelerateGuard
    from runtime_guard.adapters.catalyst import CatalystGuard as CatalystGuard
    from runtime_guard.adapters.fastai import FastaiGuard as FastaiGuard
    from runtime_guard.adapters.ignite import IgniteGuard as IgniteGuard
    from runtime_guard.adapters.lightning import LightningGuard as LightningGuard
    from runtime_guard.adapters.transformers import TrainerGuard as TrainerGuard

_ADAPTERS = {
    "AccelerateGuard": ("accelerate", "accelerate>=1.2"),
    "CatalystGuard": ("catalyst", "catalyst==22.4' 'accelerate<1.0"),
    "FastaiGuard": ("fastai", "fastai>=2.8"),
    "IgniteGuard": ("ignite", "pytorch-ignite>=0.5"),
    "LightningGuard": ("lightning", "lightning>=2.4,!=2.6.2,!=2.6.3"),
    "TrainerGuard": ("transformers", "transformers>=5.0"),
}
"""By name the module, which is called like what it imports, and what installs that."""


def __getattr__(name: str) -> Any:
    if name not in _ADAPTERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, requirement = _ADAPTERS[name]
    try:
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "runtime_guard"):
            raise
        raise ModuleNotFoundError(
            f"{name} needs {missing}, which is not installed; pip install '{requirement}'", name=missing
        ) from error


def __dir__() -> list[str]:
    return sorted(_ADAPTERS)
