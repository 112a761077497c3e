"""`pipeline-lint fix --incident`: from what runtime_guard kept of a bad step to the fix of the line it names.

Reads the incident as plain JSON, so that neither torch nor runtime_guard has to be installed where code is fixed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lint.config import ConfigError, SettingsResolver
from pipeline_lint.diagnostic import Confidence, Diagnostic
from pipeline_lint.engine.fix_files import Fixed, fix_files
from pipeline_lint.engine.run import RunOptions

FORMAT = 1
"""Of incident.json, as runtime_guard writes it."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """The line that an incident blames."""

    path: str
    line: int
    text: str
    operation: str
    value: str
    rule: str | None
    advice: str | None

    def __str__(self) -> str:
        return f"{self.path}:{self.line} (`{self.text}`), where {self.operation} made {self.value}"


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the line is found guilty of, and what the fix makes of it."""

    diagnostics: list[Diagnostic]
    """Findings at the line, those with a fix first."""
    fixed: Fixed


def read_culprit(folder: Path) -> Culprit:
    """The line that the incident in a folder blames.

    Raises ConfigError where the folder holds no incident, the incident blames no line of code, or the line is not in
    its file as it was.
    """
    incident = _read(folder)
    birth = incident.get("birth")
    if birth is None:
        raise ConfigError(f"the incident in {folder} names no cause, so there is no line to fix")
    place = birth.get("place")
    if birth.get("kind") != "operation" or place is None:
        advice = incident.get("advice") or "nothing is known to help"
        raise ConfigError(f"the incident in {folder} comes from {_source(birth)}, not from a line of code: {advice}")
    culprit = Culprit(
        path=_relative(place["path"]),
        line=place["line"],
        text=place["text"],
        operation=birth["operation"],
        value=birth["value"],
        rule=incident.get("rule"),
        advice=incident.get("advice"),
    )
    _expect_unchanged(culprit)
    return culprit


def propose(culprit: Culprit, resolver: SettingsResolver) -> Proposal:
    """The fix of the rule that the incident names, or where that is silent of any numerical rule. Writes nothing."""
    selections = [("TRN2",)] if culprit.rule is None else [(culprit.rule,), ("TRN2",)]
    proposal = Proposal([], Fixed())
    for selection in selections:
        # What has happened is no matter of confidence.
        narrowed = resolver.overridden({"select": selection, "min_confidence": Confidence.POSSIBLE})
        found: list[Diagnostic] = []

        def accept(diagnostic: Diagnostic, _: Mapping[str, bytes], found: list[Diagnostic] = found) -> bool:
            # One fix: a second one would be for a line that nobody blamed.
            if found or not _covers(diagnostic, culprit):
                return False
            found.append(diagnostic)
            return True

        options = RunOptions(jobs=1, use_cache=False)
        fixed = fix_files([culprit.path], narrowed, options=options, unsafe=True, accept=accept)
        if found:
            return Proposal(found, fixed)
        if not proposal.diagnostics:
            proposal = Proposal([d for d in fixed.report.diagnostics if _covers(d, culprit)], fixed)
    return proposal


def _covers(diagnostic: Diagnostic, culprit: Culprit) -> bool:
    place = diagnostic.place
    return (
        Path(diagnostic.path).samefile(culprit.path)
        and place.location.row <= culprit.line <= max(place.end_location.row, place.noqa_row)
    )  # fmt: skip


def _read(folder: Path) -> Mapping[str, Any]:
    file = folder if folder.name == "incident.json" else folder / "incident.json"
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{folder} holds no incident.json; expected the folder of an incident, e.g. runs/1/incidents/step-00000003"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("incident"), dict):
        raise ConfigError(f"{file} is not an incident of runtime_guard")
    if record.get("format") != FORMAT:
        raise ConfigError(f"{file} has format {record.get('format')!r}, this version reads {FORMAT}")
    incident: Mapping[str, Any] = record["incident"]
    birth = incident.get("birth")
    place = birth.get("place") if isinstance(birth, dict) else None
    is_whole = birth is None or (
        isinstance(birth, dict)
        and {"kind", "operation", "value"} <= birth.keys()
        and (place is None or (isinstance(place, dict) and {"path", "line", "text"} <= place.keys()))
    )
    if not is_whole:
        raise ConfigError(f"{file} is damaged: it does not say what made the first bad number, and where")
    return incident


def _source(birth: Mapping[str, Any]) -> str:
    kind, name = birth.get("kind"), birth.get("operation")
    return f"the {kind} {name}" if kind in ("parameter", "buffer", "input") else f"{name} ({kind})"


def _relative(path: str) -> str:
    """As patches for `git apply` need it."""
    absolute = Path(path)
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else path


def _expect_unchanged(culprit: Culprit) -> None:
    path = Path(culprit.path)
    if {"site-packages", "dist-packages"} & set(path.parts):
        raise ConfigError(f"the incident blames {culprit}: that is an installed package, not code of yours to fix")
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        raise ConfigError(
            f"the incident blames {culprit}, but there is no such file here; run this where the training ran"
        ) from None
    except OSError as error:
        raise ConfigError(f"the incident blames {culprit}, but that cannot be read: {error}") from None
    now = lines[culprit.line - 1].strip() if culprit.line <= len(lines) else None
    if culprit.text and now != culprit.text.strip():
        found = "the file is shorter now" if now is None else f"the line is `{now}` now"
        raise ConfigError(
            f"the incident blames {culprit}, but {found}; the file was changed since, so run the training again"
        )
