from __future__ import annotations

import textwrap

import pytest

from pipeline_lint.diagnostic import Place
from pipeline_lint.reporters.parts.excerpt import excerpt_lines, frame_of
from pipeline_lint.reporters.parts.palette import Palette
from tests.reporters.example_reports import place, script


def drawn(found: Place, *, width: int = 100) -> str:
    frame = frame_of(found, (), width=width, palette=Palette(color=False))
    return "\n".join(excerpt_lines(found, frame))


def shown(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


def test_carets_stand_under_the_span_between_two_lines_of_context() -> None:
    code = script("a.py", "a\nb\nc\nloss = log(p)\nd\ne\nf\n")
    assert drawn(place(code, "log(p)")) == shown("""
          |
        2 | b
        3 | c
        4 | loss = log(p)
          |        ^^^^^^
        5 | d
        6 | e
        """)


def test_row_numbers_are_aligned_to_the_longest() -> None:
    code = script("a.py", "pass\n" * 9 + "bad\npass\n")
    assert drawn(place(code, "bad")).splitlines()[1:4] == [" 8 | pass", " 9 | pass", "10 | bad"]


def test_empty_lines_at_the_ends_of_an_excerpt_are_not_shown() -> None:
    code = script("a.py", "a\n\nbad\n\n\n")
    assert drawn(place(code, "bad")) == shown("""
          |
        1 | a
        2 |
        3 | bad
          | ^^^
        """)


def test_a_span_over_several_rows_has_a_line_along_its_side() -> None:
    code = script("a.py", "x = f(\n    a,\n)\ny\n")
    assert drawn(place(code, "f(\n    a,\n)")) == shown("""
          |
        1 |   x = f(
          |  _____^
        2 | |     a,
        3 | | )
          | |_^
        4 |   y
        """)


def test_a_span_that_begins_its_row_is_opened_with_a_slash() -> None:
    code = script("a.py", "  f(\n  a)\ny\n")
    assert drawn(place(code, "f(\n  a)")) == shown("""
          |
        1 | /   f(
        2 | |   a)
          | |____^
        3 |   y
        """)


def test_the_middle_of_a_long_span_is_left_out() -> None:
    code = script("a.py", "\n".join(["f(", *(f"  {number}," for number in range(2, 12)), ")", "end"]))
    rows = drawn(place(code, code.text[: code.text.index("\nend")])).splitlines()
    assert [row.partition(" |")[0].strip() for row in rows] == ["", "1", "2", "3", "4", "", "11", "12", "", "13"]
    assert rows[5] == "   | | ..."


def test_a_span_longer_than_its_excerpt_says_where_it_ends() -> None:
    code = script("a.py", "\n".join(["f(", *(f"  {number}," for number in range(100)), ")", "end"]))
    rows = drawn(place(code, code.text[: code.text.index("\nend")])).splitlines()
    assert rows[-2:] == ["   | | ...", "   | |_ up to row 102, column 1"]
    assert len(rows) == 7


def test_a_span_that_takes_its_line_ending_along_is_one_row() -> None:
    code = script("a.py", "first\nsecond\n")
    assert drawn(code.place(0, 6)).splitlines()[2] == "  | ^^^^^"


def test_a_span_may_end_with_an_empty_row() -> None:
    code = script("a.py", "f(\n\n")
    assert drawn(code.place(0, 4)).splitlines()[1:] == ["1 | / f(", "2 | |", "  | |_^"]


def test_an_empty_span_behind_the_last_character_has_one_caret() -> None:
    code = script("a.py", "x = (")
    assert drawn(code.place(5, 5)).splitlines()[2] == "  |      ^"


def test_a_tab_in_the_span_is_as_wide_in_the_carets_as_in_the_line() -> None:
    code = script("a.py", "f(\t损)\n")
    assert drawn(place(code, "f(\t损)")).splitlines()[1:] == ["1 | f(  损)", "  | ^^^^^^^"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings_do_not_show(ending: str) -> None:
    code = script("a.py", ending.join(["a", "bad", "c"]))
    assert drawn(place(code, "bad")).splitlines() == ["  |", "1 | a", "2 | bad", "  | ^^^", "3 | c"]


@pytest.mark.parametrize("width", [30, 60, 100])
def test_no_row_is_wider_than_the_terminal(width: int) -> None:
    code = script("a.py", "a" * 300 + "\n" + "b" * 200 + "損(\n" + "c" * 300 + ")\n" + "d" * 300)
    spans = [place(code, "損("), place(code, "損(\n" + "c" * 300 + ")"), place(code, "d" * 300)]
    for span in spans:
        assert all(len(row) + row.count("損") <= width for row in drawn(span, width=width).splitlines())
