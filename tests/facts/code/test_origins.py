"""From a value back to the activation behind it."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.code.origins import Origin, Origins
from pipeline_lint.parsing import parse

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n\ndef f(x, y, eps):\n"


def origin_of(*lines: str) -> Origin | None:
    """The origin of the argument of `use(...)`."""
    code = HEAD + "".join(f"    {line}\n" for line in lines)
    source = parse(open_document("example.py", code.encode()))
    (use,) = (call for call in source.nodes(cst.Call) if source.code(call.func) == "use")
    return source.fact(Origins).origin(use.args[0].value)


@pytest.mark.parametrize(
    ("expression", "scale", "offset", "has_epsilon"),
    [
        ("torch.sigmoid(x)", 1, 0, False),
        ("1 - torch.sigmoid(x)", -1, 1, False),
        ("-torch.sigmoid(x)", -1, 0, False),
        ("torch.sigmoid(x) - 1", 1, -1, False),
        ("1 - (1 - torch.sigmoid(x))", 1, 0, False),
        ("2 - (torch.sigmoid(x) + 3)", -1, -1, False),
        ("1.0 - torch.sigmoid(x).view(-1)[0]", -1, 1, False),
        ("torch.sub(1, torch.sigmoid(x))", -1, 1, False),
        ("torch.sigmoid(x).neg().add(1)", -1, 1, False),
        ("torch.sigmoid(x) + 1e-8", 1, 1e-8, False),
        ("1 + 1e-3 - torch.sigmoid(x)", -1, 1.001, False),
        ("torch.sigmoid(x) + eps", 1, 0, True),
        ("1 + eps - torch.sigmoid(x)", -1, 1, True),
        ("torch.sigmoid(x).clamp(min=1e-7)", 1, 0, True),
        ("torch.maximum(torch.sigmoid(x), eps)", 1, 0, True),
    ],
)
def test_sums_with_numbers_are_followed(expression: str, scale: float, offset: float, has_epsilon: bool) -> None:
    origin = origin_of(f"use({expression})")
    assert origin is not None
    assert origin.activation.name == "sigmoid"
    assert (origin.scale, origin.offset, origin.has_epsilon) == (scale, offset, has_epsilon)


@pytest.mark.parametrize(
    "expression",
    [
        "x",
        "torch.sigmoid(x) + y",
        "torch.sigmoid(x) * 2",
        "2 * torch.sigmoid(x)",
        "torch.sigmoid(x) / 2",
        "torch.sigmoid(x).mean()",
        "torch.add(torch.sigmoid(x), 1, alpha=2)",
        "torch.ones_like(y) - torch.sigmoid(x)",
        "torch.cat([torch.sigmoid(x)])",
        "torch.sigmoid(x) if y else x",
        "(lambda: torch.sigmoid(x))()",
        "torch.sigmoid(*x)",
        "nn.Sigmoid()(x, y)",
        "nn.Sigmoid()(*x)",
        "nn.Sigmoid",
        "torch.sigmoid(x).clamp_min(torch.finfo(x.dtype).tiny)",
    ],
)
def test_what_is_not_an_activation_plus_a_number_has_no_origin(expression: str) -> None:
    assert origin_of(f"use({expression})") is None


def test_names_on_the_way_are_given_with_their_definitions_last_first() -> None:
    origin = origin_of("p = F.softmax(x, dim=1)", "q = p.view(-1)", "use(q[0])")
    assert origin is not None
    assert origin.activation.name == "softmax"
    assert [definition.name for definition in origin.definitions] == ["q", "p"]


def test_an_operation_in_place_on_the_way_is_told() -> None:
    for line in ("use(x.sigmoid_())", "use(torch.sigmoid(x).squeeze_())", "use(torch.neg(torch.sigmoid(x), out=y))"):
        origin = origin_of(line)
        assert origin is not None
        assert origin.changes_memory


def test_a_chain_without_end_is_given_up() -> None:
    assert origin_of(f"use({'-' * 100}torch.sigmoid(x))") is None


def test_a_name_that_is_defined_by_itself_ends() -> None:
    assert origin_of("p = p", "use(p)") is None


@pytest.mark.parametrize(
    ("expression", "name"),
    [
        ("F.logsigmoid(x)", "logsigmoid"),
        ("nn.LogSigmoid()(x)", "logsigmoid"),
        ("x.log_softmax(1)", "log_softmax"),
        ("nn.LogSoftmax(dim=1)(x)", "log_softmax"),
        ("F.logsigmoid(x).exp()", "exp"),
        ("1 - torch.exp(x)", "exp"),
    ],
)
def test_log_probabilities_and_exp_end_a_trace(expression: str, name: str) -> None:
    origin = origin_of(f"use({expression})")
    assert origin is not None
    assert origin.activation.name == name


def test_a_trace_without_an_activation_ends_at_what_is_not_known() -> None:
    code = HEAD + "    p = model(x).view(-1)\n    use(1 - p[0])\n"
    source = parse(open_document("example.py", code.encode()))
    (use,) = (call for call in source.nodes(cst.Call) if source.code(call.func) == "use")
    trace = source.fact(Origins).trace(use.args[0].value)
    assert source.code(trace.inner) == "model(x)"
    assert (trace.scale, trace.offset, len(trace.links)) == (-1, 1, 4)
