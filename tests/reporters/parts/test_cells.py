from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lint.reporters.parts.cells import visible, window

CHARACTERS = "ab .損é́\t\x00\x1b\u202e\ud800\u200d가😀"
LINES = st.text(alphabet=CHARACTERS, max_size=300)


def shown_width(text: str) -> int:
    """Columns of text that holds nothing but what `window` may leave in it."""
    return sum(
        0 if unicodedata.category(each) in {"Mn", "Cf"} else 1 + (unicodedata.east_asian_width(each) in "WF")
        for each in text
    )


def test_a_line_that_fits_is_shown_whole() -> None:
    assert window("loss = a / b", 7, 12, 12).text == "loss = a / b"


def test_a_line_is_cut_on_the_right_where_the_span_is_near_its_start() -> None:
    shown = window("loss = a / b  # and much more", 7, 12, 15)
    assert (shown.text, shown.start, shown.end) == ("loss = a / b  …", 7, 12)


def test_a_line_is_cut_on_both_sides_around_a_span_in_its_middle() -> None:
    shown = window("0123456789" * 3, 14, 16, 10)
    assert (shown.text, shown.text[shown.start : shown.end]) == ("…12345678…", "45")


def test_the_end_of_a_cut_line_is_shown_where_it_just_fits() -> None:
    assert window("0123456789", 8, 9, 9).text == "…3456789"


def test_a_span_longer_than_the_window_is_shown_from_its_start() -> None:
    shown = window("x" * 5 + "y" * 50, 5, 55, 12)
    assert (shown.text, shown.start, shown.end) == ("…yyyyyyyyyy…", 1, 11)


def test_the_end_of_a_cut_line_can_be_pointed_at() -> None:
    shown = window("x" * 40, 40, 40, 10)
    assert (shown.text, shown.start) == ("…xxxxxxxx", 9)


@pytest.mark.parametrize(
    ("line", "column"),
    [("\tx", 4), ("ab\tx", 4), ("abcd\tx", 8), ("損x", 2), ("e\u0301x", 1), ("\u1112\u1161\u11abx", 2), ("\u200bx", 0)],
)
def test_a_span_begins_in_the_column_where_the_terminal_shows_it(line: str, column: int) -> None:
    assert window(line, len(line) - 1, len(line), 80).start == column


@given(LINES, st.integers(0, 300), st.integers(0, 300), st.integers(20, 120))
def test_a_window_is_never_wider_than_asked_for_and_the_span_lies_in_it(line: str, a: int, b: int, width: int) -> None:
    start, end = sorted((min(a, len(line)), min(b, len(line))))
    shown = window(line, start, end, width)
    assert shown_width(shown.text) <= width
    assert 0 <= shown.start <= shown.end <= width + 1
    assert "\t" not in shown.text
    shown.text.encode()


@given(st.text(alphabet="ab損\t\u0301", max_size=200), st.data(), st.integers(20, 120))
def test_the_column_of_a_span_is_that_of_its_first_character(line: str, data: st.DataObject, width: int) -> None:
    start = data.draw(st.integers(0, len(line)))
    marked = f"{line[:start]}Z{line[start:]}"
    shown = window(marked, start, start + 1, width)
    assert shown.text.count("Z") == 1
    assert shown_width(shown.text[: shown.text.index("Z")]) == shown.start
    assert shown.end == shown.start + 1


def test_a_line_of_a_million_characters_is_not_measured_whole() -> None:
    line = "損" * 1_000_000 + "x"
    shown = window(line, 1_000_000, 1_000_001, 80)
    assert shown.text.endswith("損x")
    assert shown.text.startswith("…")


def test_what_would_steer_the_terminal_is_replaced() -> None:
    assert visible("a\x1b[31m\nb\tc\u202e\udc80\x9b") == "a␛[31m␊b c\ufffd\ufffd\ufffd"


def test_ordinary_text_of_any_language_stays() -> None:
    assert visible("größe 損失 é") == "größe 損失 é"
