"""Workflow commands that GitHub shows beside the lines of a pull request."""

from __future__ import annotations

from pipeline_lint.diagnostic import Confidence, Diagnostic, Failure, Report
from pipeline_lint.reporter import ReportOptions
from pipeline_lint.reporters.parts.paths import absolute_path
from pipeline_lint.reporters.parts.plain import plain_lines

_LEVELS = {Confidence.CERTAIN: "error", Confidence.LIKELY: "warning", Confidence.POSSIBLE: "notice"}


def render(report: Report, options: ReportOptions) -> str:  # noqa: ARG001 - the contract's
    """One command for each finding and each failure; nothing when there are none."""
    commands = [_command(diagnostic) for diagnostic in report.diagnostics]
    commands += [_failure_command(failure) for failure in report.failures]
    return "".join(f"{command}\n" for command in commands)


def _command(diagnostic: Diagnostic) -> str:
    place = diagnostic.place
    properties: dict[str, str | int] = {
        "title": f"pipeline-lint {diagnostic.code} ({diagnostic.name})",
        # A runner turns absolute paths into the repository's own, whatever folder the command ran in.
        "file": absolute_path(place.path),
        # Rows of a notebook count within its cell, which GitHub knows nothing of; the message has the real place.
        "line": 1 if place.cell is not None else place.location.row,
    }
    if place.cell is None:
        properties["endLine"] = place.end_location.row
        # GitHub rejects columns of annotations that span several lines.
        if place.end_location.row == place.location.row:
            properties["col"] = place.location.column
            properties["endColumn"] = place.end_location.column
    level = _LEVELS[diagnostic.confidence]
    text = "\n".join(plain_lines(diagnostic))
    return f"::{level} {_properties(properties)}::{_message(text)}"


def _failure_command(failure: Failure) -> str:
    properties: dict[str, str | int] = {"title": "pipeline-lint failed", "file": absolute_path(failure.path)}
    return f"::error {_properties(properties)}::{_message(f'{failure.path}: {failure.message}')}"


def _properties(properties: dict[str, str | int]) -> str:
    return ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def _message(text: str) -> str:
    # Names of files that are no UTF-8 reach Python as halves of surrogate pairs, which cannot be printed.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
