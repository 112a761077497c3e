"""Running again whenever a file changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from pipeline_lint.cli.inputs import find_inputs
from pipeline_lint.cli.settings import Common
from pipeline_lint.config import FILE_NAMES, ConfigError

_SECONDS_BETWEEN_LOOKS = 0.5


def watch(common: Common, run: Callable[[], object]) -> None:
    """Calls `run`, and again after every change, until Ctrl-C."""
    while True:
        before = _state(common)
        click.clear()
        try:
            run()
        except ConfigError as error:
            click.echo(f"error: {error}", err=True)
        common.say("\nWatching for changes; Ctrl-C ends.")
        while _state(common) == before:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        common.resolver.forget()


def _state(common: Common) -> dict[str, tuple[int, int]]:
    """When each file was written last, configuration files included."""
    files = find_inputs(common).files
    given = [Path(path).absolute() for path in common.paths or (".",)]
    for folder in {folder for path in given for folder in (path, *path.parents)}:
        files.extend(str(folder / name) for name in (*FILE_NAMES, "pyproject.toml"))
    state = {}
    for file in files:
        try:
            status = Path(file).stat()
        except OSError:
            continue
        state[file] = (status.st_mtime_ns, status.st_size)
    return state
