from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from pipeline_lint.diagnostic import Applicability, Diagnostic, Failure, Fix, Report
from pipeline_lint.reporters.parts.palette import Palette
from pipeline_lint.reporters.parts.summary import failure_lines, rule_counts, statistics_lines, summary_lines
from tests.reporters.example_reports import finding, options, place, report_of, script

CODE = script("a.py", "bad\n")
PLAIN = finding(place(CODE, "bad"))
SAFE = finding(place(CODE, "bad"), fix=Fix(Applicability.SAFE, "do better", ()))
UNSAFE = finding(place(CODE, "bad"), fix=Fix(Applicability.UNSAFE, "do better", ()))
FAILURE = Failure("b.py", "cannot be read")


@pytest.mark.parametrize(
    ("findings", "lines"),
    [
        ([], ["All checks passed!"]),
        ([PLAIN], ["Found 1 problem."]),
        ([PLAIN, PLAIN], ["Found 2 problems."]),
        ([SAFE], ["Found 1 problem.", "[*] 1 fixable with `pipeline-lint fix`."]),
        ([UNSAFE], ["Found 1 problem.", "1 fixable with `pipeline-lint fix --unsafe-fixes`."]),
        (
            [SAFE, SAFE, UNSAFE],
            ["Found 3 problems.", "[*] 2 fixable with `pipeline-lint fix`, 1 more with `--unsafe-fixes`."],
        ),
    ],
)
def test_the_summary_counts_findings_and_what_can_be_fixed(findings: list[Diagnostic], lines: list[str]) -> None:
    assert list(summary_lines(report_of(*findings), options())) == lines


@pytest.mark.parametrize(
    ("num_fixed", "num_left", "line"),
    [
        (1, 0, "Found 1 problem (1 fixed, 0 remaining)."),
        (1, 1, "Found 2 problems (1 fixed, 1 remaining)."),
        (3, 2, "Found 5 problems (3 fixed, 2 remaining)."),
    ],
)
def test_the_summary_of_a_fixing_run_says_what_is_left(num_fixed: int, num_left: int, line: str) -> None:
    report = Report([PLAIN] * num_left, num_files=1, num_fixed=Counter({"TRN204": num_fixed}))
    assert list(summary_lines(report, options())) == [line]


def test_fixes_are_not_offered_where_they_have_just_been_applied() -> None:
    assert list(summary_lines(report_of(SAFE, UNSAFE), options(show_fixes=False))) == ["Found 2 problems."]


def test_a_run_that_failed_does_not_claim_that_all_checks_passed() -> None:
    lines = list(summary_lines(report_of(failures=[FAILURE]), options()))
    assert lines == [
        "Found no problems in what could be checked.",
        "1 error: pipeline-lint could not do all of its work, see above.",
    ]


def test_a_run_over_no_files_does_not_claim_that_all_checks_passed() -> None:
    assert list(summary_lines(Report(), options())) == ["No files to check."]


def test_the_rows_of_a_failure_are_indented_below_it() -> None:
    lines = failure_lines([Failure("b.py", "rule raised\nTraceback:\n\n  row")], Palette(color=False))
    assert list(lines) == ["error: b.py: rule raised", "    Traceback:", "", "      row"]


def test_rules_are_counted_most_often_first_with_their_safe_fixes() -> None:
    other = dataclasses.replace(SAFE, code="TRN101", name="tuple-returning-forward")
    counts = rule_counts([other, PLAIN, SAFE, UNSAFE])
    assert [(each.code, each.found, each.fixable) for each in counts] == [("TRN204", 3, 1), ("TRN101", 1, 1)]


def test_statistics_are_aligned_and_marked_by_what_can_be_fixed() -> None:
    other = dataclasses.replace(SAFE, code="X1", name="local")
    third = dataclasses.replace(PLAIN, code="X2", name="mine")
    lines = statistics_lines([*[PLAIN] * 9, SAFE, other, third], Palette(color=False))
    assert list(lines) == ["10  TRN204  [-] log-near-zero", " 1  X1      [*] local", " 1  X2      [ ] mine"]
