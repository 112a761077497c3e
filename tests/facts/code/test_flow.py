"""Which expression gave a name its value: every rule of reaching, and everything that must have no answer."""

from __future__ import annotations

from textwrap import dedent

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def source_of(code: str) -> Source:
    return parse(open_document("example.py", dedent(code).encode()))


def calls_of(source: Source, name: str) -> list[cst.Call]:
    return [call for call in source.nodes(cst.Call) if isinstance(call.func, cst.Name) and call.func.value == name]


def values_at_use(code: str) -> list[str | None]:
    """For each `use(name)` the code of the value that reaches it."""
    source = source_of(code)
    values = []
    for call in calls_of(source, "use"):
        name = call.args[0].value
        assert isinstance(name, cst.Name)
        value = source.fact(Flow).value_of(name)
        values.append(source.code(value) if value is not None else None)
    return values


def in_function(body: str) -> str:
    return "def f(x, y, c):\n" + "".join(f"    {line}\n" for line in body.strip("\n").splitlines())


REACHING = {
    "straight-line code": ("p = g(x)\nuse(p)", ["g(x)"]),
    "the last of several": ("p = 1\np = 2\nuse(p)", ["2"]),
    "an annotated assignment": ("p: int = 1\nuse(p)", ["1"]),
    "each name of a chain": ("p = q = g(x)\nuse(p)\nuse(q)", ["g(x)", "g(x)"]),
    "a literal tuple": ("p, q = g(x), 2\nuse(p)\nuse(q)", ["g(x)", "2"]),
    "a block inside": ("p = 1\nif c:\n    use(p)\nelse:\n    use(p)", ["1", "1"]),
    "a branch of its own": ("if c:\n    p = 1\n    use(p)\nelse:\n    p = 2\n    use(p)", ["1", "2"]),
    "a loop that leaves it alone": ("p = 1\nfor i in x:\n    use(p)", ["1"]),
    "the same round of a loop": ("for i in x:\n    p = i\n    use(p)\n    p = 2", ["i"]),
    "what a loop runs over": ("p = 1\nfor i in use(p):\n    p = 2", ["1"]),
    "out of a with": ("with c:\n    p = 1\nuse(p)", ["1"]),
    "within a try": ("try:\n    p = 1\n    use(p)\nexcept E:\n    pass", ["1"]),
    "into a handler from before": ("p = 1\ntry:\n    g()\nexcept E:\n    use(p)", ["1"]),
    "the right side of its own assignment": ("p = 1\np = use(p)", ["1"]),
    "into a list comprehension": ("p = 1\n[use(p) for i in x]", ["1"]),
    "past changes of others": ("p = torch.g(x)\nx.zero_()\ny[0] = 1\nuse(p)", ["torch.g(x)"]),
    "past attributes of others": ("p = 1\nself.p = 2\nx.p = 3\nuse(p)", ["1"]),
    "past a function of the same file": ("p = 1\ndef g():\n    p = 2\nuse(p)", ["1"]),
    "after a return in a branch": ("p = 1\nif c:\n    return 2\nuse(p)", ["1"]),
    "the only path of a match": ("p = 1\nmatch c:\n    case [q]:\n        use(p)", ["1"]),
    "a test of while that leaves it alone": ("p = 1\nwhile use(p):\n    q = 2", ["1"]),
    "statements on one line": ("p = 1; use(p)", ["1"]),
    "the body of a one-line if": ("p = 1\nif c: use(p)", ["1"]),
}

