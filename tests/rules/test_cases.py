"""The literate cases of all rules, and the examples on their pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline_lint.config import Settings
from pipeline_lint.diagnostic import Confidence
from pipeline_lint.engine.catalog import builtin_rules
from pipeline_lint.engine.run import check_contents
from pipeline_lint.explain import page
from pipeline_lint.rule import Rule
from pipeline_lint.testing import Case, load_cases, run_case

FOLDER = Path(__file__).parent
CASES = [case for path in sorted(FOLDER.glob("*/*.md")) for case in load_cases(path)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_behaves_as_its_cases_say(case: Case) -> None:
    run_case(case)


def codes_found_in(code: str, rule: type[Rule]) -> set[str]:
    """What is found by default, and by the rule itself where it is off by default."""
    settings = Settings(extend_select=(rule.code,), min_confidence=Confidence.LIKELY)
    report = check_contents({"example.py": code.encode()}, settings)
    assert not report.failures
    return {diagnostic.code for diagnostic in report.diagnostics}


@pytest.mark.parametrize("rule", builtin_rules(), ids=lambda rule: rule.code)
def test_the_bad_example_of_a_page_is_found_and_the_good_one_is_not(rule: type[Rule]) -> None:
    content = page(rule)
    assert rule.code in codes_found_in(content.bad + "\n", rule)
    assert not codes_found_in(content.good + "\n", rule)
