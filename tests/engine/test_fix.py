"""Fixes are applied whole or not at all, change no byte outside their edits, and never leave a file that is broken."""

from __future__ import annotations

import codecs
import itertools
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline_lint.diagnostic import Applicability, Diagnostic, Edit, Fix
from pipeline_lint.document import Document
from pipeline_lint.documents import open_document
from pipeline_lint.engine.fix import Pass, apply_fixes, unified_diff
from pipeline_lint.source import Source

SAFE, UNSAFE = Applicability.SAFE, Applicability.UNSAFE
Contents = Mapping[str, bytes]


def finding(
    contents: Contents, *edits: tuple[str, str, str], code: str = "TRN201", kind: Applicability = SAFE
) -> Diagnostic:
    """A finding whose fix replaces, in each `(path, old, new)`, the first `old` of the file."""
    made = []
    for path, old, new in edits:
        text = open_document(path, contents[path]).text
        start = text.index(old)
        made.append(open_document(path, contents[path]).edit(start, start + len(old), new))
    return finding_of(contents, *made, code=code, kind=kind)


def finding_of(contents: Contents, *edits: Edit, code: str = "TRN201", kind: Applicability = SAFE) -> Diagnostic:
    first = edits[0]
    path = first.path if first.path in contents else min(contents)
    place = open_document(path, contents[path]).place(first.start, first.end)
    return Diagnostic(code, "log-near-zero", "`log(x)` is -inf at 0", place, fix=Fix(kind, "repair it", edits))


def insertion(contents: Contents, path: str, offset: int, text: str) -> Edit:
    return open_document(path, contents[path]).edit(offset, offset, text)


def test_a_fix_replaces_its_stretch_and_nothing_else() -> None:
    contents = {"a.py": b"\xef\xbb\xbfx = log(p)\t# why\r\n\x0cy = 2"}
    done = apply_fixes(contents, [finding(contents, ("a.py", "log(p)", "log(p + 1e-6)"))], unsafe=False)
    assert done.contents == {"a.py": b"\xef\xbb\xbfx = log(p + 1e-6)\t# why\r\n\x0cy = 2"}
    assert done.groups == [frozenset({"a.py"})]
    assert (done.refused, done.postponed) == ([], [])


def test_unsafe_fixes_wait_until_they_are_asked_for() -> None:
    contents = {"a.py": b"x = 1\n"}
    found = [finding(contents, ("a.py", "1", "2"), kind=UNSAFE)]
    assert apply_fixes(contents, found, unsafe=False) == Pass()
    assert apply_fixes(contents, found, unsafe=True).contents == {"a.py": b"x = 2\n"}


def test_findings_without_a_fix_are_passed_over() -> None:
    contents = {"a.py": b"x = 1\n"}
    place = open_document("a.py", contents["a.py"]).place(0, 1)
    assert apply_fixes(contents, [Diagnostic("TRN101", "name", "message", place)], unsafe=True) == Pass()


def test_fixes_are_applied_in_the_order_of_their_places_whatever_order_they_come_in() -> None:
    contents = {"a.py": b"x = 1; y = 2\n", "b.py": b"z = 3\n"}
    found = [
        finding(contents, ("b.py", "3", "6")),
        finding(contents, ("a.py", "2", "4")),
        finding(contents, ("a.py", "1", "2")),
    ]
    done = apply_fixes(contents, found, unsafe=False)
    assert done.applied == found[::-1]
    assert done.contents == {"a.py": b"x = 2; y = 4\n", "b.py": b"z = 6\n"}


def test_a_fix_that_is_not_accepted_is_not_applied_and_not_postponed() -> None:
    contents = {"a.py": b"x = 1; y = 2\n"}
    found = [finding(contents, ("a.py", "1", "9")), finding(contents, ("a.py", "2", "9"))]
    done = apply_fixes(contents, found, unsafe=False, accept=lambda diagnostic: diagnostic is found[1])
    assert done.contents == {"a.py": b"x = 1; y = 9\n"}
    assert (done.applied, done.postponed) == ([found[1]], [])


