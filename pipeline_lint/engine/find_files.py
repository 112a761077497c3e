"""From paths to files, each path searched under its own configuration."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pipeline_lint.config import Settings, SettingsResolver
from pipeline_lint.diagnostic import Failure
from pipeline_lint.engine.files import FileOptions, discover


def find_files(paths: Iterable[str | Path], resolver: SettingsResolver) -> tuple[list[str], list[Failure]]:
    """The files below the paths, each once, and the paths that failed."""
    paths_of: dict[FileOptions, list[str]] = {}
    for path in map(str, paths):
        paths_of.setdefault(file_options(resolver.for_path(path)), []).append(path)
    files: dict[str, None] = {}
    failures: list[Failure] = []
    for options, together in paths_of.items():
        found = discover(together, options)
        failures.extend(found.failures)
        files.update(dict.fromkeys(found.files))
    return list(files), failures


def file_options(settings: Settings) -> FileOptions:
    """What of the settings says which files to take."""
    return FileOptions(
        exclude=settings.exclude,
        respect_gitignore=settings.respect_gitignore,
        force_exclude=settings.force_exclude,
        root=settings.root,
    )
