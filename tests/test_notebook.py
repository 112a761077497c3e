"""Notebooks: which text they hold, and edits that change nothing else."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import libcst as cst
import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lint.diagnostic import Edit, Location
from pipeline_lint.document import UnencodableEdit, UnreadableDocument
from pipeline_lint.documents import open_document
from pipeline_lint.documents.magics import blank_magics
from pipeline_lint.documents.notebook import Notebook


def notebook(*cells: str | list[str] | dict[str, Any], **top: Any) -> dict[str, Any]:
    """A notebook of code cells, given by their sources; a dict is a cell as it is."""
    written = [
        cell
        if isinstance(cell, dict)
        else {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": cell}
        for cell in cells
    ]
    return {"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 4, **top}


def opened(*cells: str | list[str] | dict[str, Any], **top: Any) -> Notebook:
    return read(json.dumps(notebook(*cells, **top), indent=1, ensure_ascii=False) + "\n")


def read(text: str | bytes) -> Notebook:
    document = open_document("n.ipynb", text if isinstance(text, bytes) else text.encode())
    assert isinstance(document, Notebook)
    return document


def edit(document: Notebook, old: str, new: str) -> Edit:
    start = document.text.index(old)
    return document.edit(start, start + len(old), new)


def sources(data: bytes) -> list[Any]:
    return [cell["source"] for cell in json.loads(data)["cells"]]


MARKDOWN = {"cell_type": "markdown", "metadata": {}, "source": "# x = 1"}


def test_the_text_is_the_code_cells_one_after_the_other() -> None:
    assert opened("a = 1", MARKDOWN, ["b = 2\n", "c = 3"], "d = 4\n").text == "a = 1\nb = 2\nc = 3\nd = 4\n"


def test_rows_count_within_the_cell_and_cells_among_all_cells() -> None:
    document = opened("a = 1", MARKDOWN, ["b = 2\n", "c = 3"])
    assert document.location(document.text.index("c")) == (Location(2, 1), 3)
    place = document.place(document.text.index("a"), document.text.index("a") + 5)
    assert str(place) == "n.ipynb:cell 1:1:1"
    assert place.end_location == Location(1, 6)


def test_the_end_of_a_cell_counts_in_that_cell() -> None:
    document = opened("a = 1\nb = 2", "c = 3")
    end = document.text.index("c")
    assert document.edit(6, end, "").end_location == Location(3, 1)


def test_an_excerpt_stays_within_its_cell() -> None:
    document = opened("a = 1", "b = 2\n%time c\n", "d = 3")
    excerpt = document.place(document.text.index("b"), document.text.index("b") + 1).excerpt
    assert excerpt is not None
    assert (excerpt.first_row, excerpt.lines) == (1, ("b = 2", "%time c"))
    last = document.place(document.text.index("d"), document.text.index("d") + 1).excerpt
    assert last is not None
    assert last.lines == ("d = 3",)


@pytest.mark.parametrize(
    "metadata",
    [{"language_info": {"name": "R"}}, {"kernelspec": {"name": "ir", "language": "R"}}],
)
def test_a_notebook_in_another_language_holds_no_python(metadata: dict[str, Any]) -> None:
    document = opened("x <- 1", metadata=metadata)
    assert document.text == ""
    assert document.place(0, 0).location == Location(1, 1)
    assert document.splice([]) == document.data


@pytest.mark.parametrize(
    "metadata", [{}, {"language_info": {"name": "python"}}, {"kernelspec": {"language": "python"}}, {"kernelspec": 3}]
)
def test_a_notebook_is_python_unless_it_says_otherwise(metadata: dict[str, Any]) -> None:
    assert opened("x = 1", metadata=metadata).text == "x = 1\n"


def test_a_cell_that_an_editor_marks_as_another_language_is_left_out() -> None:
    cell = {"cell_type": "code", "metadata": {"vscode": {"languageId": "sql"}}, "outputs": [], "source": "select 1"}
    assert opened(cell, "x = 1").text == "x = 1\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON: Expecting '{'"),
        ("print('x')", "not JSON"),
        ('{"cells": [}', "not JSON: Expecting value"),
        ('{"cells": [], "nbformat": 4} x', "not JSON: Extra data"),
        ('{"cells": [], "nbformat": 4', "not JSON: Expecting ','"),
        ("[]", "not JSON: Expecting '{'"),
        ("{}", "lacks the number `nbformat`"),
        ('{"nbformat": "4"}', "lacks the number `nbformat`"),
        ('{"nbformat": 4, "cells": {}}', "the list `cells`"),
        ('{"nbformat": 3, "worksheets": []}', "notebook format 3 is too old; `jupyter nbconvert"),
        ('{"nbformat": 5, "cells": []}', "notebook format 5 is newer"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": 3}]}', "the `source` of a code cell"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": ["a", 3]}]}', "the `source` of a code cell"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "the `source` of a code cell"),
        ('{"nbformat": 4, "cells": [{"source": "a\n"}]}', "not JSON: Invalid control character"),
    ],
)
def test_what_is_no_notebook_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UnreadableDocument) as error:
        read(text)
    assert reason in error.value.reason


def test_the_place_of_broken_json_is_told() -> None:
    with pytest.raises(UnreadableDocument) as error:
        read('{\n "cells": [,]}')
    assert error.value.location == Location(2, 12)


def test_bytes_that_are_not_utf_8_are_refused_with_their_place() -> None:
    with pytest.raises(UnreadableDocument) as error:
        read(b'{\n"x": "caf\xe9"}')
    assert (error.value.reason, error.value.location) == (
        "not utf-8: byte 0xe9 invalid continuation byte",
        Location(2, 10),
    )


def test_json_nested_without_end_is_refused() -> None:
    with pytest.raises(UnreadableDocument, match="nested too deeply"):
        read('{"x": ' + "[" * 200_000)


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("%matplotlib inline\nx", "_#atplotlib inline\nx"),
        ("  %time f()\n", "_#%time f()\n"),
        ("if x:\n    !ls -l\n", "if x:\n    _#s -l\n"),
        ("!", "_"),
        ("files = !ls *.py\nx", "files = _#s *.py\nx"),
        ("a.b, c = %env HOME", "a.b, c = _#nv HOME"),
        ("?print", "_#rint"),
        ("print??\nx", "_#int??\nx"),
        ("if x:\n  f.g?  # why\ny", "if x:\n  _#g?  # why\ny"),
        ("%%time?", "_#time?"),
        ("/f 1 2", "_# 1 2"),
        (",f a b\n;f a b", "_# a b\n_# a b"),
        ("!pip install \\\n    torch \\\n\nx", "_#ip install \\\n#   torch \\\n\nx"),
        ("!ls\r\nx", "_#s\r\nx"),
        ("pip install -q torch\npip = 1", "_#p install -q torch\npip = 1"),
        ("x = (1\n  + 2)\n\n!ls", "x = (1\n  + 2)\n\n_#s"),
        ("%%time\nx", "_#time\nx"),
        ("\n# why\n%%timeit -n 1 x = 2\ny", "\n# why\n_#timeit -n 1 x = 2\ny"),
        ("%%capture\n\n%%time\n%pwd\nx", "_#capture\n\n_#time\n_#wd\nx"),
        ("%%bash\nls", None),
        ("%%html\n<b>", None),
        ("%%time\n%%bash\nls", None),
        ("x = a %b\ny = (a\n  %b)\nz = '''\n%c\n!d\n'''", "x = a %b\ny = (a\n  %b)\nz = '''\n%c\n!d\n'''"),
        ("x = a \\\n  % b\n!c", "x = a \\\n  % b\n_#"),
        ("x = 'a?'  # b?\nx != 'y'\nf(a='!b')", "x = 'a?'  # b?\nx != 'y'\nf(a='!b')"),
        ("x = f'{a!r}'\n", "x = f'{a!r}'\n"),
        ("print('100%')  # 5 = %d", "print('100%')  # 5 = %d"),
    ],
)
def test_ipython_syntax_is_blanked_out(cell: str, python: str | None) -> None:
    assert blank_magics(cell) == python
    if python is not None:
        assert [len(line) for line in python.split("\n")] == [len(line) for line in cell.split("\n")]
        cst.parse_module(python)


@settings(deadline=None)
@given(st.text(alphabet="x=%!? \n\\'\"()#,/;%", max_size=40))
def test_blanking_keeps_every_line_as_long_as_it_was(cell: str) -> None:
    python = blank_magics(cell)
    if python is not None:
        assert [len(line) for line in python.split("\n")] == [len(line) for line in cell.split("\n")]


def test_cells_of_other_magics_are_left_out() -> None:
    document = opened("%%bash\nls", "x = 1")
    assert document.text == "x = 1\n"
    assert document.location(0) == (Location(1, 1), 2)


def test_an_edit_changes_only_its_characters() -> None:
    text = (
        '{"nbformat":4, "cells" : [ {"source":["x\\t= \\u00e9\\ud83d\\ude00\\/\\n" ,\n  "y = 1"],"cell_type":"code",'
        '"outputs":[{"text":"x \\u001b[0m"}]}],\r\n\t"metadata":{}}   '
    )
    document = read(text)
    assert document.text == "x\t= é😀/\ny = 1\n"
    assert document.splice([edit(document, "/", "ü")]).decode() == text.replace("\\/", "\\u00fc")
    assert document.splice([edit(document, "é", "")]).decode() == text.replace("\\u00e9", "")
    assert document.splice([edit(document, "😀", '"')]).decode() == text.replace("\\ud83d\\ude00", '\\"')
    assert document.splice([edit(document, "1", "2\nz = 3")]).decode() == text.replace(
        '"y = 1"', '"y = 2\\n" ,\n  "z = 3"'
    )


def test_letters_are_escaped_only_where_the_file_does_so() -> None:
    document = opened("x = 1", {**MARKDOWN, "source": "é"})
    assert "x = ü".encode() in document.splice([edit(document, "1", "ü")])
    colored = json.dumps(notebook("x = '\x1b[0m'"))
    assert "ü".encode() in read(colored).splice([edit(read(colored), "[", "ü")])


def test_of_keys_that_occur_twice_the_last_is_edited() -> None:
    text = '{"cells": [], "cells": [{"source": "a", "source": ["b"], "cell_type": "code"}], "nbformat": 4}'
    document = read(text)
    assert document.text == "b\n"
    assert document.splice([edit(document, "b", "c")]).decode() == text.replace('"b"', '"c"')


def test_a_source_of_one_string_stays_one() -> None:
    document = opened("a = 1\nb = 2")
    assert sources(document.splice([edit(document, "1", "(\n1)")])) == ["a = (\n1)\nb = 2"]


@pytest.mark.parametrize(
    ("old", "new", "source"),
    [
        ("1", "(\n1)", ["a = (\n", "1)\n", "b = 2\n", "c = 3"]),
        ("b = 2\n", "", ["a = 1\n", "c = 3"]),
        ("c = 3\n", "", ["a = 1\n", "b = 2\n"]),
        ("a = 1\nb = 2\nc = 3\n", "", [""]),
        ("\nb = 2", "", ["a = 1\n", "c = 3"]),
        (" 1\n", "", ["a =b = 2\n", "c = 3"]),
        ("b = 2\n", "d\ne\n", ["a = 1\n", "d\n", "e\n", "c = 3"]),
        ("c = 3\n", "d\ne\n", ["a = 1\n", "b = 2\n", "d\n", "e"]),
        ("3", "4\nd = 5", ["a = 1\n", "b = 2\n", "c = 4\n", "d = 5"]),
    ],
)
def test_a_source_of_lines_stays_one(old: str, new: str, source: list[str]) -> None:
    document = opened(["a = 1\n", "b = 2\n", "c = 3"])
    assert sources(document.splice([edit(document, old, new)])) == [source]


def test_code_added_at_the_end_of_a_cell_begins_a_line_of_its_own() -> None:
    document = opened(["a = 1\n", "b = 2"], ["c = 3\n"])
    end = len(document.text)
    assert sources(document.splice([document.edit(end, end, "d = 4\n")])) == [
        ["a = 1\n", "b = 2"],
        ["c = 3\n", "d = 4\n"],
    ]
    alone = opened(["a = 1\n", "b = 2"])
    end = len(alone.text)
    assert sources(alone.splice([alone.edit(end, end, "d = 4\n")])) == [["a = 1\n", "b = 2\n", "d = 4"]]


def test_an_edit_at_a_border_changes_the_cell_that_begins_there() -> None:
    document = opened("a = 1", "b = 2")
    start = document.text.index("b")
    assert sources(document.splice([document.edit(start, start, "c\n")])) == ["a = 1", "c\nb = 2"]


def test_an_edit_across_cells_is_refused() -> None:
    document = opened("a = 1", "b = 2")
    with pytest.raises(UnencodableEdit, match="spans more than cell 1"):
        document.splice([edit(document, "1\nb", "")])


def test_an_edit_of_a_command_is_refused() -> None:
    document = opened("x = 1\n%time x\ny = 2")
    with pytest.raises(UnencodableEdit, match="not Python but IPython's own, in cell 1"):
        document.splice([edit(document, "_#ime x", "z")])
    start = document.text.index("_")
    assert sources(document.splice([document.edit(start, start, "z\n")])) == ["x = 1\nz\n%time x\ny = 2"]


def test_half_a_character_is_refused() -> None:
    document = opened("a = 1")
    with pytest.raises(UnencodableEdit):
        document.splice([edit(document, "1", "'\ud800'")])


def test_windows_line_ends_of_a_cell_and_of_the_file_survive() -> None:
    text = json.dumps(notebook(["a = 1\r\n", "b = 2\r\n", "c = 3"]), indent=1).replace("\n", "\r\n")
    document = read(text)
    new = document.splice([edit(document, "b = 2\r\n", "d\r\ne\r\n")]).decode()
    assert new == text.replace('"b = 2\\r\\n"', '"d\\r\\n",\r\n    "e\\r\\n"')


def test_a_byte_order_mark_survives() -> None:
    text = "\ufeff" + json.dumps(notebook("a = 1"))
    document = read(text)
    assert document.splice([edit(document, "1", "2")]).decode() == text.replace("a = 1", "a = 2")


LINES = st.lists(st.text(alphabet="aé😀\\\"'=\t\r\x07", max_size=4), min_size=1, max_size=5)


@st.composite
def edited_notebooks(draw: st.DrawFn) -> tuple[list[list[str]], bool, random.Random, bool]:
    cells = draw(st.lists(LINES, min_size=1, max_size=3))
    return cells, draw(st.booleans()), draw(st.randoms(use_true_random=False)), draw(st.booleans())


@settings(deadline=None)
@given(edited_notebooks())
def test_random_edits_give_the_text_they_say_and_leave_all_else(
    drawn: tuple[list[list[str]], bool, random.Random, bool],
) -> None:
    cells, as_lines, chance, ascii_only = drawn
    whole: Sequence[str] = ["\n".join(lines) for lines in cells]
    split = [[part + "\n" for part in text.split("\n")[:-1]] + [text.rpartition("\n")[2]] for text in whole]
    split = [[part for part in parts if part] for parts in split]
    content = notebook(*(split if as_lines else whole))
    document = read(json.dumps(content, indent=2, ensure_ascii=ascii_only))
    edits, expected = _random_edits(document, chance)
    new = document.splice(edits)
    after = read(new)
    assert after.text == expected
    nbformat.validate(nbformat.reads(new.decode(), as_version=4))
    if as_lines:
        for before, source in zip(split, sources(new), strict=True):
            if source not in (before, [""]):
                joined = "".join(source)
                assert source == [part for part in joined.replace("\n", "\n\0").split("\0") if part]
    emptied = json.loads(new)
    for cell in emptied["cells"]:
        cell["source"] = []
    for cell in content["cells"]:
        cell["source"] = []
    assert emptied == content


def _random_edits(document: Notebook, chance: random.Random) -> tuple[list[Edit], str]:
    """Edits inside the cells that keep each cell's code from becoming blank, and the text that they lead to."""
    edits: list[Edit] = []
    expected, done = "", 0
    bounds = [*document._starts, len(document.text)]
    for first, end in itertools.pairwise(bounds):
        position = first
        while chance.random() < 0.6 and position < end - 1:
            start = chance.randint(position, end - 1)
            stop = chance.randint(start, end - 1)
            text = "b" + chance.choice(["", "\n", "é\n\n", '"\\\nc', "😀"]) + "c"
            edits.append(document.edit(start, stop, text))
            expected += document.text[done:start] + text
            done, position = stop, stop + 1
    return edits, expected + document.text[done:]
