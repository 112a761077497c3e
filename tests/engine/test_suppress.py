"""Suppression comments: what they silence, which are idle, how they are removed and added."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_lint.diagnostic import Diagnostic
from pipeline_lint.document import Document
from pipeline_lint.documents import open_document
from pipeline_lint.engine.suppress import UNUSED_CODE, apply_suppressions, find_suppressions, noqa_edits

ACTIVE = {("TRN201", "log-of-sigmoid"), ("TRN204", "log-near-zero"), ("TRN902", "unused-suppression")}


def document(text: str) -> Document:
    return open_document("a.py", text.encode())


def finding(doc: Document, needle: str, code: str = "TRN201", name: str = "log-of-sigmoid") -> Diagnostic:
    start = doc.text.index(needle)
    return Diagnostic(code, name, "wrong", doc.place(start, start + len(needle)))


def remaining(text: str, *, needle: str = "bad", hidden: tuple[str, ...] = ()) -> list[Diagnostic]:
    doc = document(text)
    return apply_suppressions(
        [finding(doc, needle)], find_suppressions(doc), active=ACTIVE, hidden=hidden, report_unused=True
    ).diagnostics


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "#noqa",
        "# NOQA: trn201",
        "# noqa: TRN201",
        "# noqa:TRN201,E501",
        "# noqa: E501 TRN201",
        "# type: ignore # noqa: TRN201",
        "# noqa: TRN2",
        "# pipeline-lint: ignore[TRN201]",
        "# pipeline-lint: ignore[log-of-sigmoid] bounded by the encoder",
        "# pipeline-lint:ignore[E501, log-of-sigmoid]",
        "# pipeline-lint: ignore",
    ],
)
def test_a_comment_on_the_row_silences_the_finding(comment):
    kept = remaining(f"x = bad(1)  {comment}\n")
    assert [diagnostic.code for diagnostic in kept if diagnostic.code == "TRN201"] == []


@pytest.mark.parametrize(
    "text",
    [
        "x = bad(1)  # noqa: E501\n",
        "x = bad(1)  # noqa: TRN204\n",
        "x = bad(1)\n# noqa\n",
        "x = bad('# noqa')\n",
        'x = bad("""\n# noqa: TRN201\n""")\n',
        "x = bad(1)  # nothing about noqan\n",
        "x = bad(1)  # pipeline-lint: ignore[TRN204]\n",
    ],
)
def test_anything_else_does_not(text):
    assert "TRN201" in [diagnostic.code for diagnostic in remaining(text)]


def test_a_finding_over_several_rows_is_silenced_on_its_first_or_last():
    text = "x = bad(\n    1,\n){}\n"
    for comments in (("", "  # noqa: TRN201"), ("  # noqa: TRN201", "")):
        code = text.replace("bad(", "bad(" + comments[0]).format(comments[1])
        doc = document(code)
        span = (
            code[code.index("bad") : code.rindex(")") + 1]
            if not comments[1]
            else code[code.index("bad") :].split("  #")[0]
        )
        assert not apply_suppressions(
            [finding(doc, span)], find_suppressions(doc), active=ACTIVE, report_unused=True
        ).diagnostics


def test_a_directive_alone_on_its_row_counts_for_the_row_below():
    assert remaining("# pipeline-lint: ignore[log-of-sigmoid] known\nx = bad(1)\n") == []


def test_a_directive_for_the_file_counts_everywhere():
    assert remaining("# pipeline-lint: ignore-file[TRN201]\n\n\nx = bad(1)\n") == []


@pytest.mark.parametrize(
    ("line", "removed"),
    [
        ("y = 2  # noqa: TRN204", "y = 2"),
        ("y = 2  # noqa: TRN204, E501", "y = 2  # noqa: E501"),
        ("y = 2  # noqa: TRN204  # type: ignore", "y = 2    # type: ignore"),
        ("y = 2  # pipeline-lint: ignore[log-near-zero] reason", "y = 2"),
        ("y = 2  # pipeline-lint: ignore[TRN204, TRN777]", "y = 2  # pipeline-lint: ignore[TRN777]"),
    ],
)
def test_an_idle_suppression_is_reported_and_removed(line, removed):
    doc = document(f"x = 1\n{line}\n")
    (idle,) = apply_suppressions([], find_suppressions(doc), active=ACTIVE, report_unused=True).diagnostics
    assert idle.code == UNUSED_CODE
    assert "silences nothing" in idle.message
    assert doc.splice(idle.fix.edits).decode() == f"x = 1\n{removed}\n"


