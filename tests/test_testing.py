"""Literate cases: reading the pages, and what a failing case tells."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.testing import CaseError, load_cases, load_witness, run_case

LOCAL_RULE = '''
import libcst as cst

from pipeline_lint.edits import remove_statement, replace, safe_fix, unsafe_fix
from pipeline_lint.rule import Finding, Rule


class NoPrint(Rule):
    """Local."""

    code = "LOC001"
    options = {"allowed": ()}

    def check(self, source):
        for call in source.nodes(cst.Call):
            if isinstance(call.func, cst.Name) and call.func.value == "print":
                yield Finding(call, "`print` is left", fix=self.fix(source, call))

    def fix(self, source, call):
        if source.code(call) in self.settings["allowed"]:
            return None
        if "unsafe" in source.code(call):
            return unsafe_fix("Remove", remove_statement(source, source.parent(call)))
        if "grow" in source.code(call):
            return safe_fix("Grow", replace(source, call.func, "print(1) or print"))
        return safe_fix("Log", replace(source, call.func, "log"))
'''


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a page of cases for the rule `no-print` is written, beside the rule."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no_print.py").write_text(LOCAL_RULE)
    return tmp_path / "no_print.md"


def run(page: Path, text: str) -> None:
    page.write_text("# no-print\n" + dedent(text), encoding="utf-8")
    for case in load_cases(page):
        run_case(case, local_rules=["no_print.py"])


def failure_of(page: Path, text: str) -> str:
    with pytest.raises(AssertionError) as error:
        run(page, text)
    return str(error.value)


FOUND_AND_FIXED = """
    ## Found and fixed

    Words between are free.

    ```python
    print(1)  # expect: LOC001
    x = 2
    ```

    ```python fixed
    log(1)
    x = 2
    ```
"""


def test_a_case_that_says_what_happens_passes(page: Path) -> None:
    run(page, FOUND_AND_FIXED)


def test_a_case_is_called_by_rule_and_title(page: Path) -> None:
    page.write_text("# no-print\n" + dedent(FOUND_AND_FIXED))
    assert [str(case) for case in load_cases(page)] == ["no-print: Found and fixed"]


def test_an_expectation_may_give_confidence_and_a_part_of_the_message(page: Path) -> None:
    run(page, FOUND_AND_FIXED.replace("LOC001", 'no-print certain "is left"'))


def test_several_findings_of_a_line_are_told_apart(page: Path) -> None:
    case = """
        ## Two
        ```python
        print(1); print(2)  # keep; this  # expect: LOC001 "print"; LOC001
        ```
        ```python fixed
        log(1); log(2)  # keep; this
        ```
    """
    run(page, case)


def test_a_semicolon_in_a_message_separates_nothing(page: Path) -> None:
    page.write_text('# no-print\n## One\n```python\nx  # expect: LOC001 "a; b"\n```\n')
    (case,) = load_cases(page)
    assert [(e.code, e.part) for e in case.expectations] == [("LOC001", "a; b")]


def test_the_comments_that_announce_findings_are_not_checked_but_others_are(page: Path) -> None:
    page.write_text("# no-print\n## One\n```python\nx  # why  # expect: LOC001 likely\n\n    # expect: LOC002\n```\n")
    (case,) = load_cases(page)
    assert case.files == {"example.py": "x  # why\n\n\n"}
    assert [(e.row, e.page_row, e.confidence) for e in case.expectations] == [(1, 4, Confidence.LIKELY), (3, 6, None)]


def test_a_form_feed_ends_no_line(page: Path) -> None:
    before = "\n## Feed\n```python\nx = 1\n\x0c\nprint(1)  # expect: LOC001\n```\n"
    run(page, before + "```python fixed\nx = 1\n\x0c\nlog(1)\n```\n")


def test_a_finding_that_is_missing_is_shown_with_its_row(page: Path) -> None:
    text = failure_of(page, "\n## Missing\n```python\nx = 1  # expect: LOC001\n```\n")
    assert f"{page}:3: no-print: Missing" in text
    assert f"{page}:5: (example.py:1) x = 1" in text
    assert "expected: LOC001\n" in text
    assert "found:    nothing more" in text


def test_a_finding_too_many_is_shown_beside_what_is_expected(page: Path) -> None:
    text = failure_of(page, "\n## Wrong\n```python\nprint(1)  # expect: LOC001 possible\n```\n")
    assert "expected: LOC001 possible\n" in text
    assert 'found:    LOC001 certain "`print` is left"' in text


def test_a_wrong_part_of_the_message_is_shown(page: Path) -> None:
    text = failure_of(page, FOUND_AND_FIXED.replace("LOC001", 'LOC001 "elsewhere"'))
    assert 'expected: LOC001 "elsewhere"' in text


def test_a_fix_that_no_block_announces_fails(page: Path) -> None:
    text = failure_of(page, "\n## Silent\n```python\nprint(1)  # expect: LOC001\n```\n")
    assert "-print(1)\n+log(1)\n" in text


def test_a_fix_that_gives_something_else_is_shown_as_a_diff(page: Path) -> None:
    text = failure_of(page, FOUND_AND_FIXED.replace("log(1)", "log(7)"))
    assert "after the safe fixes (- expected, + found)" in text
    assert "-log(7)\n+log(1)\n x = 2\n" in text


UNSAFE = """
    ## Unsafe
    ```python
    x = 1
    print("unsafe")  # expect: LOC001
    ```
    ```python unsafe-fixed
    x = 1
    ```
