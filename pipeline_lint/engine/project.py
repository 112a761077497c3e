"""What comes after the files: project rules over all summaries, then suppressions and per-file ignores."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_lint.config import Settings
from pipeline_lint.diagnostic import Diagnostic, Failure, Place
from pipeline_lint.engine.cache import Cache, content_key
from pipeline_lint.engine.catalog import selected_rules
from pipeline_lint.engine.check import check_bytes, diagnostic_of, rule_failure, summary_key
from pipeline_lint.engine.dependencies import Dependency, file_digest, folder_digest
from pipeline_lint.engine.files import discover
from pipeline_lint.engine.find_files import file_options
from pipeline_lint.engine.result import FileResult, Outcome
from pipeline_lint.engine.roots import MARKERS, deepest_folder, project_root
from pipeline_lint.engine.suppress import UNUSED_CODE, apply_suppressions, matches_selector
from pipeline_lint.facts.project import Project
from pipeline_lint.parsing import with_deep_stack
from pipeline_lint.rule import ProjectRule, Rule

if TYPE_CHECKING:
    from pipeline_lint.source import Source


class SummaryLoader:
    """Summaries of project files that were not among those to check, read when a rule asks for them.

    So a finding does not depend on which files pre-commit passes. Whatever is looked for is noted with its digest,
    and a cached outcome counts only while all of that is unchanged.
    """

    def __init__(
        self,
        settings: Settings,
        settings_digest: str,
        contents: Mapping[str, bytes],
        cache: Cache | None,
        given: Sequence[str] = (),
        *,
        reads_disk: bool,
    ) -> None:
        self._settings = settings
        self._settings_digest = settings_digest
        self._contents = contents
        self._cache = cache
        self._reads_disk = reads_disk
        self._given = tuple(given)
        self._loaded: dict[str, FileResult | None] = {}
        self._read: set[str] = set()
        self._searched: str | None = None
        self._present: dict[str, bool] = {}
        self._in_memory = {path for given in contents for path in _with_folders(given)}

    @property
    def dependencies(self) -> tuple[Dependency, ...]:
        """What the findings depend on besides the given files; nothing where no cache asks for it."""
        if self._cache is None:
            return ()
        others = self._read - set(self._given)
        contents = [Dependency(path, file_digest(path)) for path in sorted(others.union(self._loaded))]
        folders = [Dependency(self._searched, folder_digest(self._searched))] if self._searched is not None else []
        return (*contents, *folders, *(Dependency(path, present) for path, present in sorted(self._present.items())))

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        data = self._contents.get(path)
        if data is not None or not self._reads_disk:
            return data
        self._read.add(path)
        with contextlib.suppress(OSError):
            return Path(path).read_bytes()
        return None

    def list_paths(self) -> list[str]:
        """The Python files of the project that the given files belong to, named as the given ones are."""
        if not self._reads_disk or not self._given:
            return list(self._contents)
        first = Path(self._given[0])
        root = project_root(self._given)
        self._note_markers(root)
        found = self._search(root)
        if {os.path.abspath(path) for path in found}.isdisjoint(map(os.path.abspath, self._given)):  # noqa: PTH100
            # The project around them ignores these files: they are none of its.
            found = self._search(deepest_folder(self._given))
        known = {os.path.abspath(path): path for path in (*self._given, *self._contents)}  # noqa: PTH100
        paths = []
        for path in found:
            place = os.path.abspath(path)  # noqa: PTH100
            named = known.get(place)
            paths.append(named if named is not None else place if first.is_absolute() else os.path.relpath(place))
        return paths

    def _note_markers(self, root: Path) -> None:
        """Notes that no folder below the root calls itself a project, so that a cached outcome ends when one does."""
        below = deepest_folder(self._given)
        for folder in (below, *below.parents):
            for marker in MARKERS:
                self.exists(str(folder / marker))
            if folder == root:
                break

    def _search(self, root: Path) -> list[str]:
        self._searched = str(root)
        return discover([str(root)], file_options(self._settings)).files

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder at an absolute path."""
        known = self._present.get(path)
        if known is None:
            known = path in self._in_memory or (self._reads_disk and os.path.exists(path))  # noqa: PTH110
            self._present[path] = known
        return known

    def load(self, path: str, summarize: Callable[[Source], Any]) -> Any:
        """The summary of a file on the disk; None where there is no such file or it is not Python."""
        if path not in self._loaded:
            self._loaded[path] = self._result(path)
        result = self._loaded[path]
        return None if result is None else result.summaries.get(summary_key(summarize))

    def _result(self, path: str) -> FileResult | None:
        data = self._contents.get(path)
        if data is None and self._reads_disk:
            with contextlib.suppress(OSError):
                data = Path(path).read_bytes()
        if data is None:
            return None
        key = content_key(self._settings_digest + " summaries", path, data)
        if self._cache is not None:
            cached = self._cache.get([key]).get(key)
            if isinstance(cached, FileResult):
                return cached
        rules = [rule for rule in selected_rules(self._settings) if isinstance(rule, ProjectRule)]
        result = with_deep_stack(
            check_bytes, path, data, rules=rules, min_confidence=self._settings.min_confidence, summarize=True
        )
        if self._cache is not None:
            self._cache.put({key: result})
        return result


