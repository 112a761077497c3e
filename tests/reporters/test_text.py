from __future__ import annotations

import dataclasses

import click
import pytest

from pipeline_lint.diagnostic import Applicability, Confidence, Fix
from pipeline_lint.reporters import text
from tests.reporters.example_reports import edit, finding, full_report, in_cell, options, place, report_of, script

CODE = script("train.py", "for x in loader:\n    loss = torch.log(x)\n")
SPAN = place(CODE, "torch.log(x)")
CHANGE = edit(CODE, "torch.log(x)", "torch.log1p(x)")


def test_a_finding_is_told_from_its_place_to_its_fix() -> None:
    found = dataclasses.replace(
        finding(SPAN, fix=Fix(Applicability.UNSAFE, "clamp `x`", (CHANGE,))),
        confidence=Confidence.LIKELY,
        witness="x = 0.0",
        related=((place(CODE, "x"), "comes from here"),),
    )
    assert text.render(report_of(found), options()).splitlines() == [
        "TRN204 [log-near-zero] `log` of zero is -inf",
        " --> train.py:2:12",
        "  |",
        "1 | for x in loader:",
        "2 |     loss = torch.log(x)",
        "  |            ^^^^^^^^^^^^",
        "witness: x = 0.0",
        "note: train.py:1:5 comes from here",
        "confidence: likely",
        "help: clamp `x` (unsafe fix, needs --unsafe-fixes)",
        "  |",
        "  -     loss = torch.log(x)",
        "2 +     loss = torch.log1p(x)",
        "  |",
        "",
        "Found 1 problem.",
        "1 fixable with `pipeline-lint fix --unsafe-fixes`.",
    ]


def test_a_place_in_a_notebook_names_its_cell() -> None:
    assert " --> train.py:cell 3:2:12\n" in text.render(report_of(finding(in_cell(SPAN, 3))), options())


def test_a_certain_finding_does_not_speak_of_confidence() -> None:
    assert "confidence" not in text.render(report_of(finding(SPAN)), options())


@pytest.mark.parametrize(
    ("applicability", "show_fixes", "promise"),
    [
        (Applicability.SAFE, True, "(safe fix)"),
        (Applicability.SAFE, False, "(safe fix)"),
        (Applicability.UNSAFE, True, "(unsafe fix, needs --unsafe-fixes)"),
        (Applicability.UNSAFE, False, "(unsafe fix)"),
    ],
)
def test_the_help_line_says_what_the_fix_promises(applicability: Applicability, show_fixes: bool, promise: str) -> None:
    found = finding(SPAN, fix=Fix(applicability, "clamp it", (CHANGE,)))
    assert f"help: clamp it {promise}\n" in text.render(report_of(found), options(show_fixes=show_fixes))


def test_without_source_neither_the_code_nor_its_change_is_shown() -> None:
    found = finding(SPAN, fix=Fix(Applicability.SAFE, "clamp it", (CHANGE,)))
    assert "|" not in text.render(report_of(found), options(show_source=False))


def test_statistics_take_the_place_of_findings() -> None:
    output = text.render(report_of(finding(SPAN), finding(SPAN)), options(statistics=True))
    assert output == "2  TRN204  [ ] log-near-zero\n\nFound 2 problems.\n"


def test_colors_change_nothing_but_the_looks() -> None:
    colored = text.render(full_report(), options(color=True))
    assert "\x1b[" in colored
    assert click.unstyle(colored) == text.render(full_report(), options(color=False))
