"""What the user measured, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def measured(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """By name; mappings within mappings have their names joined with slashes. Waits for what lies on a device.

    What has `compute`, as torchmetrics' objects do, is asked for its result and then reset for the next epoch; those
    that say that they were never updated are left out. Tensors and arrays become numbers and lists of numbers.
    """
    found: dict[str, Any] = {}
    for name, value in metrics.items():
        plain = _plain(value)
        if isinstance(plain, Mapping):
            found.update({f"{name}/{inner}": item for inner, item in measured(plain).items()})
        elif plain is not None:
            found[str(name)] = plain
    return found


def _plain(value: Any) -> Any:
    if not isinstance(value, (type, Tensor)) and callable(getattr(value, "compute", None)):
        value = _computed(value)
    if isinstance(value, Tensor):
        value = value.detach()
        return value.item() if value.numel() == 1 else value.tolist()
    # Of numpy, which may not be installed.
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.item() if getattr(value, "size", 0) == 1 else value.tolist()
    return value


def _computed(metric: Any) -> Any:
    """torchmetrics warns of a result without an update."""
    if getattr(metric, "update_called", True) is False:
        return None
    result = metric.compute()
    reset = getattr(metric, "reset", None)
    if callable(reset):
        reset()
    return result
