from __future__ import annotations

import click

from pipeline_lint.diagnostic import Applicability, Fix
from pipeline_lint.reporters import concise
from tests.reporters.example_reports import finding, full_report, in_cell, options, place, report_of, script

SPAN = place(script("train.py", "a\nbad\n"), "bad")


def test_each_finding_is_one_line_and_safe_fixes_are_marked() -> None:
    report = report_of(
        finding(SPAN, fix=Fix(Applicability.SAFE, "", ())),
        finding(in_cell(SPAN, 2), fix=Fix(Applicability.UNSAFE, "", ())),
        finding(SPAN, "two\nrows"),
    )
    assert concise.render(report, options()).splitlines()[:4] == [
        "train.py:2:1: TRN204 [*] `log` of zero is -inf",
        "train.py:cell 2:2:1: TRN204 `log` of zero is -inf",
        "train.py:2:1: TRN204 two␊rows",
        "Found 3 problems.",
    ]


def test_statistics_take_the_place_of_findings() -> None:
    output = concise.render(report_of(finding(SPAN)), options(statistics=True))
    assert output == "1  TRN204  [ ] log-near-zero\nFound 1 problem.\n"


def test_colors_change_nothing_but_the_looks() -> None:
    colored = concise.render(full_report(), options(color=True))
    assert "\x1b[" in colored
    assert click.unstyle(colored) == concise.render(full_report(), options())
