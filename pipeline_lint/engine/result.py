"""What checking gives before it becomes a report: plain data that travels between processes and into the cache."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline_lint.diagnostic import Diagnostic, Failure
from pipeline_lint.engine.dependencies import Dependency
from pipeline_lint.engine.suppress import Suppression

Summaries = dict[str, Any]
"""What project rules need of a file, by `summary_key`."""


@dataclass(frozen=True, slots=True)
class FileResult:
    """What checking one file gives, before suppressions; plain data that the cache keeps."""

    diagnostics: tuple[Diagnostic, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
    failures: tuple[Failure, ...] = ()
    hidden: frozenset[str] = frozenset()
    """Codes of rules with findings below the reported confidence."""
    was_parsed: bool = False
    is_unparsable: bool = False
    summaries: Summaries = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run over all files of one configuration gives, suppressions applied."""

    diagnostics: tuple[Diagnostic, ...]
    failures: tuple[Failure, ...]
    num_suppressed: int
    dependencies: tuple[Dependency, ...] = ()
    """Files besides those checked that it depends on."""
