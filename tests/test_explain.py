"""A rule's docstring as a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from pipeline_lint.engine.catalog import builtin_rules
from pipeline_lint.explain import SECTIONS, Page, PageError, page, render_markdown, render_text, rule_page
from pipeline_lint.rule import Finding, OptionValue, Rule
from pipeline_lint.source import Source

DOCSTRING = """The defect in
    one sentence.

    Why it matters, in a paragraph that is long enough to be wrapped when a terminal is as narrow as the test says.

    - a list
    - stays a list

    Bad:
        import torch

        x = 1
    Good:
        x = 2
    Exempt: what is
        left alone.
    Fix: Safe, unsafe with options: changes
        1 to 2.
    Source: a paper
    """


def rule_with(docstring: str | None) -> type[Rule]:
    class OneIsTwo(Rule):
        code = "TRN299"
        is_default = False
        options: ClassVar[Mapping[str, OptionValue]] = {"limit": 3, "names": ("a", 'b"'), "strict": True, "style": "x"}

        def check(self, source: Source) -> Iterator[Finding]:
            yield from ()

    OneIsTwo.__doc__ = docstring
    return OneIsTwo


def test_a_docstring_is_read_into_its_sections() -> None:
    content = page(rule_with(DOCSTRING))
    assert (content.code, content.name, content.is_default) == ("TRN299", "one-is-two", False)
    assert content.summary == "The defect in one sentence."
    assert content.why.startswith("Why it matters")
    assert content.why.endswith("- stays a list")
    assert content.bad == "import torch\n\nx = 1"
    assert content.good == "x = 2"
    assert content.exempt == "what is\nleft alone."
    assert content.fix == "Safe, unsafe with options: changes\n1 to 2."
    assert content.source == "a paper"


@pytest.mark.parametrize(
    ("fix", "kinds"),
    [
        ("Safe: all of it.", ("safe",)),
        ("Unsafe: it is safe only at times.", ("unsafe",)),
        ("None: nothing is safe here.", ("none",)),
        ("Safe, none for two: x.", ("safe", "none")),
    ],
)
def test_the_words_before_the_colon_say_what_a_fix_is(fix: str, kinds: tuple[str, ...]) -> None:
    assert page(rule_with(re.sub(r"(?s)Fix:.*Source", f"Fix: {fix}\n    Source", DOCSTRING))).fix_kinds == kinds


@pytest.mark.parametrize("section", SECTIONS)
def test_a_missing_section_is_an_error_that_names_rule_and_section(section: str) -> None:
    with pytest.raises(PageError, match=rf"one-is-two.*no section `{section}:`"):
        page(rule_with(re.sub(rf"(?ms)^    {section}:.*?(?=^    [A-Z]\w+:|\Z)", "", DOCSTRING)))


@pytest.mark.parametrize("section", SECTIONS)
def test_an_empty_section_is_an_error_that_names_rule_and_section(section: str) -> None:
    with pytest.raises(PageError, match=rf"one-is-two.*section `{section}` of its docstring is empty"):
        page(rule_with(re.sub(rf"(?ms)^    {section}:.*?(?=^    [A-Z]\w+:|\Z)", f"    {section}:\n", DOCSTRING)))


@pytest.mark.parametrize(
    ("docstring", "message"),
    [
        (None, "rule `one-is-two`.* has no docstring"),
        ("Only a summary.", "the section `why` of its docstring is empty"),
        (DOCSTRING.replace("Exempt:", "Exmept:"), "unknown section `Exmept:`.*the sections are Bad, Good"),
        (DOCSTRING.replace("Good:", "Bad:"), "has the section `Bad:` twice"),
        (DOCSTRING.replace("Safe, unsafe with options:", "Removes"), "must begin with `Safe:`, `Unsafe:` or `None:`"),
        (DOCSTRING.replace("Safe, unsafe with options:", "Perhaps:"), "must begin with `Safe:`, `Unsafe:` or `None:`"),
    ],
)
def test_a_docstring_that_is_no_page_is_an_error_that_says_why(docstring: str | None, message: str) -> None:
    with pytest.raises(PageError, match=message):
        page(rule_with(docstring))


def test_a_rule_does_not_inherit_the_page_of_its_base() -> None:
    class Other(rule_with(DOCSTRING)):  # type: ignore[misc]
        pass

    with pytest.raises(PageError, match=r"rule `other`.* has no docstring"):
        page(Other)


def test_the_terminal_gets_code_name_topic_default_fix_and_options() -> None:
    text = render_text(page(rule_with(DOCSTRING)), width=60)
    assert text.startswith("TRN299 one-is-two\ntopic ")
    assert "off by default, safe or unsafe fix\n" in text
    assert "Why it matters, in a paragraph that is long enough to be\nwrapped" in text
    assert "- a list\n- stays a list" in text
    assert "Bad\n    import torch\n\n    x = 1\n" in text
    assert "Exempt\n    what is left alone.\n" in text
    assert '    names = ["a", "b\\""]\n    strict = true\n    style = "x"\n' in text
    assert "\x1b" not in text
    assert not text.endswith("\n\n")


def test_color_is_given_when_asked_for_and_changes_no_word() -> None:
    content = page(rule_with(DOCSTRING))
    colored = render_text(content, color=True)
    assert colored.startswith("\x1b[1mTRN299 one-is-two\x1b[0m\n")
    assert re.sub(r"\x1b\[\d+m", "", colored) == render_text(content)


def test_the_documentation_gets_headings_and_fenced_code() -> None:
    text = render_markdown(page(rule_with(DOCSTRING)))
    assert text.startswith("# one-is-two (TRN299)\n\n")
    assert "## Bad\n\n```python\nimport torch\n\nx = 1\n```\n\n## Good\n" in text
    assert "```toml\n[tool.pipeline-lint.one-is-two]\nlimit = 3\n" in text
    assert text.endswith("```\n")


def test_a_page_without_options_shows_none() -> None:
    (rule,) = (rule for rule in builtin_rules() if rule.code == "TRN201")
    assert "Options" not in render_text(page(rule))
    assert "Options" not in render_markdown(page(rule))


def test_reporters_get_summary_address_and_explanation() -> None:
    found = rule_page(rule_with(DOCSTRING))
    assert (found.code, found.name, found.summary) == ("TRN299", "one-is-two", "The defect in one sentence.")
    assert found.url.endswith("docs/rules/one-is-two.md")
    assert found.explanation.startswith("Why it matters")
    assert rule_page(rule_with(DOCSTRING)()) == found


@pytest.mark.parametrize("rule", builtin_rules(), ids=lambda rule: rule.code)
def test_every_rule_has_a_page_that_fits_a_terminal(rule: type[Rule]) -> None:
    content: Page = page(rule)
    assert content.summary.endswith(".")
    assert max(map(len, render_text(content, width=100).splitlines())) <= 120
    assert render_markdown(content).count("```") % 2 == 0
