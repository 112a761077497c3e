"""What an expression does with the result of a call in it."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.result_uses import becomes_whole_number, is_bounded_below
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def logarithm_in(expression: str) -> tuple[Source, cst.Call]:
    source = parse(open_document("example.py", f"import torch\n\n\ndef f(x, y):\n    return {expression}\n".encode()))
    (log,) = source.fact(Calls).operations("log")
    return source, log.call


@pytest.mark.parametrize(
    "expression",
    [
        "(1 + torch.log(x) / 2).to(torch.long)",
        "x.log().floor()",
        "torch.ceil(x.log() * 2).int()",
        "int(torch.log(x) + y)",
        "(x.log() / y).topk(3)",
        "x.log().type(torch.int64)",
    ],
)
def test_a_result_becomes_a_whole_number(expression: str) -> None:
    assert becomes_whole_number(*logarithm_in(expression))


@pytest.mark.parametrize("expression", ["x.log().to(torch.float16)", "x.log().mean()", "x.log() + y.long()", "x.log()"])
def test_a_result_stays_one_of_floats(expression: str) -> None:
    assert not becomes_whole_number(*logarithm_in(expression))


@pytest.mark.parametrize(
    "expression",
    [
        "torch.clamp(20 * torch.log(x), min=-80)",
        "x.log().clamp_min(-100)",
        "torch.maximum(-x.log(), y)",
        "x.log().nan_to_num()",
        "x.log().clamp(-100, 0)",
    ],
)
def test_a_result_is_bounded_afterwards(expression: str) -> None:
    assert is_bounded_below(*logarithm_in(expression))


@pytest.mark.parametrize("expression", ["x.log().clamp(max=0)", "x.clamp(min=1e-6).log()", "torch.clamp(y, x.log())"])
def test_a_result_is_not_bounded_below(expression: str) -> None:
    assert not is_bounded_below(*logarithm_in(expression))