UNKNOWN = {
    "a parameter": "use(x)",
    "a name of nowhere": "use(p)",
    "bound in one branch": "p = 1\nif c:\n    p = 2\nuse(p)",
    "bound in both branches": "if c:\n    p = 1\nelse:\n    p = 2\nuse(p)",
    "bound in an elif": "p = 1\nif c:\n    pass\nelif x:\n    p = 2\nuse(p)",
    "bound later in the loop": "p = 1\nfor i in x:\n    use(p)\n    p = 2",
    "bound later in an outer loop": "p = 1\nfor i in x:\n    for j in y:\n        use(p)\n    p = 2",
    "bound in a loop before": "p = 1\nfor i in x:\n    p = 2\nuse(p)",
    "bound in a loop only": "for i in x:\n    p = 2\nuse(p)",
    "a test of while that the body rebinds": "p = 1\nwhile use(p):\n    p = 2",
    "a loop variable": "for p in x:\n    use(p)",
    "a loop variable in a tuple": "p = 1\nfor i, (p, q) in x:\n    use(p)",
    "bound in a try": "p = 1\ntry:\n    p = 2\nexcept E:\n    pass\nuse(p)",
    "bound in a try, used in its handler": "p = 1\ntry:\n    p = 2\nexcept E:\n    use(p)",
    "bound in a try, used in finally": "try:\n    p = 2\nfinally:\n    use(p)",
    "a handler's name": "p = 1\ntry:\n    pass\nexcept E as p:\n    use(p)",
    "a with that swallows exceptions": "with suppress(E):\n    p = 1\nuse(p)",
    "a context's name": "p = 1\nwith g() as p:\n    use(p)",
    "a context's name in the same with": "p = 1\nwith g() as p, use(p):\n    pass",
    "augmented": "p = 1\np += 1\nuse(p)",
    "unpacked from a call": "p, q = g()\nuse(p)",
    "unpacked with a star": "p, *q = 1, 2, 3\nuse(p)",
    "changed in place": "p = g(x)\np.clamp_(0)\nuse(p)",
    "changed by a function with an underscore": "p = g(x)\ninit.zeros_(p)\nuse(p)",
    "an output of a function": "p = g(x)\nadd(x, y, out=p)\nuse(p)",
    "an item assigned": "p = g(x)\np[0] = 1\nuse(p)",
    "its data assigned": "p = g(x)\np.data[0] = 1\nuse(p)",
    "changed through a view": "p = g(x)\nq = p.view(-1)\nq.zero_()\nuse(p)",
    "changed through what it is a view of": "q = g(x)\np = q[0]\nq.zero_()\nuse(p)",
    "changed through another name": "p = g(x)\nq = p\nq += 1\nuse(p)",
    "changed through the other name of a chain": "p = q = g(x)\nq.zero_()\nuse(p)",
    "changed through a loop over it": "p = g(x)\nfor row in p:\n    row.zero_()\nuse(p)",
    "changed through what an own function hands back": "p = g(x)\nq = h(p)\nq.zero_()\nuse(p)",
    "deleted": "p = 1\ndel p\nuse(p)",
    "a walrus before": "p = 1\nif (p := 2):\n    use(p)",
    "a walrus in the same statement": "p = 1\nq = (p := 2) + use(p)",
    "a walrus in a comprehension": "p = 1\nq = [(p := i) for i in x]\nuse(p)",
    "global": "global p\np = 1\nuse(p)",
    "nonlocal in a function inside": "p = 1\ndef g():\n    nonlocal p\n    p = 2\ng()\nuse(p)",
    "in a function inside": "p = 1\ndef g():\n    use(p)",
    "in a lambda": "p = 1\nq = lambda: use(p)",
    "in a generator": "p = 1\nq = (use(p) for i in x)",
    "in a class": "p = 1\nclass A:\n    use(p)",
    "a comprehension's own": "p = 1\nq = [use(p) for p in x]",
    "a comprehension's own in a tuple": "p = 1\nq = [use(p) for i in x for (j, p) in y]",
    "an import": "p = 1\nimport p\nuse(p)",
    "an import by another name": "p = 1\nfrom a import b as p\nuse(p)",
    "a function": "p = 1\ndef p():\n    pass\nuse(p)",
    "a class": "p = 1\nclass p:\n    pass\nuse(p)",
    "a pattern": "p = 1\nmatch c:\n    case [p, *q]:\n        use(p)",
    "a pattern's rest": "p = 1\nmatch c:\n    case {1: 2, **p}:\n        use(p)",
    "used before": "use(p)\np = 1",
}


@pytest.mark.parametrize(("body", "values"), REACHING.values(), ids=REACHING.keys())
def test_a_plain_definition_reaches(body: str, values: list[str]) -> None:
    assert values_at_use(in_function(body)) == values