def test_each_fix_is_asked_about_once_and_only_when_nothing_stands_in_its_way() -> None:
    contents = {"a.py": b"x = 1; y = 2\n"}
    broken = finding(contents, ("a.py", "2", "2)"))
    found = [finding(contents, ("a.py", "x = 1", "x = 3")), finding(contents, ("a.py", "1", "9")), broken]
    asked: list[Diagnostic] = []

    def accept(diagnostic: Diagnostic) -> bool:
        asked.append(diagnostic)
        return True

    apply_fixes(contents, found, unsafe=False, accept=accept)
    assert asked == [found[0], broken]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("log(p)", "a"), ("p", "b")),
        (("x = log", "y = log"), ("log(p)", "a")),
        (("x", "y"), (" = ", " += ")),
        (("log(p)", "a"), ("log(p)", "a")),
    ],
    ids=["inside", "overlapping", "touching", "the same"],
)
def test_of_two_fixes_in_one_place_the_later_waits(first: tuple[str, str], second: tuple[str, str]) -> None:
    contents = {"a.py": b"x = log(p)\n"}
    found = [finding(contents, ("a.py", *first)), finding(contents, ("a.py", *second), code="TRN202")]
    done = apply_fixes(contents, found, unsafe=False)
    assert len(done.applied) == len(done.postponed) == 1
    assert done.refused == []
    assert done.contents["a.py"].decode() == contents["a.py"].decode().replace(*first)


def test_a_fix_in_two_files_waits_as_a_whole_when_one_of_its_places_is_taken() -> None:
    contents = {"a.py": b"x = 1\n", "b.py": b"y = 1\n"}
    found = [finding(contents, ("a.py", "1", "2")), finding(contents, ("b.py", "1", "3"), ("a.py", "x = 1", "x = 3"))]
    done = apply_fixes(contents, found, unsafe=False)
    assert done.contents == {"a.py": b"x = 2\n"}
    assert done.postponed == [found[1]]


def test_two_fixes_that_add_the_same_line_add_it_once() -> None:
    contents = {"a.py": b"x = log(p)\ny = log(q)\n"}
    line = insertion(contents, "a.py", 0, "import torch\n")
    (one,) = finding(contents, ("a.py", "log(p)", "torch.log1p(p)")).fix.edits  # type: ignore[union-attr]
    (two,) = finding(contents, ("a.py", "log(q)", "torch.log1p(q)")).fix.edits  # type: ignore[union-attr]
    found = [finding_of(contents, one, line), finding_of(contents, two, line)]
    done = apply_fixes(contents, found, unsafe=False)
    assert done.contents == {"a.py": b"import torch\nx = torch.log1p(p)\ny = torch.log1p(q)\n"}
    assert done.applied == found


def test_different_lines_added_in_one_place_wait_for_one_another() -> None:
    contents = {"a.py": b"x = 1\n"}
    found = [
        finding_of(contents, insertion(contents, "a.py", 0, "import torch\n")),
        finding_of(contents, insertion(contents, "a.py", 0, "import math\n")),
    ]
    done = apply_fixes(contents, found, unsafe=False)
    assert done.contents == {"a.py": b"import torch\nx = 1\n"}
    assert done.postponed == [found[1]]


def test_equal_brackets_opened_in_one_place_are_not_merged() -> None:
    contents = {"a.py": b"x = a + b\n"}

    def wrapped(end: int) -> Diagnostic:
        return finding_of(contents, insertion(contents, "a.py", 4, "f("), insertion(contents, "a.py", end, ")"))

    done = apply_fixes(contents, [wrapped(5), wrapped(9)], unsafe=False)
    assert done.contents == {"a.py": b"x = f(a) + b\n"}
    assert len(done.postponed) == 1


def test_insertions_of_one_fix_in_one_place_keep_their_order() -> None:
    contents = {"a.py": b"x = 1\n"}
    lines = [insertion(contents, "a.py", 0, f"import {name}\n") for name in ("zlib", "abc", "json")]
    done = apply_fixes(contents, [finding_of(contents, *lines)], unsafe=False)
    assert done.contents == {"a.py": b"import zlib\nimport abc\nimport json\nx = 1\n"}


def test_files_that_fixes_tie_together_are_one_group() -> None:
    contents = {f"{name}.py": b"x = 1; y = 2; z = 3\n" for name in "abcdefg"}
    found = [
        finding(contents, ("a.py", "1", "4"), ("c.py", "1", "4")),
        finding(contents, ("c.py", "2", "5"), ("e.py", "2", "5")),
        finding(contents, ("b.py", "1", "4")),
        finding(contents, ("f.py", "1", "4"), ("d.py", "3", "6")),
    ]
    done = apply_fixes(contents, found, unsafe=False)
    assert done.groups == [frozenset({"a.py", "c.py", "e.py"}), frozenset({"b.py"}), frozenset({"d.py", "f.py"})]


