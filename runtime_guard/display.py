"""Chooses what is shown of a run and where: the monitors, and the sinks that they write to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime_guard.monitor import Monitor, Run, all_monitors
from runtime_guard.readings.courier import warn_of_failure
from runtime_guard.readings.panel import Panel
from runtime_guard.run_folder import RunFolder
from runtime_guard.sink import Sink, sink_of_run
from runtime_guard.state import Tracked

CHOICES = ("all", "none")


def panel_for(  # noqa: PLR0913 - each is named by the user
    tracked: Tracked,
    monitors: str | Sequence[Monitor] | None,
    sinks: Sequence[Sink | str] | None,
    *,
    default: str,
    default_sinks: Sequence[str],
    folder: RunFolder,
    config: Mapping[str, Any],
    class_names: Sequence[str],
) -> Panel:
    """Without sinks those that the settings name; without a folder either, those of them that need none.

    Raises ValueError for a choice that there is not, and for what is asked for and has nowhere to write.
    """
    is_wanted = monitors is not None
    monitors = default if monitors is None else monitors
    if isinstance(monitors, str) and monitors not in CHOICES:
        raise ValueError(f'monitors is {monitors!r}, expected "all", "none" or a list of monitors')
    chosen = {"all": all_monitors, "none": list}[monitors]() if isinstance(monitors, str) else list(monitors)
    # Sinks open their files whenever they have something to write, and the script may be elsewhere by then.
    path = None if folder.path is None else folder.path.absolute()
    if sinks is None:
        made = [sink for name in default_sinks if (sink := sink_of_run(name, path)) is not None]
        if not made:
            if is_wanted and chosen:
                raise ValueError('monitors have nowhere to write; give Guard a logdir, e.g. logdir="runs/1", or sinks')
            return Panel(tracked)
    else:
        made = [_asked_for(sink, path) for sink in sinks]

    def run() -> Run:
        return Run(dict(tracked.models), tracked.named_optimizers, config, class_names, folder.path, chosen)

    def warn(what: str, error: Exception) -> None:
        (folder.failed if folder.path is not None and _is_of_files(error) else warn_of_failure)(what, error)

    return Panel(tracked, chosen, made, run, warn)


def _is_of_files(error: Exception) -> bool:
    """A full disk, for example; a server that does not answer is an OSError as well."""
    return isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError)


def _asked_for(sink: Sink | str, folder: Path | None) -> Sink:
    if not isinstance(sink, str):
        return sink
    made = sink_of_run(sink, folder)
    if made is None:
        raise ValueError(f'the sink {sink!r} needs a folder; give Guard a logdir, e.g. logdir="runs/1"')
    return made
