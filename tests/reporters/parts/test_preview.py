from __future__ import annotations

import dataclasses
import re

from hypothesis import given
from hypothesis import strategies as st

from pipeline_lint.diagnostic import Edit, Excerpt, Place
from pipeline_lint.reporters.parts.excerpt import frame_of
from pipeline_lint.reporters.parts.palette import Palette
from pipeline_lint.reporters.parts.preview import preview_lines
from tests.reporters.example_reports import edit, place, script

CODE = "".join(f"line{number} = {number}\n" for number in range(1, 21))


def previewed(found: Place, *edits: Edit) -> list[str]:
    return list(preview_lines(found, edits, frame_of(found, edits, width=200, palette=Palette(color=False))))


def test_a_changed_line_is_shown_before_and_after() -> None:
    code = script("a.py", CODE)
    assert previewed(place(code, "line10"), edit(code, "= 10", "= f(10)")) == [
        "   |",
        "   - line10 = 10",
        "10 + line10 = f(10)",
        "   |",
    ]


def test_rows_of_new_lines_count_what_other_edits_add_above() -> None:
    code = script("a.py", CODE)
    lines = previewed(place(code, "line10"), code.edit(0, 0, "import a\nimport b\n"), edit(code, "= 10", "= 11"))
    assert lines == [
        "   |",
        " 1 + import a",
        " 2 + import b",
        "   | ...",
        "   - line10 = 10",
        "12 + line10 = 11",
        "   |",
    ]


def test_lines_inserted_behind_an_indentation_out_of_sight_are_shown() -> None:
    code = script("a.py", "def f():\n    first\n" + "pass\n" * 9 + "bad\n")
    start = code.text.index("first")
    lines = previewed(place(code, "bad"), code.edit(start, start, "new\n    newer\n    "))
    assert lines[1:3] == [" 2 +     new", " 3 +     newer"]


def test_code_inserted_in_the_middle_of_a_row_out_of_sight_is_not_taken_for_a_line() -> None:
    code = script("a.py", "def f(a):\n    first\n" + "pass\n" * 9 + "bad\n")
    start = code.text.index("a):")
    assert previewed(place(code, "bad"), code.edit(start, start, "b,\n")) == ["changes: a.py:1"]


def test_a_removed_line_is_shown() -> None:
    code = script("a.py", CODE)
    assert previewed(place(code, "line10"), edit(code, "line10 = 10\n", "")) == ["   |", "   - line10 = 10", "   |"]


def test_changes_in_other_files_and_out_of_sight_are_listed() -> None:
    code, other = script("a.py", CODE), script("b.py", CODE)
    lines = previewed(
        place(code, "line10"), edit(code, "line1 ", "x "), *(edit(other, f"= {n}", "= 0") for n in (2, 3))
    )
    assert lines == ["changes: b.py:2, b.py:3, a.py:1"]


def test_a_long_list_of_places_is_shortened() -> None:
    code, other = script("a.py", CODE), script("b.py", CODE)
    lines = previewed(place(code, "line10"), *(edit(other, f"line{number} ", "x ") for number in range(1, 10)))
    assert lines == ["changes: b.py:1, b.py:2, b.py:3, b.py:4 and 5 more places"]


def test_a_long_change_is_shortened() -> None:
    code = script("a.py", CODE)
    lines = previewed(place(code, "line10"), edit(code, "line10 = 10", "\n".join(f"x = {n}" for n in range(40))))
    assert len(lines) == 18
    assert lines[-2] == "   ... 26 more lines"


def test_an_edit_in_another_cell_of_the_notebook_is_not_shown_as_one_of_this_cell() -> None:
    code = script("a.ipynb", CODE)
    found = dataclasses.replace(place(code, "line10"), cell=2)
    elsewhere = dataclasses.replace(edit(code, "line10", "x"), cell=1)
    assert previewed(found, elsewhere) == ["changes: a.ipynb:cell 1:10"]


def test_a_line_too_long_to_show_is_cut_where_it_changes() -> None:
    code = script("a.py", "x = " + "a + " * 200 + "b\n")
    found = place(code, "b")
    frame = frame_of(found, (), width=40, palette=Palette(color=False))
    old, new = list(preview_lines(found, [edit(code, "b", "c")], frame))[1:3]
    assert old.endswith("+ b")
    assert new.endswith("+ c")
    assert max(len(old), len(new)) <= 40


@given(st.data())
def test_the_lines_shown_are_those_that_applying_the_edits_changes(data: st.DataObject) -> None:
    text = data.draw(st.text(alphabet="ab\n", min_size=1, max_size=30))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    code = script("a.py", text)
    replacements = st.text(alphabet="ab\n", max_size=4)
    edits = [code.edit(a, b, data.draw(replacements)) for a, b in zip(cuts[::2], cuts[1::2], strict=False)]
    everything = Excerpt(1, tuple(text.split("\n")))
    found = dataclasses.replace(code.place(0, 1), excerpt=everything)
    before, after = text.split("\n"), code.splice(edits).decode().split("\n")
    lines = previewed(found, *edits)
    if any("more lines" in line for line in lines):
        return
    removed = [match[1] for line in lines if (match := re.fullmatch(r" +- ?(.*)", line))]
    added = [(int(match[1]), match[2]) for line in lines if (match := re.fullmatch(r" *(\d+) \+ ?(.*)", line))]
    assert len(added) - len(removed) == len(after) - len(before)
    assert all(line in before for line in removed)
    assert all(after[row - 1] == line for row, line in added)
