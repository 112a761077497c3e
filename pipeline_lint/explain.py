"""A rule's docstring as a page: what `explain` prints, what docs/rules/ holds and what reports link to.

The docstring has fixed sections, each an unindented word and a colon, its text beside it or indented below:

    One sentence that says what the defect is.

    Why it matters, in as many paragraphs as it takes, with the witness.

    Bad:
        code that has the defect
    Good:
        the same without it
    Exempt: what looks like it and is left alone.
    Fix: Safe: what the fix does. `Safe`, `Unsafe` or `None`, then why; `Safe, unsafe with ...:` where there are both.
    Source: where the knowledge comes from.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline_lint.reporter import RulePage
from pipeline_lint.rule import OptionValue, Rule

SECTIONS = ("Bad", "Good", "Exempt", "Fix", "Source")
"""The sections after summary and why, in the order in which they are shown."""

DOCS_FOLDER = "docs/rules"
"""Where the pages live below the root of the project's documentation."""

_HEADING = re.compile(r"^([A-Z][a-z]+):(?:[ \t]+(.*))?$")
_FIX_KINDS = ("safe", "unsafe", "none")
_WIDTH = 100


class PageError(ValueError):
    """A docstring that is no page; the text names the rule and the section."""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything that there is to read about a rule."""

    code: str
    name: str
    topic: str
    is_default: bool
    options: Mapping[str, OptionValue]
    """Settings with their defaults."""
    summary: str
    why: str
    bad: str
    """Code; so is `good`."""
    good: str
    exempt: str
    fix: str
    source: str

    @property
    def fix_kinds(self) -> tuple[str, ...]:
        """`("safe",)`, `("unsafe",)`, `("none",)`, or several of them, as the words before the fix's colon say."""
        lead, colon, _ = self.fix.partition(":")
        return tuple(word for word in re.findall(r"[a-z]+", lead.lower()) if colon and word in _FIX_KINDS)


def page(rule_class: type[Rule]) -> Page:
    """Reads the docstring of a rule.

    Raises `PageError` when a section is missing, unknown, doubled or empty, or when the fix does not say what it is.
    """
    where = f"rule `{rule_class.rule_name()}` ({rule_class.__module__})"
    # The rule's own: `inspect.getdoc` would give the contract's docstring to a rule without one.
    docstring = inspect.cleandoc(vars(rule_class).get("__doc__") or "")
    if not docstring:
        raise PageError(f"{where} has no docstring; it is the rule's page, see {__name__}")
    lead, sections = _split(docstring, where)
    summary, _, why = lead.partition("\n\n")
    for name, text in {"summary": summary, "why": why, **{name: sections.get(name) for name in SECTIONS}}.items():
        if text is None:
            raise PageError(f"{where}: its docstring has no section `{name}:`")
        if not text.strip():
            raise PageError(f"{where}: the section `{name}` of its docstring is empty")
    result = Page(
        code=rule_class.code,
        name=rule_class.rule_name(),
        topic=rule_class.topic(),
        is_default=rule_class.is_default,
        options=dict(rule_class.options),
        summary=_unwrapped(summary),
        why=why.strip("\n"),
        bad=sections["Bad"],
        good=sections["Good"],
        exempt=sections["Exempt"],
        fix=sections["Fix"],
        source=sections["Source"],
    )
    if not result.fix_kinds:
        raise PageError(f"{where}: the section `Fix` must begin with `Safe:`, `Unsafe:` or `None:`")
    return result


def render_text(page: Page, *, color: bool = False, width: int = _WIDTH) -> str:
    """The page for a terminal."""

    def bold(text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if color else text

    blocks = [f"{bold(f'{page.code} {page.name}')}\n{_facts(page)}", _filled(page.summary, width)]
    blocks.append(_filled(page.why, width))
    for name, code in (("Bad", page.bad), ("Good", page.good)):
        blocks.append(f"{bold(name)}\n{textwrap.indent(code, '    ')}")
    for name, text in (("Exempt", page.exempt), ("Fix", page.fix), ("Source", page.source)):
        blocks.append(f"{bold(name)}\n{textwrap.indent(_filled(text, width - 4), '    ')}")
    if page.options:
        rows = "\n".join(f"    {name} = {_toml(value)}" for name, value in page.options.items())
        blocks.append(f"{bold('Options')} of [tool.pipeline-lint.{page.name}], with their defaults\n{rows}")
    return "\n\n".join(blocks) + "\n"


def render_markdown(page: Page) -> str:
    """The page for the documentation: `docs/rules/<name>.md`."""
    blocks = [f"# {page.name} ({page.code})", f"*{_facts(page)}*", page.summary, page.why]
    for name, code in (("Bad", page.bad), ("Good", page.good)):
        blocks += [f"## {name}", f"```python\n{code}\n```"]
    for name, text in (("Exempt", page.exempt), ("Fix", page.fix), ("Source", page.source)):
        blocks += [f"## {name}", text]
    if page.options:
        rows = "\n".join(f"{name} = {_toml(value)}" for name, value in page.options.items())
        blocks += ["## Options", "With their defaults:", f"```toml\n[tool.pipeline-lint.{page.name}]\n{rows}\n```"]
    return "\n\n".join(blocks) + "\n"


def rule_page(rule: type[Rule] | Rule) -> RulePage:
    """What reporters say of a rule besides its findings."""
    rule_class = rule if isinstance(rule, type) else type(rule)
    content = page(rule_class)
    return RulePage(
        code=content.code,
        name=content.name,
        summary=content.summary,
        url=f"{DOCS_FOLDER}/{content.name}.md",
        explanation=content.why,
    )


def _split(docstring: str, where: str) -> tuple[str, dict[str, str]]:
    """The text before the first section, and the sections by name, each without its indentation."""
    lead: list[str] = []
    sections: dict[str, list[str]] = {}
    current = lead
    for line in docstring.splitlines():
        heading = _HEADING.match(line)
        if heading is None:
            current.append(line)
            continue
        name = heading.group(1)
        if name not in SECTIONS:
            raise PageError(
                f"{where}: unknown section `{name}:` in its docstring; the sections are {', '.join(SECTIONS)}"
            )
        if name in sections:
            raise PageError(f"{where}: its docstring has the section `{name}:` twice")
        current = sections[name] = [heading.group(2) or ""]
    return "\n".join(lead), {name: _body(lines) for name, lines in sections.items()}


def _body(lines: list[str]) -> str:
    """A section's text; what stands beside the heading belongs to the first paragraph below it."""
    below = textwrap.dedent("\n".join(lines[1:]))
    return f"{lines[0]}\n{below}".strip("\n") if lines[0] else below.strip("\n")


def _facts(page: Page) -> str:
    kinds = " or ".join("no" if kind == "none" else kind for kind in page.fix_kinds)
    return f"topic {page.topic}, {'on' if page.is_default else 'off'} by default, {kinds} fix"


def _unwrapped(text: str) -> str:
    return " ".join(text.split())


def _filled(text: str, width: int) -> str:
    """Paragraphs wrapped to the width; indented ones and lists as they are."""
    paragraphs = re.split(r"\n[ \t]*\n", text.strip("\n"))
    return "\n\n".join(
        paragraph
        if re.search(r"^(?:[ \t]|[-*|] )", paragraph, re.MULTILINE)
        else textwrap.fill(_unwrapped(paragraph), max(width, 20), break_long_words=False, break_on_hyphens=False)
        for paragraph in paragraphs
    )


def _toml(value: OptionValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value) if isinstance(value, str) else str(value)
