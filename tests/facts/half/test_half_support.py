"""What a file's code says about half precision."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.half.half_support import HalfSupport
from pipeline_lint.parsing import parse


def support(code: str) -> tuple[bool, bool]:
    found = parse(open_document("example.py", code.encode())).fact(HalfSupport)
    return found.is_named, found.casts_back


@pytest.mark.parametrize(
    "code",
    ["x = y.half()\n", "x = y.to(torch.float16)\n", "with torch.autocast('cuda'): f()\n", "def f(use_fp16): pass\n"],
)
def test_names_in_code_say_that_half_comes_in(code: str) -> None:
    assert support(code) == (True, False)


@pytest.mark.parametrize("code", ["# fp16\n", "x = 'float16'\n", "x = y.bfloat16()\n", "half_dim = 2\n"])
def test_comments_texts_and_bfloat16_do_not(code: str) -> None:
    assert support(code) == (False, False)


@pytest.mark.parametrize(
    "code",
    [
        "y = f(x.float()).type_as(x)\n",
        "y = norm(x.to(torch.float32)).to(x.dtype)\n",
        "y = x.float().sum().to(dtype=d)\n",
    ],
)
def test_casts_up_and_back_in_one_line_are_seen(code: str) -> None:
    assert support(code) == (False, True)


@pytest.mark.parametrize("code", ["y = x.float().to(device)\n", "y = x.float()\nz = y.to(x.dtype)\n"])
def test_other_casts_are_none(code: str) -> None:
    assert support(code) == (False, False)