def test_a_fix_of_a_file_that_is_not_given_is_refused_as_a_whole() -> None:
    contents = {"a.py": b"x = 1\n", "b.py": b"y = 1\n"}
    found = [finding(contents, ("a.py", "1", "2"), ("b.py", "1", "2"))]
    done = apply_fixes({"a.py": contents["a.py"]}, found, unsafe=False)
    assert done.contents == {}
    (failure,) = done.refused
    assert failure.path == "a.py"
    assert failure.message == (
        "the fix of TRN201 (log-near-zero) at 1:5 was refused: it also changes b.py, which is not among the files to "
        "fix; name it, too"
    )


def test_a_fix_that_breaks_the_code_is_refused_and_the_others_are_kept() -> None:
    contents = {"a.py": b"".join(b"x%d = 1\n" % number for number in range(40)), "b.py": b"y = 1\n"}
    found = [finding(contents, ("a.py", f"x{number} = 1", f"x{number} = 2")) for number in range(40)]
    for broken in (7, 8, 31):
        found[broken] = finding(
            contents, ("a.py", f"x{broken} = 1", f"x{broken} = ("), ("b.py", "1", "2"), code="TRN999"
        )
    done = apply_fixes(contents, found, unsafe=False)
    expected = b"".join(b"x%d = %d\n" % (number, 1 if number in (7, 8, 31) else 2) for number in range(40))
    assert done.contents == {"a.py": expected}
    assert [failure.path for failure in done.refused] == ["a.py"] * 3
    assert "the fix of TRN999 (log-near-zero) at 8:1 was refused: it leaves a.py as" in done.refused[0].message
    assert done.refused[0].message.endswith("this is a bug of the rule: please report it")


def test_a_refused_fix_does_not_stand_in_the_way_of_a_good_one() -> None:
    contents = {"a.py": b"x = log(p)\n"}
    found = [finding(contents, ("a.py", "x = log", "x = (log")), finding(contents, ("a.py", "log(p)", "y"))]
    done = apply_fixes(contents, found, unsafe=False)
    assert done.contents == {"a.py": b"x = y\n"}
    assert done.applied == [found[1]]
    assert len(done.refused) == 1


def test_fixes_that_are_good_alone_and_broken_together_are_applied_one_after_the_other() -> None:
    contents = {"a.py": b"for x in a:\n    f(x)\n    g(x)\n"}
    found = [finding(contents, ("a.py", "    f(x)\n", "")), finding(contents, ("a.py", "g(x)\n", ""))]
    document = open_document("a.py", contents["a.py"])
    found[1] = finding_of(contents, document.edit(22, 30, ""))
    assert document.text[22:30] == "   g(x)\n"
    done = apply_fixes(contents, found, unsafe=False)
    assert done.contents == {"a.py": b"for x in a:\n    g(x)\n"}
    assert done.postponed == [found[1]]
    assert done.refused == []


def test_a_fix_whose_characters_the_file_cannot_hold_is_refused_with_the_reason() -> None:
    contents = {"a.py": "# coding: latin-1\nx = 'é'; y = 2\n".encode("latin-1")}
    found = [finding(contents, ("a.py", "'é'", "'∂'")), finding(contents, ("a.py", "2", "'ü'"))]
    done = apply_fixes(contents, found, unsafe=False)
    assert done.contents == {"a.py": "# coding: latin-1\nx = 'é'; y = 'ü'\n".encode("latin-1")}
    (failure,) = done.refused
    assert "'∂'" in failure.message or "∂" in failure.message
    assert "bug" not in failure.message


def test_a_fix_that_changes_what_the_bytes_mean_is_refused() -> None:
    contents = {"a.py": "# coding: latin-1\nx = 'Ã©'\n".encode("latin-1")}
    done = apply_fixes(contents, [finding(contents, ("a.py", "# coding: latin-1\n", ""))], unsafe=False)
    assert done.contents == {}
    assert "changes the encoding that a.py declares" in done.refused[0].message