@pytest.mark.parametrize("body", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_is_not_plain_has_no_answer(body: str) -> None:
    assert set(values_at_use(in_function(body))) == {None}


def test_code_at_module_level_is_a_scope() -> None:
    assert values_at_use("p = 1\nuse(p)\ndef f():\n    use(p)\n") == ["1", None]


def test_a_name_of_the_module_that_a_function_binds_has_no_answer() -> None:
    assert values_at_use("p = 1\ndef f():\n    global p\n    p = 2\nuse(p)\n") == [None]


def test_an_import_of_everything_may_bind_any_name() -> None:
    assert values_at_use("p = 1\nuse(p)\nfrom a import *\nuse(p)\n") == ["1", None]


def test_a_default_is_evaluated_outside_of_its_function() -> None:
    assert values_at_use("p = 1\ndef f(q=use(p)):\n    pass\np = 2\n") == ["1"]


def test_methods_are_scopes_of_their_own() -> None:
    assert values_at_use("class A:\n    def f(self):\n        p = 1\n        use(p)\n") == ["1"]


SAME_VALUE = {
    "nothing in between": ("p = op(x)", True),
    "another name bound": ("p = op(x)\ny = 1", True),
    "bound in between": ("p = op(x)\nx = 1", False),
    "bound by the statement itself": ("x = op(x)", False),
    "bound in a branch in between": ("p = op(x)\nif c:\n    x = 1", False),
    "changed in place": ("p = op(x)\nx.add_(1)", False),
    "changed through a view from before": ("v = x.view(-1)\np = op(x)\nv[0] = 1", False),
    "another attribute changed": ("p = op(self.a)\nself.b = 1", True),
    "the attribute changed": ("p = op(self.a)\nself.a = 1", False),
    "an attribute of the attribute changed": ("p = op(self.a)\nself.a.b = 1", False),
    "what holds the attribute bound": ("p = op(self.a)\nself = 1", False),
    "an optimizer's step": ("p = op(x)\noptimizer.step()", False),
    "in a branch of its own": ("if c:\n    p = op(x)", False),
}


@pytest.mark.parametrize(("body", "is_same"), SAME_VALUE.values(), ids=SAME_VALUE.keys())
def test_whether_an_expression_reads_the_same_again(body: str, is_same: bool) -> None:
    source = source_of(in_function(body + "\nuse(p)"))
    (operand,), (use,) = (calls_of(source, name) for name in ("op", "use"))
    assert source.fact(Flow).has_same_value(operand.args[0].value, at=use) is is_same


def test_a_loop_around_the_later_place_alone_counts_all_that_it_binds() -> None:
    source = source_of(in_function("p = op(x)\nfor i in y:\n    use(p)\n    x = 1"))
    (operand,), (use,) = (calls_of(source, name) for name in ("op", "use"))
    assert not source.fact(Flow).has_same_value(operand.args[0].value, at=use)


def test_a_comprehension_around_the_later_place_hides_names() -> None:
    source = source_of(in_function("p = op(x)\nq = [use(p) for x in y]"))
    (operand,), (use,) = (calls_of(source, name) for name in ("op", "use"))
    assert not source.fact(Flow).has_same_value(operand.args[0].value, at=use)


def test_two_functions_share_no_values() -> None:
    source = source_of("def f(x):\n    return op(x)\ndef g(x):\n    return use(x)\n")
    (operand,), (use,) = (calls_of(source, name) for name in ("op", "use"))
    assert not source.fact(Flow).has_same_value(operand.args[0].value, at=use)


def test_with_blocks_are_told_apart() -> None:
    source = source_of(
        "def f():\n    with a:\n        use(1)\n        use(2)\n    with a:\n        use(3)\n    use(4)\n"
    )
    one, two, three, four = calls_of(source, "use")
    flow = source.fact(Flow)
    assert flow.has_same_modes(one, two)
    assert not flow.has_same_modes(one, three)
    assert not flow.has_same_modes(three, four)


def test_uses_are_counted_without_labels_and_targets() -> None:
    source = source_of("def f(p):\n    p = 1\n    p: int = 2\n    g(p, p=p)\n    self.p = p.p\n    return lambda: p\n")
    (function,) = source.nodes(cst.FunctionDef)
    assert source.fact(Flow).num_uses("p", within=function) == 4


CHANGED_LATER = {
    "nothing": ("use(x)", False),
    "in place": ("use(x)\nx.add_(1)", True),
    "in place by an operator": ("use(x)\nx += 1", True),
    "an item": ("use(x)\nx[0] = 1", True),
    "another value for the name": ("use(x)\nx = 1", False),
    "another value for a loop's variable": ("for x in y:\n    use(x)", False),
    "another value by unpacking": ("for i in y:\n    use(x)\n    x, c = f(i)", False),
    "in place in the next round": ("for i in y:\n    x.add_(1)\n    use(x)", True),
    "by an operator in the next round": ("for i in y:\n    x += 1\n    use(x)", True),
}


@pytest.mark.parametrize(("body", "is_changed"), CHANGED_LATER.values(), ids=CHANGED_LATER.keys())
def test_whether_a_tensor_is_changed_later(body: str, is_changed: bool) -> None:
    source = source_of(in_function(body))
    (use,) = calls_of(source, "use")
    assert source.fact(Flow).is_changed_later(use.args[0].value, after=use) is is_changed
