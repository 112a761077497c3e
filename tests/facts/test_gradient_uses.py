"""Whether every use of a value loses the gradient: under other names, at the function's callers, under `no_grad`."""

from __future__ import annotations

import textwrap

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.gradient_uses import GradientUses
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def are_lost(code: str) -> bool:
    """Whether all uses of `root(...)` in the code lose the gradient."""
    imports = "import torch\nfrom torch import nn\n"
    source: Source = parse(open_document("example.py", (imports + textwrap.dedent(code)).encode()))
    (call,) = (node for node in source.nodes(cst.Call) if source.code(node.func) == "root")
    return source.fact(GradientUses).are_lost(call)


LOST = {
    "a name that is only compared": """
        def f(x):
            distance = root(x)
            return x[distance < 3]
        """,
    "a chain of names that ends in an index": """
        def f(x):
            size = root(x)
            level = (size / 9.5).log2()
            return x, level.floor().long()
        """,
    "one that changes in place": """
        def f(x):
            size = root(x)
            size += 1
            return size.item()
        """,
    "the condition of a branch": """
        def f(x):
            if root(x):
                return 1
        """,
    "text": """
        def f(x):
            return f"{root(x)}"
        """,
    "what its shape is asked of": """
        def f(x):
            y = root(x)
            return y.shape, y.size(0)
        """,
    "a block without gradients": """
        def f(x):
            with torch.no_grad():
                return root(x)
        """,
    "a function without gradients": """
        @torch.no_grad()
        def f(x):
            return root(x)
        """,
    "a method whose one caller wants no gradient": """
        class Loss(nn.Module):
            def angles(self, x):
                angles = root(x)
                return angles

            def forward(self, x):
                with torch.no_grad():
                    theta = self.angles(x)
                return theta * x
        """,
    "a function whose callers throw the gradient away": """
        def norm(x):
            return root(x)

        def error(x):
            ratio = norm(x) / 2
            return ratio.detach()

        def evaluate(x):
            return norm(x)
        """,
    "both names of an unpacking": """
        def f(x):
            a, b = root(x)
            return a.item(), b > 3
        """,
}
KEPT = {
    "a name that is returned": """
        def f(x):
            distance = root(x)
            return distance
        """,
    "one use of several": """
        def f(x):
            distance = root(x)
            near = distance < 3
            return distance * near
        """,
    "what is never used": """
        def f(x):
            distance = root(x)
        """,
    "a name that a function inside reads": """
        def f(x):
            distance = root(x)
            def g(y):
                return distance + y
            return g, distance < 3
        """,
    "an attribute": """
        def f(self, x):
            self.distance = root(x)
        """,
    "an item of what may be known elsewhere": """
        def f(self, x):
            table = self.table
            table[0] = root(x)
        """,
    "a forward": """
        class A(nn.Module):
            def forward(self, x):
                return root(x)

            def evaluate(self, x):
                return self.forward(x)
        """,
    "a method that others of the name do not speak for": """
        class A:
            def log(self, x):
                return root(x)

        def evaluate(x):
            return x.log()
        """,
    "a function that only calls itself": """
        def f(x):
            return f(x) < 3 or root(x)
        """,
    "a function that is passed on": """
        def f(x):
            return root(x)

        def evaluate(x):
            return f(x), map(f, x)
        """,
    "a call of the module": """
        def f(x):
            return root(x)

        print(f(3))
        """,
    "a switch that is on": """
        def f(x):
            with torch.set_grad_enabled(True):
                return root(x)
        """,
}


@pytest.mark.parametrize("code", LOST.values(), ids=LOST)
def test_nobody_differentiates_through(code: str) -> None:
    assert are_lost(code)


@pytest.mark.parametrize("code", KEPT.values(), ids=KEPT)
def test_a_gradient_may_come_back_through(code: str) -> None:
    assert not are_lost(code)