"""


def test_an_unsafe_fix_has_a_block_of_its_own(page: Path) -> None:
    run(page, UNSAFE)


def test_an_unsafe_fix_announced_as_a_safe_one_fails(page: Path) -> None:
    assert "after the safe fixes" in failure_of(page, UNSAFE.replace("unsafe-fixed", "fixed"))


def test_an_unsafe_fix_that_no_block_announces_fails(page: Path) -> None:
    text = failure_of(page, UNSAFE.partition("```python unsafe")[0].rstrip())
    assert "after all fixes" in text


def test_a_fix_that_never_ends_fails(page: Path) -> None:
    text = failure_of(page, "\n## Grow\n```python\nprint('grow')  # expect: LOC001\n```\n```python fixed\nx\n```\n")
    assert "after the safe fixes" in text


def test_the_configuration_of_a_case_counts(page: Path) -> None:
    case = """
        ## Options
        ```toml
        [tool.pipeline-lint.no-print]
        allowed = ["print(1)"]
        ```
        ```python
        print(1)  # expect: LOC001
        ```
    """
    run(page, case)
    assert "+log(1)" in failure_of(page, case.replace('"print(1)"', '"print(2)"'))


def test_several_files_are_checked_together(page: Path) -> None:
    case = """
        ## Files
        ```python package/a.py
        print(1)  # expect: LOC001
        ```
        ```python package/b.py
        x = 1
        ```
        ```python fixed package/a.py
        log(1)
        ```
    """
    run(page, case)
    text = failure_of(page, case.replace("x = 1", "print(2)  # expect: LOC001"))
    assert "--- package/b.py" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin with `# rule-name`"),
        ("# no-print\n", "no case"),
        ("# no-print\n## One\nno code\n", "case `One` has no `python` block"),
        ("# no-print\n# other\n", ":2: a second `# rule-name`"),
        ("# no-print\n## A\n```python\n```\n## A\n", ":5: two cases are called `A`"),
        ("# no-print\n## A\n```python\nx\n", ":3: the block that begins here has no end"),
        ("# no-print\n## A\n```python\n```\n```python\n```\n", ":5: a second block for `example.py`"),
        ("# no-print\n## A\n```python fixed\n```\n", "no `python` block"),
        ("# no-print\n## A\n```python\n```\n```python fixed b.py\n```\n", "has a fixed `b.py`, but no such file"),
        ("# no-print\n## A\n```rust\n```\n", ":3: unknown block `rust`; known are"),
        ("# no-print\n## A\n```python a b\n```\n", ":3: unknown block `python a b`"),
        ("# no-print\n## A\n```python ../x.py\n```\n", "`../x.py` must be a path below"),
        ("# no-print\n## A\n```python /x.py\n```\n", "`/x.py` must be a path below"),
        ("# no-print\n## A\n```toml\n```\n```toml\n```\n", "a second `toml` block"),
        (
            "# no-print\n## A\n```python\nx  # expect: likely LOC1\n```\n",
            ":4: cannot read `likely LOC1`; write a rule's",
        ),
        ("# no-print\n## A\n```python\nx  # expect:\n```\n", ":4: cannot read ``"),
        ("# no-print\n```python\n```\n", ":2: only a `python witness` block"),
    ],
)
def test_a_page_that_cannot_be_read_is_an_error_that_names_the_row(page: Path, text: str, message: str) -> None:
    page.write_text(text)
    with pytest.raises(CaseError) as error:
        load_cases(page)
    assert message in str(error.value)
    assert str(page) in str(error.value)


def test_a_configuration_that_is_wrong_names_the_case(page: Path) -> None:
    page.write_text("# no-print\n## A\n```toml\n[tool.pipeline-lint]\nselct = []\n```\n```python\n```\n")
    with pytest.raises(CaseError, match=r"no_print.md:2: no-print: A.*did you mean `select`"):
        run_case(load_cases(page)[0], local_rules=["no_print.py"])


def test_a_rule_that_raises_fails_its_case(page: Path) -> None:
    (page.parent / "no_print.py").write_text(
        LOCAL_RULE.replace("yield Finding", "raise KeyError(call)\n                yield Finding")
    )
    text = failure_of(page, "\n## Raises\n```python\nprint(1)\n```\n")
    assert "rule LOC001 (no-print) failed on this file: KeyError" in text


def test_the_witness_block_is_given_to_those_who_run_examples(page: Path) -> None:
    page.write_text("# no-print\nWords.\n```python witness\nx = 1\n```\n## A\n```python\n```\n")
    assert load_witness(page) == "x = 1\n"
    assert len(load_cases(page)) == 1
    page.write_text("# no-print\n## A\n```python\n```\n")
    assert load_witness(page) is None