def conclude(
    settings: Settings, results: Mapping[str, FileResult], loader: SummaryLoader, memory: dict[object, Any]
) -> Outcome:
    """From the results of single files to the findings of a run.

    `memory` is where facts about the project keep what the next call can use again.
    """
    rules = selected_rules(settings)
    by_path: dict[str, list[Diagnostic]] = {path: list(result.diagnostics) for path, result in results.items()}
    failures = [failure for result in results.values() for failure in result.failures]
    hidden: dict[str, set[str]] = defaultdict(set)
    for diagnostic in _project_findings(settings, rules, _Known(results, loader, memory), failures, hidden):
        if diagnostic.path in by_path:
            by_path[diagnostic.path].append(diagnostic)
    kept: list[Diagnostic] = []
    num_suppressed = 0
    active = {(rule.code, rule.rule_name()) for rule in rules}
    report_unused = any(rule.code == UNUSED_CODE for rule in rules)
    for path, diagnostics in by_path.items():
        result = results[path]
        suppressed = apply_suppressions(
            diagnostics,
            result.suppressions,
            active=active,
            hidden=result.hidden | hidden[path],
            report_unused=report_unused and not result.is_unparsable,
        )
        num_suppressed += suppressed.num_suppressed
        kept.extend(suppressed.diagnostics)
    return Outcome(tuple(_without_ignored(settings, kept)), tuple(failures), num_suppressed, loader.dependencies)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a project is made of."""

    results: Mapping[str, FileResult]
    loader: SummaryLoader
    memory: dict[object, Any]


def _project_findings(
    settings: Settings,
    rules: Sequence[Rule],
    known: _Known,
    failures: list[Failure],
    hidden: Mapping[str, set[str]],
) -> list[Diagnostic]:
    """The findings of all project rules; notes failures, and codes with findings below the reported confidence."""
    summaries = {path: result.summaries for path, result in known.results.items() if result.summaries}
    project_rules = [rule for rule in rules if isinstance(rule, ProjectRule)]
    if not summaries or not project_rules:
        return []
    project = Project(
        summaries,
        load=known.loader.load,
        exists=known.loader.exists,
        read=known.loader.read,
        list_paths=known.loader.list_paths,
        given=known.results,
    )
    project.memory = known.memory
    found = []
    for rule in project_rules:
        try:
            for finding in rule.check_project(project):
                if not isinstance(finding.at, Place):
                    raise TypeError("a project rule's finding must be at a `Place` that a summary holds")
                if finding.confidence < settings.min_confidence:
                    hidden[finding.at.path].add(rule.code)
                else:
                    found.append(diagnostic_of(finding, rule, finding.at))
        except Exception as error:
            failures.append(rule_failure("(all files)", rule, error))
    return found


def _with_folders(path: str) -> Iterator[str]:
    """The absolute path and all folders above it."""
    absolute = Path(path).absolute()
    return map(str, (absolute, *absolute.parents))


def _without_ignored(settings: Settings, diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Takes away what `per-file-ignores` names."""
    if not settings.per_file_ignores or not diagnostics:
        return list(diagnostics)
    import pathspec

    specs = [
        (pathspec.GitIgnoreSpec.from_lines([pattern]), selectors) for pattern, selectors in settings.per_file_ignores
    ]
    topics = {rule.code: rule.topic() for rule in selected_rules(settings)}
    kept = []
    for diagnostic in diagnostics:
        relative = os.path.relpath(Path(diagnostic.path).absolute(), settings.root)
        ignored = any(
            selector in ("ALL", topics.get(diagnostic.code))
            or matches_selector(selector, code=diagnostic.code, name=diagnostic.name)
            for spec, selectors in specs
            for selector in selectors
            if spec.match_file(relative)
        )
        if not ignored:
            kept.append(diagnostic)
    return kept
