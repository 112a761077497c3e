"""Findings as a JSON list with the field names of ruff's, so that what reads ruff's reads ours."""

from __future__ import annotations

import json
from typing import Any

from pipeline_lint.diagnostic import Diagnostic, Fix, Location, Place, Report
from pipeline_lint.reporter import ReportOptions
from pipeline_lint.reporters.parts.paths import absolute_path
from pipeline_lint.reporters.parts.summary import rule_counts


def render(report: Report, options: ReportOptions) -> str:
    """One object for each finding, or with `statistics` for each rule; `[]` when there is none."""
    content = _counts(report) if options.statistics else [_finding(each, options) for each in report.diagnostics]
    return json.dumps(content, indent=2) + "\n"


def _finding(diagnostic: Diagnostic, options: ReportOptions) -> dict[str, Any]:
    page = options.pages.get(diagnostic.code)
    return {
        "code": diagnostic.code,
        "name": diagnostic.name,
        "message": diagnostic.message,
        **_place(diagnostic.place),
        "noqa_row": diagnostic.place.noqa_row,
        "confidence": diagnostic.confidence.label,
        "witness": diagnostic.witness,
        "related": [{"message": words, **_place(place)} for place, words in diagnostic.related],
        "fix": None if diagnostic.fix is None else _fix(diagnostic.fix),
        "url": None if page is None else page.url,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "applicability": fix.applicability.value,
        "message": fix.message,
        "edits": [
            {
                "filename": absolute_path(edit.path),
                "cell": edit.cell,
                "location": _location(edit.location),
                "end_location": _location(edit.end_location),
                "content": edit.text,
            }
            for edit in fix.edits
        ],
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "filename": absolute_path(place.path),
        "cell": place.cell,
        "location": _location(place.location),
        "end_location": _location(place.end_location),
    }


def _location(location: Location) -> dict[str, int]:
    return {"row": location.row, "column": location.column}


def _counts(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "code": each.code,
            "name": each.name,
            "count": each.found,
            "fixable": each.found == each.fixable,
            "fixable_count": each.fixable,
        }
        for each in rule_counts(report.diagnostics)
    ]