@pytest.mark.parametrize(
    "line",
    [
        "y = 2  # noqa",
        "y = 2  # noqa: E501",
        "y = 2  # noqa: TRN777",
        "y = 2  # noqa: TRN204, TRN902",
        "y = 2  # about noqa: it",
    ],
)
def test_a_suppression_that_may_be_anothers_is_not_called_idle(line):
    doc = document(line + "\n")
    assert apply_suppressions([], find_suppressions(doc), active=ACTIVE, report_unused=True).diagnostics == []


def test_a_suppression_of_a_finding_below_the_reported_confidence_is_in_use():
    doc = document("y = 2  # noqa: TRN204\n")
    kept = apply_suppressions(
        [], find_suppressions(doc), active=ACTIVE, hidden=("TRN204",), report_unused=True
    ).diagnostics
    assert kept == []


@pytest.mark.parametrize(
    ("comment", "words"),
    [
        ("# pipeline-lint: ignroe[TRN201]", "is no directive and silences nothing; write `ignore[rule]`"),
        ("# pipeline-lint: ignore[log-of-sigmod]", "names no rule that runs"),
    ],
)
def test_a_slip_in_a_directive_is_reported(comment, words):
    messages = [d.message for d in remaining(f"x = bad(1)  {comment}\n") if d.code == UNUSED_CODE]
    assert len(messages) == 1
    assert words in messages[0]


def test_noqa_comments_are_added_and_joined():
    doc = document("a = bad1(1)\nb = bad2(1)  # noqa: E501\nc = bad3(1)  # why\nd = bad4(1)  # noqa: TRN201\n")
    findings = [finding(doc, f"bad{i}(1)") for i in (1, 2, 3, 4)]
    findings.append(finding(doc, "bad1", "TRN204", "log-near-zero"))
    assert doc.splice(list(noqa_edits(doc, findings))).decode() == (
        "a = bad1(1)  # noqa: TRN201, TRN204\n"
        "b = bad2(1)  # noqa: E501, TRN201\n"
        "c = bad3(1)  # why  # noqa: TRN201\n"
        "d = bad4(1)  # noqa: TRN201\n"
    )


@given(st.text(alphabet=st.sampled_from(list("# noqa:TRN201,pipelntg-[]\n\"'x=()\t\r")), max_size=80))
def test_no_text_breaks_the_search_and_every_comment_found_is_one(text):
    doc = document(text)
    for suppression in find_suppressions(doc):
        comment = doc.text[suppression.place.start : suppression.place.end]
        assert comment.startswith("#")
        assert "\n" not in comment
        assert suppression.comment_end >= suppression.place.end


@given(
    rows=st.lists(
        st.sampled_from(["a = bad(1)", "a = 1", "a = bad(1)  # why", "a = bad(1)  # noqa: E501"]), max_size=8
    ),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_after_adding_noqa_nothing_is_left_and_nothing_else_changed(rows, newline):
    doc = document(newline.join(rows) + newline)
    found = [
        Diagnostic("TRN201", "log-of-sigmoid", "wrong", doc.place(match.start(), match.end()))
        for match in re.finditer(r"bad\(1\)", doc.text)
    ]
    changed = document(doc.splice(list(noqa_edits(doc, found))).decode())
    again = [
        Diagnostic("TRN201", "log-of-sigmoid", "wrong", changed.place(match.start(), match.end()))
        for match in re.finditer(r"bad\(1\)", changed.text)
    ]
    assert apply_suppressions(again, find_suppressions(changed), active=ACTIVE, report_unused=True).diagnostics == []
    without = re.sub(r"  # noqa: TRN201|, TRN201", "", changed.text)
    assert without == doc.text
