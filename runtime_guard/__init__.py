"""Rides along with a PyTorch training run and says what made the first non-finite number.

Importing this package imports neither torch nor anything else that is not in Python itself; the first use of one of
its names does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime_guard.guard import Guard as Guard
    from runtime_guard.guard import IncidentWarning as IncidentWarning
    from runtime_guard.incidents.incident import Birth as Birth
    from runtime_guard.incidents.incident import Incident as Incident
    from runtime_guard.incidents.incident import Place as Place
    from runtime_guard.incidents.incident import TrainingIncident as TrainingIncident
    from runtime_guard.policy import Decision as Decision
    from runtime_guard.settings import Settings as Settings
    from runtime_guard.settings import SettingsError as SettingsError
    from runtime_guard.sign import EarlyWarning as EarlyWarning
    from runtime_guard.sign import Omen as Omen

__version__ = "0.1.0"

_HOMES = {
    "Birth": "incidents.incident",
    "Decision": "policy",
    "EarlyWarning": "sign",
    "Guard": "guard",
    "Incident": "incidents.incident",
    "IncidentWarning": "guard",
    "Omen": "sign",
    "Place": "incidents.incident",
    "Settings": "settings",
    "SettingsError": "settings",
    "TrainingIncident": "incidents.incident",
}

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"runtime_guard.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
