"""Chooses what is shown of a run and where: the monitors, and the sinks that they write to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime_guard.monitor import Monitor, Run, all_monitors
from runtime_guard.readings.courier import warn_of_failure
from runtime_guard.readings.panel import Panel
from runtime_guard.run_folder import READINGS, RunFolder
from runtime_guard.sink import Sink
from runtime_guard.sinks.json_lines import JsonLines
from runtime_guard.sinks.tensor_board import TensorBoard
from runtime_guard.state import Tracked

CHOICES = ("all", "none")


def panel_for(  # noqa: PLR0913 - each is named by the user
    tracked: Tracked,
    monitors: str | Sequence[Monitor] | None,
    sinks: Sequence[Sink] | None,
    *,
    default: str,
    folder: RunFolder,
    config: Mapping[str, Any],
    class_names: Sequence[str],
) -> Panel:
    """Without sinks those of the run's folder; without a folder either, nothing is shown.

    Raises ValueError for a choice that there is not, and for monitors by name that have nowhere to write.
    """
    is_wanted = monitors is not None
    monitors = default if monitors is None else monitors
    if isinstance(monitors, str) and monitors not in CHOICES:
        raise ValueError(f'monitors is {monitors!r}, expected "all", "none" or a list of monitors')
    chosen = {"all": all_monitors, "none": list}[monitors]() if isinstance(monitors, str) else list(monitors)
    warn = warn_of_failure
    if sinks is None:
        if folder.path is None:
            if is_wanted and chosen:
                raise ValueError('monitors have nowhere to write; give Guard a logdir, e.g. logdir="runs/1", or sinks')
            return Panel(tracked)
        # TensorBoard opens its file whenever it has something to write, and the script may be elsewhere by then.
        path = folder.path.absolute()
        sinks, warn = [TensorBoard(path), JsonLines(path / READINGS)], folder.failed

    def run() -> Run:
        return Run(dict(tracked.models), tracked.named_optimizers, config, class_names, folder.path, chosen)

    return Panel(tracked, chosen, sinks, run, warn)
