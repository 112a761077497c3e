"""Names that say that a value is float16."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.half_values import half_name
from pipeline_lint.parsing import parse


def name_of(body: str) -> str | None:
    """What is said of the argument of `here(...)`."""
    source = parse(open_document("example.py", f"def f(x, g_16, params_fp16):\n    {body}\n".encode()))
    (call,) = [node for node in source.nodes(cst.Call) if source.code(node.func) == "here"]
    return half_name(source, call.args[0].value)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("here(g_16)", "g_16"),
        ("here(self.fp16_grads)", "fp16_grads"),
        ("here(-g_16[0] ** 2)", "g_16"),
        ("here(g_16.abs())", "g_16"),
        ("here(g_16 * g_16)", "g_16"),
        ("[here(g) for g in g_16]", "g_16"),
        ("[here(p.grad.data) for p in params_fp16]", "params_fp16"),
        ("for p in params_fp16: here(p.grad)", "params_fp16"),
    ],
)
def test_a_value_is_half_by_its_name_or_by_what_it_is_one_of(body: str, name: str) -> None:
    assert name_of(body) == name


@pytest.mark.parametrize(
    "body",
    [
        "here(x)",
        "here(x_16)",
        "here(use_fp16)",
        "here(first_half)",
        "here(g_16.float())",
        "here(g_16 * x)",
        "[here(x) for g in g_16]",
    ],
)
def test_other_names_say_nothing(body: str) -> None:
    assert name_of(body) is None
