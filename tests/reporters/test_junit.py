from __future__ import annotations

from xml.etree import ElementTree as ET

from pipeline_lint.diagnostic import Report
from pipeline_lint.reporters import junit
from tests.reporters.example_reports import empty_report, finding, full_report, options, place, report_of, script


def parsed(report: Report) -> ET.Element:
    return ET.fromstring(junit.render(report, options()).encode())


def test_nothing_found_is_one_test_that_passes() -> None:
    suites = parsed(empty_report())
    (case,) = suites.iter("testcase")
    assert suites.get("tests") == "1"
    assert (case.get("name"), len(case)) == ("No problems found", 0)


def test_each_file_is_a_suite_and_each_finding_a_failed_test() -> None:
    suites = parsed(full_report())
    assert {suite.get("name"): int(suite.get("failures", "")) for suite in suites} == {
        "minified.py": 1,
        "models/broken.py": 0,
        "models/locked.py": 0,
        "models/verlust/größe 1.py": 3,
        "notebooks/train.ipynb": 2,
    }
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("8", "6", "2")


def test_tests_can_be_told_apart_by_their_names() -> None:
    report = full_report()
    report.failures.append(report.failures[0])
    names = [(case.get("classname"), case.get("name")) for case in parsed(report).iter("testcase")]
    assert len(set(names)) == 9


def test_a_failure_of_the_tool_is_an_error_and_no_failed_test() -> None:
    case = next(case for case in parsed(full_report()).iter("testcase") if case.get("file") == "models/broken.py")
    (error,) = case
    assert error.tag == "error"
    assert error.get("message") == "rule `log-near-zero` raised ZeroDivisionError: division by zero"
    assert (error.text or "").endswith("\n  in check, row 12")


def test_characters_that_xml_forbids_are_spelled_out() -> None:
    found = finding(place(script("a\x1b.py", "bad\n"), "bad"), "\x00\x1b\ud800\ufffe\x7f ]]> & <b> \"'")
    (case,) = parsed(report_of(found)).iter("testcase")
    assert case.get("file") == r"a\x1b.py"
    assert case[0].get("message") == "\\x00\\x1b\\ud800\\ufffe\x7f ]]> & <b> \"'"
    assert case[0].text == f"a\\x1b.py:1:1: TRN204 {case[0].get('message')}"
