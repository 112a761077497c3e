"""Whether the parameters that an optimizer is given are float16."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.half.half_parameters import HalfParameters, HalfSource
from pipeline_lint.parsing import parse

HEAD = "import torch\nfrom torch import nn\n\n\ndef f(model, flag):\n"


def found_in(*lines: str) -> HalfSource | None:
    """What is known of the argument of `use(...)`."""
    code = HEAD + "".join(f"    {line}\n" for line in lines)
    source = parse(open_document("example.py", code.encode()))
    (use,) = (call for call in source.nodes(cst.Call) if source.code(call.func) == "use")
    return source.fact(HalfParameters).among(use.args[0].value)


@pytest.mark.parametrize(
    "line",
    [
        "model.half()",
        "model.to(torch.float16)",
        "model.cuda().to('cuda', dtype=torch.half)",
        "model = model.half().cuda()",
        "model = nn.Linear(2, 2, dtype=torch.float16)",
        "model = torch.compile(nn.Linear(2, 2).half())",
        "model: nn.Module = nn.Linear(2, 2).half()",
    ],
)
def test_a_cast_before_the_optimizer_is_certain(line: str) -> None:
    found = found_in(line, "use(model.parameters())")
    assert found is not None
    assert found.is_certain


@pytest.mark.parametrize(
    "lines",
    [
        ["model.half()", "model.float()"],
        ["model.half()", "model = build()"],
        ["model.half()", "model, other = build()"],
        ["model.half()", "if flag:", "    model.bfloat16()"],
        ["if flag:", "    model.half()", "    return"],
        ["model.head.half()"],
        ["other.half()"],
    ],
)
def test_what_undoes_or_misses_the_cast_is_not_float16(lines: list[str]) -> None:
    assert found_in(*lines, "use(model.parameters())") is None


def test_a_cast_in_a_branch_is_not_certain() -> None:
    found = found_in("if flag:", "    model.half()", "use(model.parameters())")
    assert found is not None
    assert not found.is_certain


def test_a_cast_after_the_optimizer_is_not_seen() -> None:
    assert found_in("use(model.parameters())", "model.half()") is None