@pytest.mark.parametrize(
    "data",
    [b"x = (\n", b"x = '\xff'\n", b"# coding: nonsense\n", b"x = 1\0\n"],
    ids=["syntax", "bytes", "cookie", "null"],
)
def test_a_file_that_does_not_parse_is_never_changed(data: bytes) -> None:
    contents = {"a.py": b"y = 1\n", "b.py": data}
    good = insertion(contents, "a.py", 0, "z = 2\n")
    bad = Edit("b.py", 0, len(data.decode("latin-1")), "x = 1\n", good.location, good.end_location)
    done = apply_fixes(contents, [finding_of(contents, good, bad)], unsafe=False)
    assert done.contents == {}
    assert "b.py cannot be parsed" in done.refused[0].message
    assert "such a file is never changed" in done.refused[0].message


def test_a_fix_that_changes_nothing_is_refused_lest_it_be_applied_for_ever() -> None:
    contents = {"a.py": b"x = 1\n"}
    done = apply_fixes(contents, [finding(contents, ("a.py", "1", "1"))], unsafe=False)
    assert (done.contents, done.applied) == ({}, [])
    assert "it changes nothing" in done.refused[0].message


@pytest.mark.parametrize("spans", [[(0, 3), (2, 5)], [(0, 99)], [(3, 2)], [(-1, 2)], [(0, 3), (1, 1)]])
def test_edits_that_make_no_sense_are_refused(spans: list[tuple[int, int]]) -> None:
    contents = {"a.py": b"x = 1\n"}
    place = insertion(contents, "a.py", 0, "").location
    edits = [Edit("a.py", start, end, f"y{start}", place, place) for start, end in spans]
    diagnostic = finding_of(contents, insertion(contents, "a.py", 0, "z\n"))
    broken = Diagnostic("TRN201", "log-near-zero", "m", diagnostic.place, fix=Fix(SAFE, "f", tuple(edits)))
    done = apply_fixes(contents, [broken], unsafe=False)
    assert done.contents == {}
    assert "its edits overlap or lie outside a.py" in done.refused[0].message


def test_newer_syntax_than_the_running_python_has_may_be_fixed() -> None:
    contents = {"a.py": b"match x:\n    case [1, *_]:\n        y = 1\ntype A = int\n"}
    done = apply_fixes(contents, [finding(contents, ("a.py", "y = 1", "y = 2"))], unsafe=False)
    assert done.contents == {"a.py": contents["a.py"].replace(b"y = 1", b"y = 2")}


def test_deeply_nested_code_may_be_fixed() -> None:
    contents = {"a.py": b"x = " + b"(" * 150 + b"1" + b")" * 150 + b"\ny = " + b" + ".join([b"z"] * 800) + b"\n"}
    done = apply_fixes(contents, [finding(contents, ("a.py", "1", "2"))], unsafe=False)
    assert done.contents == {"a.py": contents["a.py"].replace(b"1", b"2")}


def test_a_notebook_is_fixed_in_its_cells_and_nothing_else_of_it_changes() -> None:
    cells: list[dict[str, object]] = [
        {"cell_type": "code", "metadata": {}, "outputs": [{"x = 1": "é"}], "source": ["%matplotlib inline\n", "x = 1"]},
        {"cell_type": "code", "metadata": {}, "outputs": [], "source": ["y = 2\n", "z = '\u00e9'"]},
    ]
    data = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1).encode()
    contents = {"n.ipynb": data}
    found = [finding(contents, ("n.ipynb", "x = 1", "x = 11")), finding(contents, ("n.ipynb", "y = 2\n", ""))]
    done = apply_fixes(contents, found, unsafe=False)
    assert done.refused == []
    assert json.loads(done.contents["n.ipynb"])["cells"] == [
        {**cells[0], "source": ["%matplotlib inline\n", "x = 11"]},
        {**cells[1], "source": ["z = '\u00e9'"]},
    ]


def test_a_fix_that_breaks_a_notebook_is_refused() -> None:
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": ["x = 1"]}]
    contents = {"n.ipynb": json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()}
    done = apply_fixes(contents, [finding(contents, ("n.ipynb", "1", "("))], unsafe=False)
    assert done.contents == {}
    assert "it leaves n.ipynb as something that is not Python" in done.refused[0].message


