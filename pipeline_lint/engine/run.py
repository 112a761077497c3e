"""A check from paths to a report: settings, cache, workers, project rules, suppressions, in this order.

Files are grouped by their configuration. A group in which nothing has changed since an earlier run is one look-up in
the cache, and neither LibCST nor any rule is imported for it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_lint.config import FixedSettings, Settings, SettingsResolver
from pipeline_lint.diagnostic import Failure, Report
from pipeline_lint.engine.baseline import Baseline
from pipeline_lint.engine.cache import Cache, cache_folder, content_key, settings_key
from pipeline_lint.engine.dependencies import are_unchanged
from pipeline_lint.engine.result import FileResult, Outcome

if TYPE_CHECKING:
    from pipeline_lint.engine.workers import Task

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run; what to find is in the settings."""

    jobs: int = 0
    """Processes; 0: one for each processor."""
    use_cache: bool = True
    reads_disk: bool = True
    """Whether files that are not among the given ones may be read for what a class inherits."""
    remembers: bool = False
    """Whether the same files are checked again and again, and what is known of unchanged ones is to be kept."""
    progress: Progress = lambda _: None


@dataclass(slots=True)
class _Group:
    """The files of one configuration."""

    settings: Settings
    paths: list[str] = field(default_factory=list)


class Checker:
    """Checks files, and remembers what it found for the next call of the same run."""

    def __init__(self, resolver: SettingsResolver, options: RunOptions | None = None) -> None:
        self._resolver = resolver
        self._options = options or RunOptions()
        self._remembered: dict[str, FileResult] = {}
        self._memory: dict[object, Any] = {}
        self._caches: dict[Path, Cache] = {}
        self._settings_keys: dict[Settings, str] = {}
        self.num_parsed = 0
        """Files that were parsed, for `--verbose` and the benchmarks."""

    def check(self, paths: Sequence[str], *, contents: Mapping[str, bytes] | None = None) -> Report:
        """Checks files; `contents` holds the bytes of those that are not to be read from the disk."""
        report = Report(num_files=len(paths))
        if not paths:
            self._require_valid_settings()
        for group in self._groups(paths):
            outcome = self._check_group(group, contents or {})
            diagnostics = list(outcome.diagnostics)
            if group.settings.baseline is not None:
                diagnostics = Baseline.load(group.settings.root / group.settings.baseline).without_known(diagnostics)
            report.diagnostics.extend(diagnostics)
            report.failures.extend(outcome.failures)
            report.num_suppressed += outcome.num_suppressed
        report.diagnostics.sort(key=lambda diagnostic: diagnostic.sort_key)
        report.failures.sort(key=lambda failure: (failure.path, failure.message))
        return report

    def cache_problems(self) -> list[str]:
        """Why caches could not be used."""
        return [cache.problem for cache in self._caches.values() if cache.problem is not None]

    def close(self) -> None:
        for cache in self._caches.values():
            cache.close()

    def _require_valid_settings(self) -> None:
        """Raises `ConfigError` for a wrong selector also where there is nothing to check."""
        from pipeline_lint.engine.catalog import selected_rules

        selected_rules(self._resolver.for_path(Path.cwd()))

    def _groups(self, paths: Sequence[str]) -> list[_Group]:
        groups: dict[Settings, _Group] = {}
        here = str(Path.cwd())
        for path in paths:
            folder = Path(os.path.dirname(os.path.join(here, path)))  # noqa: PTH118, PTH120 - pathlib is slower
            settings = self._resolver.for_file_in(folder)
            groups.setdefault(settings, _Group(settings)).paths.append(path)
        return list(groups.values())

    def _check_group(self, group: _Group, contents: Mapping[str, bytes]) -> Outcome:
        settings_digest = self._settings_digest(group.settings)
        keys, failures = _content_keys(group.paths, contents, settings_digest)
        cache = self._cache(group.settings)
        outcome_key = hashlib.blake2b("".join(sorted(keys.values())).encode(), digest_size=20).hexdigest()
        if cache is not None and keys:
            outcome = cache.get([outcome_key]).get(outcome_key)
            if isinstance(outcome, Outcome) and are_unchanged(outcome.dependencies):
                return Outcome(outcome.diagnostics, (*outcome.failures, *failures), outcome.num_suppressed)
        results = self._results(group.settings, keys, contents, cache)
        outcome = self._outcome(group.settings, results, settings_digest, contents)
        if cache is not None and not outcome.failures:
            cache.put({outcome_key: outcome})
        return Outcome(outcome.diagnostics, (*outcome.failures, *failures), outcome.num_suppressed)

    def _results(
        self, settings: Settings, keys: Mapping[str, str], contents: Mapping[str, bytes], cache: Cache | None
    ) -> dict[str, FileResult]:
        """The result of each file, from this run, the cache, or by checking."""
        # Imported here because they import LibCST and the rules, which an unchanged project does not need.
        from pipeline_lint.engine.catalog import selected_rules
        from pipeline_lint.engine.workers import Task, check_tasks

        selected_rules(settings)
        known = {path: self._remembered[key] for path, key in keys.items() if key in self._remembered}
        if cache is not None:
            cached = cache.get(key for path, key in keys.items() if path not in known)
            known.update({path: cached[key] for path, key in keys.items() if key in cached})
        tasks = [Task(path, _size(path, contents.get(path)), contents.get(path)) for path in keys if path not in known]
        self._options.progress(len(known))
        fresh = self._run_tasks(check_tasks, tasks, settings)
        if cache is not None:
            cache.put({keys[path]: result for path, result in fresh.items() if not result.failures})
        known.update(fresh)
        if contents or self._options.remembers:
            self._remembered.update({keys[path]: result for path, result in known.items()})
        return {path: known[path] for path in keys}

    def _run_tasks(
        self, check_tasks: Callable[..., dict[str, FileResult]], tasks: Sequence[Task], settings: Settings
    ) -> dict[str, FileResult]:
        jobs = self._options.jobs or os.cpu_count() or 1
        results = check_tasks(tasks, settings, jobs=jobs, progress=self._options.progress)
        self.num_parsed += sum(result.was_parsed for result in results.values())
        return results

    def _outcome(
        self,
        settings: Settings,
        results: Mapping[str, FileResult],
        settings_digest: str,
        contents: Mapping[str, bytes],
    ) -> Outcome:
        from pipeline_lint.engine.project import SummaryLoader, conclude

        cache, reads_disk = self._cache(settings), self._options.reads_disk
        loader = SummaryLoader(settings, settings_digest, contents, cache, list(results), reads_disk=reads_disk)
        memory = self._memory if self._options.remembers else {}
        return conclude(settings, results, loader, memory)

    def _settings_digest(self, settings: Settings) -> str:
        if settings not in self._settings_keys:
            self._settings_keys[settings] = settings_key(settings)
        return self._settings_keys[settings]

    def _cache(self, settings: Settings) -> Cache | None:
        if not self._options.use_cache:
            return None
        folder = cache_folder(settings)
        if folder not in self._caches:
            self._caches[folder] = Cache(folder)
        return self._caches[folder]


def check_contents(contents: Mapping[str, bytes], settings: Settings, *, reads_disk: bool = False) -> Report:
    """Checks files that are in memory, all under the same settings."""
    options = RunOptions(jobs=1, use_cache=False, reads_disk=reads_disk)
    return Checker(FixedSettings(settings), options).check(list(contents), contents=contents)


def _content_keys(
    paths: Sequence[str], contents: Mapping[str, bytes], settings_digest: str
) -> tuple[dict[str, str], list[Failure]]:
    keys: dict[str, str] = {}
    failures: list[Failure] = []
    for path in paths:
        try:
            data = contents[path] if path in contents else _read(path)
        except OSError as error:
            failures.append(Failure(path, f"cannot be read: {error.strerror or error}"))
            continue
        keys[path] = content_key(settings_digest, path, data)
    return keys, failures


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a third faster than pathlib, for every file
        return file.readall()


def _size(path: str, data: bytes | None) -> int:
    if data is not None:
        return len(data)
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0
