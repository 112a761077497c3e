"""The functions of `pipeline_lint`, apart from it so that importing the package stays quick."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline_lint.config import Settings, SettingsResolver
from pipeline_lint.diagnostic import Failure, Report
from pipeline_lint.engine.files import FileOptions, discover
from pipeline_lint.engine.fix_files import fix_files, write_fixed
from pipeline_lint.engine.run import Checker, RunOptions, check_contents


def check_paths(paths: Iterable[str | Path], **settings: Any) -> Report:
    """See `pipeline_lint.check_paths`."""
    resolver = SettingsResolver(overrides=settings)
    files, failures = find_files(paths, resolver)
    checker = Checker(resolver, RunOptions())
    try:
        report = checker.check(files)
    finally:
        checker.close()
    report.failures.extend(failures)
    return report


def fix_paths(paths: Iterable[str | Path], *, unsafe: bool = False, **settings: Any) -> Report:
    """See `pipeline_lint.fix_paths`."""
    resolver = SettingsResolver(overrides=settings)
    files, failures = find_files(paths, resolver)
    fixed = fix_files(files, resolver, options=RunOptions(), unsafe=unsafe)
    fixed.report.failures.extend([*failures, *write_fixed(fixed)])
    return fixed.report


def check_source(code: str | bytes, *, filename: str = "<string>", **settings: Any) -> Report:
    """See `pipeline_lint.check_source`."""
    data = code.encode() if isinstance(code, str) else code
    return check_contents({filename: data}, Settings(root=Path.cwd()).with_overrides(settings))


def find_files(paths: Iterable[str | Path], resolver: SettingsResolver) -> tuple[list[str], list[Failure]]:
    """The files below the paths, each path searched under its own configuration, and the paths that failed."""
    files: dict[str, None] = {}
    failures: list[Failure] = []
    for path in map(str, paths):
        found = discover([path], file_options(resolver.for_path(path)))
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
