"""JUnit XML: each file a suite, each finding a failed test, each failure of the tool an error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import TypeVar
from xml.etree import ElementTree as ET

from pipeline_lint.diagnostic import Diagnostic, Failure, Report
from pipeline_lint.reporter import ReportOptions
from pipeline_lint.reporters.parts.plain import plain_lines

Item = TypeVar("Item", Diagnostic, Failure)

_TOOL = "pipeline-lint"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(report: Report, options: ReportOptions) -> str:  # noqa: ARG001 - the contract's
    """One test that passes when nothing was found, because most readers take an empty report for a broken one."""
    suites = ET.Element("testsuites", name=_TOOL)
    findings = _by_path(report.diagnostics)
    failures = _by_path(report.failures)
    for path in sorted({*findings, *failures}):
        suite = ET.SubElement(suites, "testsuite", name=_legal(path))
        for diagnostic in findings.get(path, []):
            _add_finding(suite, diagnostic)
        for number, failure in enumerate(failures.get(path, []), 1):
            _add_failure(suite, failure, number)
    if len(suites) == 0:
        suite = ET.SubElement(suites, "testsuite", name=_TOOL)
        ET.SubElement(suite, "testcase", name="No problems found", classname=_TOOL)
    for element in (*suites, suites):
        _count(element)
    ET.indent(suites)
    # Written as ASCII, the document says the truth about its encoding wherever it goes.
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(suites, encoding="us-ascii").decode("ascii")}\n'


def _by_path(items: Iterable[Item]) -> dict[str, list[Item]]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.path, []).append(item)
    return groups


def _add_finding(suite: ET.Element, diagnostic: Diagnostic) -> None:
    place = diagnostic.place
    cell = f"cell {place.cell}:" if place.cell is not None else ""
    where = f"{cell}{place.location.row}:{place.location.column}"
    case = ET.SubElement(
        suite,
        "testcase",
        # Readers tell tests apart by these two, so the position belongs to the name.
        name=_legal(f"{diagnostic.code} [{diagnostic.name}] {where}"),
        classname=_classname(place.path),
        file=_legal(place.path),
        line=str(place.location.row),
    )
    failure = ET.SubElement(case, "failure", message=_legal(diagnostic.message), type=diagnostic.confidence.label)
    failure.text = _legal("\n".join(plain_lines(diagnostic)))


def _add_failure(suite: ET.Element, failure: Failure, number: int) -> None:
    name = f"{_TOOL} failed" if number == 1 else f"{_TOOL} failed ({number})"
    case = ET.SubElement(suite, "testcase", name=name, classname=_classname(failure.path), file=_legal(failure.path))
    first, _, _ = failure.message.partition("\n")
    error = ET.SubElement(case, "error", message=_legal(first), type="failure")
    error.text = _legal(failure.message)


def _count(element: ET.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    element.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    element.set("errors", str(sum(case.find("error") is not None for case in cases)))
    element.set("skipped", "0")


def _classname(path: str) -> str:
    pure = PurePath(path)
    return _legal((pure.with_suffix("") if pure.name else pure).as_posix())


def _legal(text: str) -> str:
    """The text with Python's escapes in place of characters that no XML document may have."""
    return _NOT_IN_XML.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
