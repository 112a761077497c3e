"""The functions of `pipeline_lint`, apart from it so that importing the package stays quick."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline_lint.config import Settings, SettingsResolver
from pipeline_lint.diagnostic import Report
from pipeline_lint.engine.find_files import find_files
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
