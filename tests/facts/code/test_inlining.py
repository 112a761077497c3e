"""Writing a traced value again: what the literate cases of the rules cannot show."""

from __future__ import annotations

import pytest

from pipeline_lint.config import Settings
from pipeline_lint.engine.fix_files import fix_contents
from pipeline_lint.facts.code.inlining import negated_code


@pytest.mark.parametrize(
    ("code", "negated"),
    [
        ("x", "-x"),
        ("self.x[0]", "-self.x[0]"),
        ("f(x)", "-f(x)"),
        ("2", "-2"),
        ("-x", "x"),
        ("-(a - b)", "a - b"),
        ("-x ** 2", "x ** 2"),
        ("a - b", "-(a - b)"),
        ("x ** 2", "-(x ** 2)"),
        ("a if b else c", "-(a if b else c)"),
        ("~x", "-(~x)"),
        ("-x - y", "-(-x - y)"),
        ("a\n+ b", "-(a\n+ b)"),
        ("-(y := x)", "(y := x)"),
    ],
)
def test_negation_puts_parentheses_where_they_are_needed(code: str, negated: str) -> None:
    assert negated_code(code) == negated


def fixed(code: bytes) -> bytes:
    return fix_contents({"example.py": code}, Settings(select=("TRN201",)), unsafe=False)["example.py"]


def test_a_name_for_the_operand_keeps_indentation_and_line_endings() -> None:
    before = (
        b"import torch\r\nimport torch.nn.functional as F\r\n\r\ndef f(m, x):\r\n\tif x:\r\n"
        b"\t\tp = torch.sigmoid(m(x))  # p\r\n\t\treturn p, torch.log(p)\r\n"
    )
    after = (
        b"import torch\r\nimport torch.nn.functional as F\r\n\r\ndef f(m, x):\r\n\tif x:\r\n"
        b"\t\tlogits = m(x)\r\n\t\tp = torch.sigmoid(logits)  # p\r\n\t\treturn p, F.logsigmoid(logits)\r\n"
    )
    assert fixed(before) == after


def test_the_encoding_of_a_file_is_kept() -> None:
    code = "# coding: latin-1\nimport torch.nn.functional as F\n\ndef f(é):\n    return F.sigmoid(é).log()  # Ü\n"
    result = fixed(code.encode("latin-1"))
    assert result.decode("latin-1") == code.replace("F.sigmoid(é).log()", "F.logsigmoid(é)")


def test_a_definition_without_other_uses_goes_also_at_the_end_of_a_file_without_a_newline() -> None:
    before = b"import torch.nn.functional as F\ndef f(x):\n    p = F.sigmoid(x)\n    return p.log()"
    assert fixed(before) == b"import torch.nn.functional as F\ndef f(x):\n    return F.logsigmoid(x)"


def test_a_definition_that_is_a_whole_block_leaves_a_pass() -> None:
    before = b"import torch.nn.functional as F\ndef f(x):\n    with x: p = F.sigmoid(x); q = p.log()\n    return q\n"
    after = b"import torch.nn.functional as F\ndef f(x):\n    with x: q = F.logsigmoid(x)\n    return q\n"
    assert fixed(before) == after
