"""Every rule has its page, its cases and a code of its own, whatever folder it lies in."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from pathlib import Path

import pytest

from pipeline_lint.explain import page
from pipeline_lint.rule import ProjectRule, Rule, ToolRule

ROOT = Path(__file__).parents[2]
RULES = ROOT / "pipeline_lint" / "rules"
RULE_FILES = sorted(path for path in RULES.glob("*/*.py") if path.stem != "__init__")

TOPIC_CODES = {
    "outputs": "TRN1",
    "numerics": "TRN2",
    "precision": "TRN3",
    "loop": "TRN4",
    "watching": "TRN5",
    "tool": "TRN9",
}


def relative(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def rules_in(path: Path) -> list[type[Rule]]:
    module = importlib.import_module(f"pipeline_lint.rules.{path.parent.name}.{path.stem}")
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Rule)
        and value not in (Rule, ProjectRule, ToolRule)
        and value.__module__ == module.__name__
    ]


def rule_in(path: Path) -> type[Rule]:
    (rule,) = rules_in(path)
    return rule


def test_there_are_rules() -> None:
    assert RULE_FILES


def test_rules_lie_in_the_folder_of_their_topic() -> None:
    assert not [path for path in RULES.glob("*.py") if path.stem != "__init__"]
    assert {path.parent.name for path in RULE_FILES} <= TOPIC_CODES.keys()


def test_no_two_rules_share_a_code_or_a_name() -> None:
    rules = [rule for path in RULE_FILES for rule in rules_in(path)]
    for counts in (Counter(rule.code for rule in rules), Counter(rule.rule_name() for rule in rules)):
        assert not [key for key, count in counts.items() if count > 1]


@pytest.mark.parametrize("path", RULE_FILES, ids=relative)
def test_a_file_holds_one_rule_of_its_name(path: Path) -> None:
    assert [rule.rule_name() for rule in rules_in(path)] == [path.stem.replace("_", "-")]


@pytest.mark.parametrize("path", RULE_FILES, ids=relative)
def test_a_code_is_of_its_topic(path: Path) -> None:
    assert re.fullmatch(rf"{TOPIC_CODES[path.parent.name]}\d\d", rule_in(path).code)


@pytest.mark.parametrize("path", RULE_FILES, ids=relative)
def test_a_docstring_has_all_sections(path: Path) -> None:
    assert page(rule_in(path)).name == path.stem.replace("_", "-")


@pytest.mark.parametrize("path", RULE_FILES, ids=relative)
def test_a_rule_has_cases(path: Path) -> None:
    cases = ROOT / "tests" / "rules" / path.parent.name / f"{path.stem}.md"
    assert cases.is_file(), f"{cases.relative_to(ROOT)} is missing"
    text = cases.read_text(encoding="utf-8")
    assert "# expect:" in text, f"{cases.relative_to(ROOT)} has no case with a finding"
    assert len(re.findall(r"(?m)^## ", text)) > 1, f"{cases.relative_to(ROOT)} has one case only"


@pytest.mark.parametrize("path", RULE_FILES, ids=relative)
def test_a_rule_has_a_page(path: Path) -> None:
    content = page(rule_in(path))
    document = ROOT / "docs" / "rules" / f"{content.name}.md"
    assert document.is_file(), f"{document.relative_to(ROOT)} is missing: run `make docs`"
    assert content.code in document.read_text(encoding="utf-8")


def test_a_page_or_a_case_file_belongs_to_a_rule() -> None:
    names = {path.stem.replace("_", "-") for path in RULE_FILES}
    pages = {path.stem for path in (ROOT / "docs" / "rules").glob("*.md")} - {"README"}
    assert pages <= names, f"pages without a rule: {pages - names}"
    files = {relative(path) for path in RULE_FILES}
    cases = {relative(path) for path in (ROOT / "tests" / "rules").glob("*/*.md")}
    assert cases <= files, f"case files without a rule: {cases - files}"
