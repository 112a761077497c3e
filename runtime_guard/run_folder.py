"""The folder of a run. A disk that is full or a folder that cannot be written must not end the training."""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from pathlib import Path

from runtime_guard import ranks
from runtime_guard.health import Health
from runtime_guard.incidents.bundle import Contents, kept_in, write_bundle
from runtime_guard.incidents.incident import Incident
from runtime_guard.loops.step import Suspicion
from runtime_guard.settings import Settings
from runtime_guard.state import Tracked


class GuardWarning(UserWarning):
    """Something that the guard itself could not do."""


class RunFolder:
    """Writes incidents and the run's health; without a folder nothing. Warns once when it cannot."""

    def __init__(self, folder: Path | None, settings: Settings) -> None:
        self.path = folder
        self._settings = settings
        self._has_warned = False

    def collect(self, tracked: Tracked, suspicion: Suspicion, guard_number: int, *, has_gone: bool) -> Contents | None:
        """What has to be copied for the bundle before anything is restored.

        With `has_gone` the parameters that the step began with are no more.
        """
        if self.path is None or not self._settings.bundle:
            return None
        # The replay has moved the buffers.
        suspicion.window.state.restore(with_rng=False)
        contents = Contents.collect(
            tracked, suspicion.window, guard_number=guard_number, max_mib=self._settings.max_bundle_mib
        )
        if has_gone:
            contents.obstacle = "the update itself made the parameters bad, and what they were before it is gone"
        return contents

    def keep(self, incident: Incident, contents: Contents | None) -> Incident:
        """Writes the incident, and returns it with the folder that it is kept in."""
        if contents is None or self.path is None:
            return incident
        incident = dataclasses.replace(incident, obstacle=contents.obstacle)
        try:
            path = write_bundle(self.path, incident, contents)
        except OSError as error:
            self._warn_once(f"the incident could not be written to {self.path}: {error}")
            return dataclasses.replace(incident, obstacle=None)
        return kept_in(incident, path)

    def drop(self, incident: Incident) -> None:
        """Takes back an incident of which more became known."""
        if incident.bundle is not None:
            shutil.rmtree(incident.bundle, ignore_errors=True)

    def write_health(self, health: Health) -> None:
        """On the first rank."""
        if self.path is None or ranks.rank() != 0:
            return
        try:
            health.write(self.path)
        except OSError as error:
            self._warn_once(f"the run's health could not be written to {self.path}: {error}")

    def failed(self, what: str, error: Exception) -> None:
        """A sink of the run's own could not write; that it is the folder's fault is said once for all of them."""
        self._warn_once(f"{what} could not write to {self.path}, and is left out from now on: {error}")

    def _warn_once(self, text: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            text = f"runtime_guard: {text}; training goes on, and what else fails there is not told"
            warnings.warn(text, GuardWarning, stacklevel=4)
