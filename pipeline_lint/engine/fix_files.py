"""A fix from paths to changed files: passes in memory until nothing is left to fix, then one write for each group."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline_lint.config import FixedSettings, Settings, SettingsResolver
from pipeline_lint.diagnostic import Applicability, Diagnostic, Failure, Report
from pipeline_lint.engine.fix import apply_fixes
from pipeline_lint.engine.roots import project_root
from pipeline_lint.engine.run import Checker, RunOptions
from pipeline_lint.engine.suppress import matches_selector
from pipeline_lint.engine.transaction import CannotWrite, Change, ChangedMeanwhile, write_group

MOST_PASSES = 20

Accept = Callable[[Diagnostic, Mapping[str, bytes]], bool]
"""Whether to apply the fix of a finding, given the current bytes of files that earlier passes changed."""


@dataclass(slots=True)
class Fixed:
    """What fixing gives, before anything is written."""

    before: dict[str, bytes] = field(default_factory=dict)
    """The bytes on the disk of each file that changes."""
    after: dict[str, bytes] = field(default_factory=dict)
    groups: list[frozenset[str]] = field(default_factory=list)
    """Files that change together or not at all."""
    report: Report = field(default_factory=Report)
    """What is left to find once the fixes are applied."""
    notes: list[str] = field(default_factory=list)
    """What the user should know of the files that were written."""


def fix_files(
    paths: Sequence[str],
    resolver: SettingsResolver,
    *,
    options: RunOptions,
    unsafe: bool | None = None,
    accept: Accept | None = None,
    contents: Mapping[str, bytes] | None = None,
) -> Fixed:
    """Fixes in memory what can be fixed; writes nothing.

    `unsafe` overrides the settings' `unsafe-fixes`. `contents` holds files that are not to be read from the disk.
    """
    checker = Checker(resolver, dataclasses.replace(options, remembers=True))
    overlay = dict(contents or {})
    fixed = Fixed()
    counts: Counter[str] = Counter()
    refused: list[Failure] = []
    links: list[frozenset[str]] = []
    rejected: set[tuple[str, str, str]] = set()
    try:
        for _ in range(MOST_PASSES):
            report = checker.check(paths, contents=overlay)
            wanted = [d for d in report.diagnostics if _identity(d) not in rejected and _may_fix(d, resolver, unsafe)]
            if accept is not None:
                accepted = [diagnostic for diagnostic in wanted if accept(diagnostic, overlay)]
                rejected.update(_identity(diagnostic) for diagnostic in wanted if diagnostic not in accepted)
                wanted = accepted
            current = _contents_for(wanted, overlay)
            done = apply_fixes(current, wanted, unsafe=True)
            refused.extend(done.refused)
            if not done.applied:
                break
            for path, data in done.contents.items():
                fixed.before.setdefault(path, current[path])
                overlay[path] = data
            counts.update(diagnostic.code for diagnostic in done.applied)
            links.extend(done.groups)
        else:
            report = checker.check(paths, contents=overlay)
            refused.append(Failure("(all files)", f"fixes still follow one another after {MOST_PASSES} passes"))
    finally:
        checker.close()
    fixed.after = {path: overlay[path] for path in fixed.before if overlay[path] != fixed.before[path]}
    fixed.groups = _joined(links, fixed.after)
    report.failures.extend(dict.fromkeys(refused))
    report.num_fixed = counts
    report.changed_paths = sorted(fixed.after)
    fixed.report = report
    return fixed


def write_fixed(fixed: Fixed) -> list[Failure]:
    """Writes all groups; a group that cannot be written is told of and left as it was, the others are written."""
    failures = []
    for group in fixed.groups:
        changes = {path: Change(fixed.before[path], fixed.after[path]) for path in sorted(group)}
        try:
            fixed.notes.extend(write_group(changes, root=project_root(changes)))
        except (CannotWrite, ChangedMeanwhile) as error:
            failures.append(Failure(error.path, str(error)))
            fixed.report.changed_paths = [path for path in fixed.report.changed_paths if path not in group]
    return failures


def _may_fix(diagnostic: Diagnostic, resolver: SettingsResolver, unsafe: bool | None) -> bool:
    if diagnostic.fix is None:
        return False
    settings = resolver.for_path(diagnostic.path)
    if any(matches_selector(s, code=diagnostic.code, name=diagnostic.name) for s in settings.unfixable):
        return False
    allows_unsafe = settings.unsafe_fixes if unsafe is None else unsafe
    return allows_unsafe or diagnostic.fix.applicability is Applicability.SAFE


def _identity(diagnostic: Diagnostic) -> tuple[str, str, str]:
    """Tells a finding again after other fixes have moved it."""
    excerpt = diagnostic.place.excerpt
    line = excerpt.lines[diagnostic.place.location.row - excerpt.first_row].strip() if excerpt else ""
    return (diagnostic.path, diagnostic.code, line)


def _contents_for(diagnostics: Sequence[Diagnostic], overlay: Mapping[str, bytes]) -> dict[str, bytes]:
    paths = {path for diagnostic in diagnostics if diagnostic.fix for path in diagnostic.fix.paths}
    return {path: overlay[path] if path in overlay else Path(path).read_bytes() for path in sorted(paths)}


def _joined(links: Sequence[frozenset[str]], changed: Mapping[str, bytes]) -> list[frozenset[str]]:
    """Groups that share a file, from whatever pass, are one."""
    groups: list[set[str]] = []
    for link in links:
        touching = [group for group in groups if group & link]
        groups = [group for group in groups if not group & link]
        groups.append(set(link).union(*touching))
    present = [frozenset(path for path in group if path in changed) for group in groups]
    return sorted((group for group in present if group), key=lambda group: os.fspath(min(group)))


def fix_contents(contents: Mapping[str, bytes], settings: Settings, *, unsafe: bool) -> dict[str, bytes]:
    """The files after all fixes, in memory, all under the same settings."""
    options = RunOptions(jobs=1, use_cache=False, reads_disk=False)
    fixed = fix_files(list(contents), FixedSettings(settings), options=options, unsafe=unsafe, contents=contents)
    return {**contents, **fixed.after}
