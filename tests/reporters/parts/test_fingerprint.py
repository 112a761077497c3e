from __future__ import annotations

import dataclasses

from pipeline_lint.diagnostic import Diagnostic
from pipeline_lint.reporters.parts.fingerprint import fingerprints
from tests.reporters.example_reports import finding, place, script

CODE = "import torch\n\ndef f(p):\n    a = log(p)\n    a = log(p)\n    return log(a)\n"


def findings_in(text: str, path: str = "/project/net.py") -> list[Diagnostic]:
    code = script(path, text)
    return [finding(place(code, "log(", nth=number)) for number in range(text.count("log("))]


def marks(text: str, path: str = "/project/net.py") -> list[str]:
    return fingerprints(findings_in(text, path), "/project")


def test_lines_added_above_and_indentation_leave_fingerprints_alone() -> None:
    moved = "# new\n" * 7 + CODE.replace("    ", "\t\t")
    assert marks(moved) == marks(CODE)


def test_alike_findings_have_fingerprints_of_their_own() -> None:
    assert len(set(marks(CODE))) == 3


def test_a_fingerprint_changes_with_the_line_the_file_and_the_rule() -> None:
    first = marks("log(p)\n")[0]
    other_rule = dataclasses.replace(findings_in("log(p)\n")[0], code="TRN205")
    others = [
        marks("log(q)\n")[0],
        marks("log(p)\n", "/project/other.py")[0],
        fingerprints([other_rule], "/project")[0],
    ]
    assert first not in others
    assert len(set(others)) == 3


def test_a_fingerprint_is_the_same_wherever_the_project_lies() -> None:
    assert fingerprints(findings_in(CODE, "/ci/build/net.py"), "/ci/build") == marks(CODE)


def test_fingerprints_belong_to_findings_whatever_their_order() -> None:
    found = findings_in(CODE)
    assert fingerprints(found[::-1], "/project") == marks(CODE)[::-1]


def test_a_finding_without_source_lines_is_told_by_its_message() -> None:
    bare = [
        dataclasses.replace(each, place=dataclasses.replace(each.place, excerpt=None)) for each in findings_in(CODE)
    ]
    other = dataclasses.replace(bare[0], message="something else")
    assert len(set(fingerprints([*bare, other], "/project"))) == 4


def test_a_fingerprint_never_changes_from_version_to_version() -> None:
    assert marks(CODE)[0] == "23ffd29073f385705211741b3c48f0b0"
