"""SARIF 2.1.0, for code scanning services and the viewers of editors.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, urlsplit

from pipeline_lint.diagnostic import Confidence, Diagnostic, Edit, Failure, Fix, Place, Report
from pipeline_lint.reporter import ReportOptions
from pipeline_lint.reporters.parts.fingerprint import fingerprints
from pipeline_lint.reporters.parts.paths import project_path

_LEVELS = {Confidence.CERTAIN: "error", Confidence.LIKELY: "warning", Confidence.POSSIBLE: "note"}
_ROOT = "%SRCROOT%"
_FINGERPRINT = "pipelineLint/v1"
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render(report: Report, options: ReportOptions) -> str:
    """One run, whose paths are relative to this folder."""
    root = os.getcwd()  # noqa: PTH109 - joined to strings only
    codes = sorted({diagnostic.code for diagnostic in report.diagnostics})
    marks = fingerprints(report.diagnostics, root)
    run = {
        "tool": {
            "driver": {
                "name": "pipeline-lint",
                "version": options.version,
                "rules": [_rule(code, report.diagnostics, options) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"uri": _file_uri(root.rstrip("/\\") + "/")}},
        "invocations": [_invocation(report.failures, root)],
        "results": [
            _result(diagnostic, codes.index(diagnostic.code), mark, root)
            for diagnostic, mark in zip(report.diagnostics, marks, strict=True)
        ],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(code: str, diagnostics: Iterable[Diagnostic], options: ReportOptions) -> dict[str, Any]:
    page = options.pages.get(code)
    if page is None:
        return {"id": code, "name": next(each.name for each in diagnostics if each.code == code)}
    explanation = page.explanation or page.summary
    rule: dict[str, Any] = {
        "id": code,
        "name": page.name,
        "shortDescription": {"text": page.summary},
        "fullDescription": {"text": explanation},
        "help": {"text": explanation, "markdown": explanation},
    }
    if urlsplit(page.url).scheme:
        rule["helpUri"] = page.url
        rule["help"]["markdown"] += f"\n\n[{page.code} {page.name}]({page.url})"
    return rule


def _result(diagnostic: Diagnostic, rule_index: int, fingerprint: str, root: str) -> dict[str, Any]:
    witness = "" if diagnostic.witness is None else f" (witness: {diagnostic.witness})"
    properties: dict[str, Any] = {"confidence": diagnostic.confidence.label}
    if diagnostic.witness is not None:
        properties["witness"] = diagnostic.witness
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule_index,
        "level": _LEVELS[diagnostic.confidence],
        "message": {"text": diagnostic.message + witness},
        "locations": [_location(diagnostic.place, root)],
        "partialFingerprints": {_FINGERPRINT: fingerprint},
        "properties": properties,
    }
    if diagnostic.related:
        result["relatedLocations"] = [
            {"id": number, **_location(place, root), "message": {"text": words}}
            for number, (place, words) in enumerate(diagnostic.related, 1)
        ]
    # A replacement's region is one of the file, which for a notebook is JSON that we know no rows of.
    if diagnostic.fix is not None and all(edit.cell is None for edit in diagnostic.fix.edits):
        result["fixes"] = [_fix(diagnostic.fix, root)]
    return result


def _location(place: Place, root: str) -> dict[str, Any]:
    """Where a place is; in a notebook the whole file, with the place in the cell as a logical location."""
    physical: dict[str, Any] = {"artifactLocation": _artifact(place.path, root)}
    if place.cell is None:
        physical["region"] = _region(place)
        return {"physicalLocation": physical}
    # Code scanning wants a first row in every region.
    physical["region"] = {"startLine": 1}
    name = f"cell {place.cell}, row {place.location.row}, column {place.location.column}"
    return {"physicalLocation": physical, "logicalLocations": [{"name": name, "kind": "cell"}]}


def _region(span: Place | Edit) -> dict[str, int]:
    return {
        "startLine": span.location.row,
        "startColumn": span.location.column,
        "endLine": span.end_location.row,
        "endColumn": span.end_location.column,
    }


def _fix(fix: Fix, root: str) -> dict[str, Any]:
    return {
        "description": {"text": f"{fix.message} ({fix.applicability.value} fix)"},
        "artifactChanges": [
            {
                "artifactLocation": _artifact(path, root),
                "replacements": [
                    {"deletedRegion": _region(edit), "insertedContent": {"text": edit.text}}
                    for edit in sorted(fix.edits, key=lambda edit: (edit.start, edit.end))
                    if edit.path == path
                ],
            }
            for path in sorted(fix.paths)
        ],
    }


def _invocation(failures: Iterable[Failure], root: str) -> dict[str, Any]:
    notifications = [
        {
            "level": "error",
            "message": {"text": f"{failure.path}: {failure.message}"},
            "locations": [{"physicalLocation": {"artifactLocation": _artifact(failure.path, root)}}],
        }
        for failure in failures
    ]
    return {"executionSuccessful": not notifications, "toolExecutionNotifications": notifications}


def _artifact(path: str, root: str) -> dict[str, str]:
    relative = project_path(path, root)
    if PurePath(relative).is_absolute():
        return {"uri": _file_uri(relative)}
    return {"uri": _quoted(relative), "uriBaseId": _ROOT}


def _file_uri(path: str) -> str:
    posix = path.replace(os.sep, "/")
    return "file://" + _quoted(posix if posix.startswith("/") else f"/{posix}", unquoted="/:")


def _quoted(path: str, *, unquoted: str = "/") -> str:
    return quote(os.fsencode(path), safe=unquoted)
