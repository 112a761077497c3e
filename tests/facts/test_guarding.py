"""Code that bounds an operand, or gives a call one more argument."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.guarding import with_keyword
from pipeline_lint.parsing import parse


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x.sum()", "x.sum(dtype=d)"),
        ("(x.sum())", "(x.sum(dtype=d))"),
        ("x.sum( )", "x.sum(dtype=d )"),
        ("torch.sum(x)", "torch.sum(x, dtype=d)"),
        ("torch.sum(x,)", "torch.sum(x, dtype=d,)"),
        ("torch.sum((x), dim=(0))", "torch.sum((x), dim=(0), dtype=d)"),
        ("torch.sum(f[0]) [1]", "torch.sum(f[0], dtype=d) [1]"),
    ],
)
def test_a_keyword_goes_behind_the_other_arguments(before: str, after: str) -> None:
    source = parse(open_document("example.py", f"{before}\n".encode()))
    (call,) = source.nodes(cst.Call)
    edit = with_keyword(source, call, "dtype=d")
    assert f"{before}\n"[: edit.start] + edit.text + f"{before}\n"[edit.end :] == f"{after}\n"