def test_a_thousand_fixes_in_one_file_with_one_bad_one_take_a_few_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline_lint import parsing

    contents = {"a.py": b"".join(b"x%d = 1\n" % number for number in range(1000))}
    document = open_document("a.py", contents["a.py"])
    starts = document.line_starts
    found = [
        finding_of(contents, document.edit(starts[row + 1] - 2, starts[row + 1] - 1, "(" if row == 617 else "2"))
        for row in range(1000)
    ]
    real_parse = parsing.parse
    calls: list[Document] = []

    def parse(document: Document) -> Source:
        calls.append(document)
        return real_parse(document)

    monkeypatch.setattr(parsing, "parse", parse)
    done = apply_fixes(contents, found, unsafe=False)
    assert len(done.applied) == 999
    assert len(done.refused) == 1
    assert len(calls) < 40


LETTERS = st.sampled_from([*"ab1 é\tø\x0c'#=中\U0001f600", "\n", "\r\n", "\r"])
ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "cp1252", "gb18030", "euc-jp"])


@st.composite
def comment_files(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """The text of a file that is Python whatever the letters are, because each is in a comment; encoding and bytes."""
    encoding = draw(ENCODINGS)
    cookie = "" if encoding.startswith("utf-8") else f"# coding: {encoding}\n"
    lines = (
        "".join(draw(st.lists(LETTERS, max_size=60))).replace("\r", "\r#").replace("\r#\n", "\r\n").replace("\n", "\n#")
    )
    text = cookie + "#" + lines
    try:
        return text, encoding, text.encode(encoding)
    except UnicodeEncodeError:
        assume(False)
        raise


@settings(deadline=None)
@given(
    comment_files(),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 9), st.text("xyz?ab", max_size=5)), max_size=8),
)
def test_bytes_outside_the_edits_are_identical_and_inside_them_are_the_new_text(
    file: tuple[str, str, bytes], spans: list[tuple[int, int, str]]
) -> None:
    text, encoding, data = file
    contents = {"a.py": data}
    first = text.index("#", text.index("\n") if "coding" in text else 0) + 1
    found, edits = [], []
    for offset, length, new in spans:
        start = min(first + offset, len(text))
        while text[start - 1] in "\r\n":
            start += 1
        end = start + len(text[start : start + length].split("\r")[0].split("\n")[0])
        if text[start:end] != new:
            edits.append((start, end, new))
            found.append(finding_of(contents, open_document("a.py", data).edit(start, end, new)))
    done = apply_fixes(contents, found, unsafe=False)
    assert done.refused == []
    assert len(done.applied) + len(done.postponed) == len(found)
    applied = sorted((e.start, e.end, e.text) for d in done.applied if d.fix for e in d.fix.edits)
    for (_, end, _), (start, _, _) in itertools.pairwise(applied):
        assert end < start
    assert done.contents.get("a.py", data) == naive(text, applied).encode(encoding)
    assert naive_bytes(text, applied, encoding) == done.contents.get("a.py", data)
    waiting = [e for d in done.postponed if d.fix for e in d.fix.edits]
    assert all(any(e.start <= end and start <= e.end for start, end, _ in applied) for e in waiting)
    assert not found or applied
    assert all(edit in edits for edit in applied)


