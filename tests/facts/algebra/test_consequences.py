"""What the code around a small difference does with it."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.algebra.consequences import Consequence, consequence_of
from pipeline_lint.parsing import parse


def consequence_in(line: str) -> Consequence:
    """Of the call `d(x)` in a line."""
    source = parse(open_document("example.py", f"def f(x, y, threshold):\n    {line}\n".encode()))
    (call,) = (call for call in source.nodes(cst.Call) if isinstance(call.func, cst.Name) and call.func.value == "d")
    return consequence_of(source, call, call.args[0].value)


@pytest.mark.parametrize(
    ("line", "consequence"),
    [
        ("return d(x)", Consequence.USED),
        ("z = -d(x) * y", Consequence.USED),
        ("z = d(x) ** 2", Consequence.USED),
        ("z = model(d(x))", Consequence.USED),
        ("z = log(d(x))", Consequence.USED),
        ("z = d(x).abs().mean()", Consequence.USED),
        ("z = d(x) / threshold", Consequence.USED),
        ("z = d(x) / x ** 2", Consequence.MAGNIFIED),
        ("z = y / d(x)", Consequence.MAGNIFIED),
        ("z = torch.sqrt(d(x))", Consequence.USED),
        ("z = y / torch.sqrt(d(x))", Consequence.MAGNIFIED),
        ("z = d(x + threshold) / threshold", Consequence.USED),
        ("z = (-d(x)).clamp(min=0).log()", Consequence.MAGNIFIED),
        ("z = d(x) ** 0.5", Consequence.USED),
        ("z = y / d(x) ** 0.5", Consequence.MAGNIFIED),
        ("z = d(x) ** -1", Consequence.MAGNIFIED),
        ("z = y + d(x)", Consequence.ADDED),
        ("z = torch.sqrt(d(x) + y)", Consequence.ADDED),
        ("z = 2 * d(x) - y", Consequence.ADDED),
        ("z = torch.round(d(x) * y).long()", Consequence.ROUNDED),
        ("z = d(x).abs() > threshold", Consequence.ROUNDED),
        ("z = d(x).ceil()", Consequence.ROUNDED),
    ],
)
def test_the_expression_around_a_value_tells(line: str, consequence: Consequence) -> None:
    assert consequence_in(line) is consequence


@pytest.mark.parametrize(
    ("lines", "consequence"),
    [
        ("z = d(x); return y / z", Consequence.MAGNIFIED),
        ("z = -d(x); w = z.sqrt(); return w.log()", Consequence.MAGNIFIED),
        ("z = d(x); return y + z", Consequence.ADDED),
        ("z = d(x); return (y + z, z * 2)", Consequence.USED),
        ("z = d(x); z = y; return y / z", Consequence.USED),
        ("z = d(x); return z > threshold", Consequence.ROUNDED),
    ],
)
def test_a_name_is_followed_to_its_uses(lines: str, consequence: Consequence) -> None:
    assert consequence_in(lines.replace("; ", "\n    ")) is consequence
