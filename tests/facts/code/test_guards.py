"""Conditions that code runs under."""

from __future__ import annotations

from textwrap import dedent

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.code.guards import conditions, is_version_dependent
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

DEPENDENT = {
    "an import that falls back": "try:\n    import here\nexcept ImportError:\n    other()",
    "the fallback itself": "try:\n    import other\nexcept (ImportError, AttributeError):\n    import here",
    "an import with a bare except": "try:\n    import here\nexcept:\n    pass",
    "an import with any exception": "try:\n    import here\nexcept Exception:\n    pass",
    "a look-up that falls back": "try:\n    a()\nexcept AttributeError:\n    here()",
    "a dotted exception": "try:\n    here()\nexcept builtins.ImportError:\n    pass",
    "a version": "if torch.__version__ >= '2':\n    a()\nelse:\n    here()",
    "a parsed version": "if parse(torch_version) < parse('2.4'):\n    here()",
    "a constant": "if TORCH_GREATER_2_4:\n    a()\nelif x:\n    here()",
    "an attribute": "f = a() if hasattr(torch, 'amp') else here()",
    "an early return": "def f():\n    if hasattr(torch, 'amp'):\n        return a()\n    return here()",
}
INDEPENDENT = {
    "plain code": "here()",
    "another condition": "if use_amp:\n    here()",
    "an available device": "if torch.cuda.is_available():\n    here()",
    "a call with any exception": "try:\n    here()\nexcept Exception:\n    pass",
    "another error": "try:\n    here()\nexcept KeyboardInterrupt:\n    pass",
    "the end of a try": "try:\n    a()\nexcept ImportError:\n    pass\nfinally:\n    here()",
    "after a try": "try:\n    import a\nexcept ImportError:\n    pass\nhere()",
    "the test itself": "if hasattr(here(), 'amp'):\n    pass",
    "after a check that raises": "def f():\n    if version < '2':\n        raise E\n    here()",
    "after another return": "def f():\n    if done:\n        return\n    here()",
}


def marked(code: str) -> tuple[Source, cst.CSTNode]:
    """The source, and the import or call of `here`."""
    source = parse(open_document("example.py", dedent(code).encode()))
    imports = [node for node in source.nodes(cst.Import) if source.code(node) == "import here"]
    calls = [node for node in source.nodes(cst.Call) if source.code(node) == "here()"]
    (node,) = [*imports, *calls]
    return source, node


@pytest.mark.parametrize("code", DEPENDENT.values(), ids=DEPENDENT.keys())
def test_one_of_several_ways_depends_on_a_version(code: str) -> None:
    assert is_version_dependent(*marked(code))


@pytest.mark.parametrize("code", INDEPENDENT.values(), ids=INDEPENDENT.keys())
def test_other_code_does_not_depend_on_a_version(code: str) -> None:
    assert not is_version_dependent(*marked(code))


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("here()", []),
        ("if a:\n    if b:\n        here()", ["b", "a"]),
        ("if a:\n    pass\nelif b:\n    pass\nelse:\n    here()", ["b", "a"]),
        ("while a:\n    here()", ["a"]),
        ("x = here() if a else b", ["a"]),
        ("a and here()", ["a"]),
        ("def f():\n    if a:\n        return\n    here()", ["a"]),
        ("def f():\n    if a:\n        b()\n    here()", []),
        ("for x in a:\n    if b: continue\n    here()", ["b"]),
        ("match a:\n    case x if b:\n        here()", ["b"]),
        ("if here():\n    pass", []),
    ],
)
def test_conditions_are_those_that_must_hold_or_fail(code: str, tests: list[str]) -> None:
    source, node = marked(code)
    assert [source.code(test) for test in conditions(source, node)] == tests
