"""What a rule is: the contract that every file in `rules/` fulfils.

A rule is found, not registered: any module below `rules/` (or below a folder named in `local-rules`) may hold one
subclass of `Rule` or `ProjectRule`. Its docstring is its page, see `explain.py` for the sections.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline_lint.diagnostic import Confidence, Fix, Place

if TYPE_CHECKING:
    import libcst as cst

    from pipeline_lint.facts.project import Project
    from pipeline_lint.source import Source

OptionValue = bool | int | float | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A defect as a rule sees it; the engine turns it into a `Diagnostic`."""

    at: cst.CSTNode | Place
    """The node to underline: as small as says what is wrong. A `Place` where the node's file is no longer at hand."""
    message: str
    """One line, no full stop: the wrong thing in backticks, what goes wrong, what to write instead."""
    confidence: Confidence = Confidence.CERTAIN
    witness: str | None = None
    fix: Fix | Callable[[], Fix | None] | None = None
    """A callable is asked only when the finding is reported, so that silent findings cost no rendering."""
    related: tuple[tuple[Place, str], ...] = ()


class Rule(ABC):
    """Looks at one file at a time."""

    code: ClassVar[str]
    """`TRN201`; never reused."""
    is_default: ClassVar[bool] = True
    """Whether the rule runs when nothing is selected."""
    triggers: ClassVar[tuple[str, ...]] = ()
    """Words of which a file must contain at least one to hold a finding; empty: every file may. Files in which no
    selected rule can find anything are not parsed."""
    options: ClassVar[Mapping[str, OptionValue]] = {}
    """Settings of `[tool.pipeline-lint.RULE-NAME]` with their defaults; a value must have its default's type."""
    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The values that an option may have, for options that are one of a few."""

    def __init__(self, options: Mapping[str, OptionValue] | None = None) -> None:
        self.settings: Mapping[str, OptionValue] = {**self.options, **(options or {})}

    @classmethod
    def rule_name(cls) -> str:
        """The identity, from the class: `LogOfSigmoid` is `log-of-sigmoid`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    @classmethod
    def topic(cls) -> str:
        """The folder that the rule lives in: `numerics`."""
        return cls.__module__.rpartition(".")[0].rpartition(".")[2] or "local"

    @abstractmethod
    def check(self, source: Source) -> Iterator[Finding]:
        """The defects of one file."""


class ProjectRule(Rule):
    """Looks at all files together, through what each file's summaries say.

    Syntax trees are dropped once a file is read; what the rule needs of a file, places included, must be in a summary.
    """

    summaries: ClassVar[tuple[Callable[[Source], Any], ...]]
    """Functions at module level that make a picklable summary of one file, computed where the file is parsed."""

    def check(self, source: Source) -> Iterator[Finding]:
        """A project rule has nothing to say of a file alone."""
        yield from ()

    @abstractmethod
    def check_project(self, project: Project) -> Iterator[Finding]:
        """The defects of the project; each finding's `at` is a `Place` from a summary."""


class ToolRule(Rule):
    """A page and a code for findings that the engine itself makes: files it cannot parse, idle suppressions."""

    def check(self, source: Source) -> Iterator[Finding]:
        yield from ()
