"""Scripts as bytes and as text: encodings, line ends, places."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lint.diagnostic import Edit, Location
from pipeline_lint.document import Document, UnencodableEdit, UnreadableDocument
from pipeline_lint.documents import open_document


def script(data: bytes | str) -> Document:
    return open_document("x.py", data if isinstance(data, bytes) else data.encode())


def edit(document: Document, old: str, new: str) -> Edit:
    start = document.text.index(old)
    return document.edit(start, start + len(old), new)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"# only a comment",
        codecs.BOM_UTF8,
        codecs.BOM_UTF8 + b"x = 1\r\n",
        codecs.BOM_UTF8 + b"# coding: utf-8\nx = 1\n",
        b"x = 1\r\ny = 2\rz = 3\n\x0cw = 4\t",
        "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
        "#!/bin/python\n# vim: set fileencoding=shift_jis :\nx = '日本'\n".encode("shift_jis"),
        "x = 'é😀\u2028'\n".encode(),
    ],
)
def test_no_edit_changes_no_byte(data: bytes) -> None:
    assert script(data).splice([]) == data


@given(st.binary(max_size=60))
def test_whatever_can_be_opened_survives(data: bytes) -> None:
    try:
        document = script(data)
        spliced = document.splice([])
    except (UnreadableDocument, UnencodableEdit):
        return
    assert spliced == data


def test_edits_change_only_their_characters() -> None:
    data = codecs.BOM_UTF8 + "é = 1\r\n\x0cy = 'ü' \r\n\tz".encode()
    document = script(data)
    edits = [edit(document, "1", "'ö'"), edit(document, "'ü'", "")]
    assert document.splice(edits) == codecs.BOM_UTF8 + "é = 'ö'\r\n\x0cy =  \r\n\tz".encode()


def test_an_edit_is_written_in_the_encoding_of_the_file() -> None:
    document = script("# coding: latin-1\nx = 'é'\n".encode("latin-1"))
    assert document.splice([edit(document, "é", "ü")]) == "# coding: latin-1\nx = 'ü'\n".encode("latin-1")
    with pytest.raises(UnencodableEdit, match="iso-8859-1 has no bytes for '日'"):
        document.splice([edit(document, "é", "日")])


def test_a_file_whose_bytes_are_not_the_only_spelling_of_its_text_is_not_edited() -> None:
    document = script(b"# coding: utf-7\nx = '+AGE-'\n")
    assert document.text == "# coding: utf-7\nx = 'a'\n"
    with pytest.raises(UnencodableEdit, match="not the only utf-7 spelling"):
        document.splice([edit(document, "'a'", "'b'")])


@pytest.mark.parametrize(
    ("data", "reason", "location"),
    [
        (b"x = 1\ny = '\xe9'\n", "not utf-8: byte 0xe9 invalid continuation byte", Location(2, 6)),
        (b"# coding: ascii\nx = '\xe9'\n", "not ascii: byte 0xe9 ordinal not in range(128)", Location(2, 6)),
        (b"# coding: klingon\n", "unknown encoding: klingon", Location(1, 1)),
        (b"\n# coding: klingon\n", "unknown encoding: klingon", Location(1, 1)),
        (codecs.BOM_UTF8 + b"# coding: latin-1\n", "encoding problem: utf-8", Location(1, 1)),
        (
            codecs.BOM_UTF16_LE + "x = 1\n".encode("utf-16-le"),
            "UTF-16, which Python does not read either",
            Location(1, 1),
        ),
        (
            codecs.BOM_UTF16_BE + "x = 1\n".encode("utf-16-be"),
            "UTF-16, which Python does not read either",
            Location(1, 1),
        ),
        (
            codecs.BOM_UTF32_LE + "x = 1\n".encode("utf-32-le"),
            "UTF-32, which Python does not read either",
            Location(1, 1),
        ),
        (b"# coding: rot13\nk = 1\n", "not a text encoding", Location(1, 1)),
        (b"# coding: base64\nk = 1\n", "not a text encoding", Location(1, 1)),
        (b"# coding: undefined\nk = 1\n", "undefined encoding", Location(1, 1)),
        (b"# coding: unicode_escape\nk = '\\x'\n", "truncated", Location(2, 6)),
    ],
)
def test_bytes_that_are_no_text_are_refused_with_reason_and_place(data: bytes, reason: str, location: Location) -> None:
    with pytest.raises(UnreadableDocument) as error:
        script(data)
    assert reason in error.value.reason
    assert error.value.location == location


def test_a_decoder_that_does_not_say_where_it_failed_is_told_of_by_its_reason() -> None:
    # From Python 3.13 on this one does say where.
    with pytest.raises(UnreadableDocument, match="not punycode"):
        script(b"# coding: punycode\nk = 1-\xff\n")


def test_an_encoding_that_shifts_is_edited_as_a_whole() -> None:
    text = "# coding: iso-2022-jp\nx = '日本語'\n"
    document = script(text.encode("iso-2022-jp"))
    assert document.splice([edit(document, "本", "曜")]) == text.replace("本", "曜").encode("iso-2022-jp")


def test_rows_end_where_python_ends_them() -> None:
    document = script("a\nb\r\nc\rd\x0ce\x0b\u2028f")
    assert document.line_starts == [0, 2, 5, 7]
    assert [document.line(row) for row in range(1, 5)] == ["a", "b", "c", "d\x0ce\x0b\u2028f"]
    assert document.location(document.text.index("f")) == (Location(4, 6), None)
    assert document.location(len(document.text)) == (Location(4, 7), None)


@given(st.text(alphabet="ab\r\n", max_size=12))
def test_every_character_has_one_place(text: str) -> None:
    document = script(text)
    for offset in range(len(text) + 1):
        location, _ = document.location(offset)
        assert document.line_starts[location.row - 1] + location.column - 1 == offset


def test_a_byte_order_mark_counts_in_no_column() -> None:
    document = script(codecs.BOM_UTF8 + b"x = 1\n")
    assert document.location(document.text.index("x"))[0] == Location(1, 1)


def test_a_place_shows_two_rows_around_it_and_no_more_than_it_has_to() -> None:
    document = script("".join(f"row {row}\n" for row in range(1, 41)))
    starts = document.line_starts
    excerpt = document.place(starts[9], starts[9] + 3).excerpt
    assert excerpt is not None
    assert (excerpt.first_row, excerpt.lines) == (8, tuple(f"row {row}" for row in range(8, 13)))
    long = document.place(starts[0], starts[39]).excerpt
    assert long is not None
    assert (long.first_row, len(long.lines)) == (1, 15)


def test_the_kind_of_document_goes_by_the_name() -> None:
    assert type(open_document("a/x.pyi", b"")).__name__ == "Script"
    assert type(open_document("script", b"")).__name__ == "Script"
    with pytest.raises(UnreadableDocument, match="not JSON"):
        open_document("x.ipynb", b"")