def naive(text: str, edits: list[tuple[int, int, str]]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def naive_bytes(text: str, edits: list[tuple[int, int, str]], encoding: str) -> bytes:
    """The old file's own bytes, cut where the edits are."""
    mark = codecs.BOM_UTF8 if encoding == "utf-8-sig" else b""
    plain = "utf-8" if mark else encoding
    data = text.encode(plain)
    for start, end, new in sorted(edits, reverse=True):
        before, inside = len(text[:start].encode(plain)), len(text[start:end].encode(plain))
        data = data[:before] + new.encode(plain) + data[before + inside :]
    return mark + data


@settings(deadline=None)
@given(st.data())
def test_fixes_in_several_files_are_whole_or_absent(data: st.DataObject) -> None:
    contents = {f"{name}.py": b"v = 0\n" * 12 for name in "abc"}
    documents = {path: open_document(path, contents[path]) for path in contents}
    found = []
    for number in range(data.draw(st.integers(1, 8))):
        spots = data.draw(
            st.sets(st.tuples(st.sampled_from(sorted(contents)), st.integers(0, 11)), min_size=1, max_size=4)
        )
        edits = [documents[path].edit(row * 6 + 4, row * 6 + 5, f"{number + 1}") for path, row in sorted(spots)]
        if data.draw(st.integers(0, 4)) == 0:
            edits[0] = documents[edits[0].path].edit(edits[0].start, edits[0].end, f"{number + 1})")
        found.append(finding_of(contents, *edits, code=f"TRN{number}"))
    done = apply_fixes(contents, found, unsafe=False)
    rows = {path: done.contents.get(path, contents[path]).splitlines() for path in contents}
    owners = {(path, row): line for path in rows for row, line in enumerate(rows[path]) if line != b"v = 0"}
    expected = {
        (edit.path, edit.start // 6): f"v = {edit.text}".encode()
        for diagnostic in done.applied
        if diagnostic.fix
        for edit in diagnostic.fix.edits
    }
    assert owners == expected
    assert len(done.applied) + len(done.postponed) + len(done.refused) == len(found)
    assert set().union(*done.groups) == set(done.contents)
    for diagnostic in done.applied:
        assert diagnostic.fix
        assert any(diagnostic.fix.paths <= group for group in done.groups)


def git_apply(folder: Path, path: str, old: bytes, new: bytes) -> bytes:
    """The bytes after git has applied our patch in a repository that holds the old ones."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(old)
    patch = unified_diff(path, old, new).encode("utf-8", "surrogateescape")
    done = subprocess.run(["git", "apply", "-"], input=patch, cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, (done.stderr, patch)
    return (folder / path).read_bytes()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "config", "core.autocrlf", "false"], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"a\nb\nc\n", b"a\nB\nc\n"),
        (b"a\r\nb\r\nc\r\n", b"a\r\nB\r\nc\r\n"),
        (b"a\nb", b"a\nB"),
        (b"a\nb", b"a\nb\n"),
        (b"a\nb\n", b"a\nb"),
        (b"a", b"a\n\nb"),
        (b"", b"a\n"),
        (b"", b"a"),
        (b"a\rb\rc\x0c\n\xe2\x80\xa8d\n", b"a\rB\rc\x0c\n\xe2\x80\xa8D\n"),
        (b"\xef\xbb\xbfx = '\xc3\xa9'\n", b"\xef\xbb\xbfx = '\xc3\xa8'\n"),
        (b"# coding: latin-1\nx = '\xe9\xff'\n", b"# coding: latin-1\nx = '\xe8\xff'\ny = '\xe9'\n"),
        (b"--- a\n+++ b\n", b"+++ a\n--- b\n"),
        (b"x\n" * 50 + b"y\n" * 50, b"z\n" + b"x\n" * 50 + b"w\n" + b"y\n" * 49),
    ],
)
def test_git_applies_the_patch(repository: Path, old: bytes, new: bytes) -> None:
    assert git_apply(repository, "folder/a.py", old, new) == new


@pytest.mark.parametrize(
    "path",
    [
        "./a.py",
        "with space.py",
        "ünï/cödé.py",
        'quo"te.py',
        "tab\there.py",
        "back\\slash.py",
        "new\nline.py",
        "a b/c d.py",
    ],
)
def test_git_finds_the_file_of_any_name(repository: Path, path: str) -> None:
    assert git_apply(repository, path, b"old\n", b"new\n") == b"new\n"


def test_git_applies_the_patch_of_a_notebook(repository: Path) -> None:
    cells = [{"cell_type": "code", "source": [f"x = {number}\n", "é"], "outputs": []} for number in range(5)]
    old = json.dumps({"cells": cells, "nbformat": 4}, indent=1, ensure_ascii=False).encode()
    new = old.replace(b"x = 3", b"x = 30")
    assert git_apply(repository, "n.ipynb", old, new) == new


def test_the_patch_of_nothing_is_empty() -> None:
    assert unified_diff("a.py", b"a\n", b"a\n") == ""


def test_a_name_with_a_space_is_closed_by_a_tab_as_in_patches_of_git() -> None:
    assert unified_diff("a b.py", b"1\n", b"2\n").startswith("--- a/a b.py\t\n+++ b/a b.py\t\n@@")


def test_a_patch_reads_as_people_know_it() -> None:
    assert unified_diff("p/a.py", b"a\nb\nc", b"a\nB\nc") == (
        "--- a/p/a.py\n+++ b/p/a.py\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n\\ No newline at end of file\n"
    )


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"a\n", b"b\r\n", b"c\r", b"\xff\n", b" \n", b"\n"]), max_size=12), st.data())
def test_git_applies_any_patch(repository: Path, lines: list[bytes], data: st.DataObject) -> None:
    changed = data.draw(st.permutations([*lines, b"new\n", b"last"]))
    old, new = b"".join(lines), b"".join(changed)
    assert git_apply(repository, "any.py", old, new) == new
