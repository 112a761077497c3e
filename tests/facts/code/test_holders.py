"""What names and attributes can hold, and which modules that makes them."""

from __future__ import annotations

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.code.holders import Holders
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

HEAD = "import torch\nfrom torch import nn\n\n"


def parsed(code: str) -> Source:
    return parse(open_document("example.py", (HEAD + code).encode()))


def argument_of_use(source: Source) -> cst.BaseExpression:
    (use,) = (call for call in source.nodes(cst.Call) if source.code(call.func) == "use")
    return use.args[0].value


def held(code: str) -> list[tuple[str, object]]:
    source = parsed(code)
    return [(source.code(each.value), each.key) for each in source.fact(Holders).values(argument_of_use(source))]


def built(code: str) -> list[str]:
    source = parsed(code)
    return [source.code(call) for call in source.fact(Holders).constructors(argument_of_use(source))]


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("x = 1\nuse(x)\n", [("1", None)]),
        ("x = 1\ndef f():\n    use(x)\n", [("1", None)]),
        ("def g():\n    x = 1\n    def f():\n        use(x)\n", [("1", None)]),
        (
            "def f(flag):\n    if flag:\n        x = 1\n    else: x = 2\n    use(x)\n",
            [("1", None), ("2", None)],
        ),
        ("def f():\n    a, b = g()\n    use(b)\n", [("g()", 1)]),
        ("def f(x):\n    use(x)\n\n\nf(1)\nf(x=2)\n", [("1", None), ("2", None)]),
        ("class A:\n    def f(self, y, x):\n        use(x)\n    def g(self):\n        self.f(1, 2)\n", [("2", None)]),
        ("class A:\n    def __init__(self, x):\n        use(x)\n\n\nA(3)\n", [("3", None)]),
        ("x = None\nif y:\n    x = 1\ndef f():\n    use(x)\n", [("1", None)]),
        (
            "class A:\n    def __init__(self): self.x = 1\n    def f(self): use(self.x)\n",
            [("1", None)],
        ),
    ],
)
def test_a_name_holds_what_its_scope_or_callers_give_it(code: str, values: list[tuple[str, object]]) -> None:
    assert held(code) == values


@pytest.mark.parametrize(
    "code",
    [
        "def f(x):\n    use(x)\n",
        "def f():\n    for x in [1]:\n        pass\n    use(x)\n",
        "x = 1\ndef f():\n    global x\n    x = 2\ndef g():\n    use(x)\n",
        "def f():\n    return [use(x) for x in y]\n",
        "def f():\n    return lambda x: use(x)\n",
        "x = 1\ndef f():\n    with y as x:\n        pass\n    use(x)\n",
        "def f():\n    x = 1\n    if y:\n        x += 1\n    use(x)\n",
        "class A:\n    def f(self):\n        use(self.x)\n",
    ],
)
def test_a_name_that_can_hold_something_unknown_holds_nothing(code: str) -> None:
    assert held(code) == []


@pytest.mark.parametrize(
    "code",
    [
        "m = Net().to('cuda')\nuse(m)\n",
        "m = torch.compile(nn.DataParallel(Net()))\nuse(m.module)\n",
        "def f(m):\n    m = m.cuda()\n    use(m)\n\n\nf(Net())\n",
        "m, o = accelerator.prepare(Net(), other)\nuse(m)\n",
        "def build():\n    return Net()\n\n\nm = build()\nuse(m)\n",
        "class A:\n    def __init__(self, m): self.m = m\n    def f(self): use(self.m)\n\n\nA(Net())\n",
    ],
)
def test_a_module_is_followed_to_the_call_that_builds_it(code: str) -> None:
    assert built(code) == ["Net()"]


def test_a_module_that_may_be_another_is_not_followed() -> None:
    assert built("def f(flag, other):\n    m = Net()\n    if flag:\n        m = other\n    use(m)\n") == []
