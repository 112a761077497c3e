"""Code Quality JSON, which GitLab shows in the widget and the changes of a merge request."""

from __future__ import annotations

import json
import os
from typing import Any

from pipeline_lint.diagnostic import Confidence, Diagnostic, Report
from pipeline_lint.reporter import ReportOptions
from pipeline_lint.reporters.parts.fingerprint import fingerprints
from pipeline_lint.reporters.parts.paths import project_path

_SEVERITIES = {Confidence.CERTAIN: "major", Confidence.LIKELY: "minor", Confidence.POSSIBLE: "info"}


def render(report: Report, options: ReportOptions) -> str:  # noqa: ARG001 - the contract's
    """One object for each finding, with paths relative to the repository of the job or else to this folder."""
    root = os.environ.get("CI_PROJECT_DIR") or os.getcwd()  # noqa: PTH109 - joined to strings only
    marks = fingerprints(report.diagnostics, root)
    issues = [_issue(each, mark, root) for each, mark in zip(report.diagnostics, marks, strict=True)]
    return json.dumps(issues, indent=2) + "\n"


def _issue(diagnostic: Diagnostic, fingerprint: str, root: str) -> dict[str, Any]:
    place = diagnostic.place
    # Rows of a notebook count within its cell, which GitLab knows nothing of.
    in_cell = "" if place.cell is None else f" (cell {place.cell}, row {place.location.row})"
    begin, end = (place.location.row, place.end_location.row) if place.cell is None else (1, 1)
    witness = "" if diagnostic.witness is None else f"; witness: {diagnostic.witness}"
    return {
        "description": f"{diagnostic.code}: {diagnostic.message}{witness}{in_cell}",
        "check_name": diagnostic.name,
        "fingerprint": fingerprint,
        "severity": _SEVERITIES[diagnostic.confidence],
        "location": {"path": project_path(place.path, root), "lines": {"begin": begin, "end": end}},
    }
