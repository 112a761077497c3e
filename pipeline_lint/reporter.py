"""What a reporter is: the contract that every file in `reporters/` fulfils.

A reporter is found by its file's name, which is the value of `--output-format`: `reporters/sarif.py` defines
`render(report, options) -> str`. What several of them share is in `reporters/parts/`.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import Protocol, cast

from pipeline_lint.diagnostic import Report


@dataclass(frozen=True, slots=True)
class RulePage:
    """What reporters say of a rule besides its findings."""

    code: str
    name: str
    summary: str
    url: str
    explanation: str = ""


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How to render, as the command line asks for it."""

    color: bool = False
    show_source: bool = True
    show_fixes: bool = True
    """Whether to say how to apply the fixes on offer; false when they have just been applied."""
    statistics: bool = False
    width: int = 100
    version: str = "0"
    pages: dict[str, RulePage] = field(default_factory=dict)
    """By rule code."""


class Reporter(Protocol):
    """A module of `reporters/`."""

    def render(self, report: Report, options: ReportOptions) -> str:
        """The whole output, with its final line ending; empty when there is nothing to say."""


def reporter_names() -> list[str]:
    """The values that `--output-format` takes."""
    from pipeline_lint import reporters

    return sorted(module.name for module in pkgutil.iter_modules(reporters.__path__) if not module.ispkg)


def load_reporter(name: str) -> Reporter:
    """The reporter of that name; only it is imported."""
    return cast("Reporter", importlib.import_module(f"pipeline_lint.reporters.{name}"))
