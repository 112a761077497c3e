from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline_lint.diagnostic import Report
from pipeline_lint.reporter import load_reporter, reporter_names
from tests.reporters.conftest import GOLDEN, CompareWithGolden
from tests.reporters.example_reports import empty_report, fixed_report, full_report, options

REPORTS: dict[str, Callable[[], Report]] = {"full": full_report, "empty": empty_report}
VARIANTS: dict[str, tuple[str, Callable[[], Report], dict[str, object]]] = {
    "text-color.ansi": ("text", full_report, {"color": True}),
    "text-statistics.txt": ("text", full_report, {"statistics": True}),
    "text-no-source.txt": ("text", full_report, {"show_source": False}),
    "text-fixed.txt": ("text", fixed_report, {"show_fixes": False}),
    "text-narrow.txt": ("text", full_report, {"width": 50}),
    "concise-color.ansi": ("concise", full_report, {"color": True}),
    "json-statistics.txt": ("json", full_report, {"statistics": True}),
}


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("reporter", reporter_names())
def test_a_report_is_rendered_as_its_golden_file_shows(
    reporter: str, report: str, compare_with_golden: CompareWithGolden
) -> None:
    output = load_reporter(reporter).render(REPORTS[report](), options())
    compare_with_golden(f"{reporter}-{report}.txt", output)


@pytest.mark.parametrize("golden", VARIANTS)
def test_an_option_changes_the_report_as_its_golden_file_shows(
    golden: str, compare_with_golden: CompareWithGolden
) -> None:
    reporter, report, changes = VARIANTS[golden]
    compare_with_golden(golden, load_reporter(reporter).render(report(), options(**changes)))


def test_every_golden_file_is_compared_with_something() -> None:
    compared = {f"{reporter}-{report}.txt" for reporter in reporter_names() for report in REPORTS} | set(VARIANTS)
    assert {path.name for path in GOLDEN.iterdir()} == compared
