"""What the interpreter says of expressions: a table of small programs, each with the range that it must find.

A program looks at a value by `torch.neg`; what is asked for is the range of each look, in the order of the text.
"""

from __future__ import annotations

import math
from textwrap import dedent, indent

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.floats import LIMITS
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.parsing import parse

INF = math.inf
ANY = (-INF, INF)
TINY = LIMITS["float32"].smallest
"""The smallest number of float32, and so of what is greater than 0."""
UNIT = (0.0, 1.0)
"""What a sigmoid gives."""
AROUND = (-1.0, 1.0)
"""What a tanh gives."""
HEAD = """\
import dataclasses
import math
from dataclasses import dataclass, field

import torch
import torch.nn as nn
import torch.nn.functional as F


"""
Range = tuple[float, float]


def sites(code: str) -> list[Site]:
    source = parse(open_document("example.py", (HEAD + code).encode()))
    return sorted(source.fact(Ranges).sites("neg"), key=lambda site: source.span(site.node))


def looks(body: str) -> list[Site]:
    """The looks of a function's body."""
    return sites("def f(x, y, s, mask, flag, items):\n" + indent(dedent(body).strip("\n"), "    ") + "\n")


def ranges(found: list[Site]) -> list[Range]:
    return [(site.input.low, site.input.high) for site in found]


def check(body: str, expected: tuple[Range, ...]) -> None:
    assert ranges(looks(body)) == [pytest.approx(each, rel=1e-6, abs=0) for each in expected]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("p = torch.sigmoid(x); torch.neg(p)", UNIT),
        ("p: torch.Tensor = torch.sigmoid(x); torch.neg(p)", UNIT),
        ("p = q = x.sigmoid(); torch.neg(q)", UNIT),
        ("(p := x.sigmoid()).sum(); torch.neg(p)", UNIT),
        ("p = x.abs(); p += 1; torch.neg(p)", (1.0, INF)),
        ("p = x.abs(); p -= 1; torch.neg(p)", (-1.0, INF)),
        ("p = x.sigmoid(); p *= 2; torch.neg(p)", (0.0, 2.0)),
        ("p = x.sigmoid(); p /= 2; torch.neg(p)", (0.0, 0.5)),
        ("p = x.tanh(); p **= 2; torch.neg(p)", UNIT),
        ("p = x; p = p.sigmoid(); torch.neg(x)", ANY),
        ("p = x.sigmoid(); del p; p = x.tanh(); torch.neg(p)", AROUND),
        ("p = x.sigmoid() if flag else x.tanh(); torch.neg(p)", AROUND),
        ("p = -(-2 ** 2) + 7 // 2 - 7 % 4; torch.neg(p)", (4.0, 4.0)),
        ("torch.neg(2 ** -1)", (0.5, 0.5)),
        ("torch.neg(math.sqrt(4) * math.pi)", (2 * math.pi, 2 * math.pi)),
        ("torch.neg(float('-inf'))", (-INF, -INF)),
        ("torch.neg(-torch.inf)", (-INF, -INF)),
        ("torch.neg(int(3.7) + int(-3.7) + round(2.6))", (3.0, 3.0)),
        ("torch.neg(int(s.sigmoid().mean() * 0.9))", (0.0, 0.0)),
        ("torch.neg(x - x.max())", (-INF, 0.0)),
        ("torch.neg((x - y) ** 2)", (0.0, INF)),
        ("torch.neg(x * x)", (0.0, INF)),
        ("torch.neg(x * y)", ANY),
        ("torch.neg(x.exp() / x.exp().sum())", UNIT),
        ("eps = 1e-8 if flag else 1e-5; torch.neg(x.abs() + eps)", (1e-8, INF)),
        ("torch.neg(None or 3)", (3.0, 3.0)),
    ],
)
def test_assignments_and_arithmetic(body: str, expected: Range) -> None:
    check(body, (expected,))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a, b = x.sigmoid(), x.tanh(); torch.neg(a); torch.neg(b)", (UNIT, AROUND)),
        ("[a, b] = [x.sigmoid(), x.tanh()]; torch.neg(a); torch.neg(b)", (UNIT, AROUND)),
        ("(a, b), c = (x.sigmoid(), x.tanh()), x.abs(); torch.neg(b); torch.neg(c)", (AROUND, (0.0, INF))),
        ("a, *b = x.sigmoid(), x.tanh(), x; torch.neg(a); torch.neg(b[0])", (UNIT, AROUND)),
        ("*a, b = x, x.sigmoid(), x.tanh(); torch.neg(b); torch.neg(a[-1])", (AROUND, UNIT)),
        ("a, b = x.sigmoid(), x.tanh(); a, b = b, a; torch.neg(a); torch.neg(b)", (AROUND, UNIT)),
        ("a, b = x.sigmoid().chunk(2, -1); torch.neg(a); torch.neg(b)", (UNIT, UNIT)),
        ("a, i = x.sigmoid().max(dim=1); torch.neg(a)", (UNIT,)),
        ("torch.neg(x.sigmoid().max(dim=1)[0]); torch.neg(x.sigmoid().max(dim=1).values)", (UNIT, UNIT)),
        ("a, i = torch.sort(x.sigmoid()); torch.neg(a)", (UNIT,)),
        ("rows, columns = x.shape; torch.neg(rows)", ((0.0, INF),)),
    ],
)
def test_unpacking(body: str, expected: tuple[Range, ...]) -> None:
    check(body, expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("if flag:\n    p = x.sigmoid()\nelse:\n    p = x.tanh()\ntorch.neg(p)", (AROUND,)),
        ("p = 0.5\nif flag:\n    p = 2\nelif mask:\n    p = 1\ntorch.neg(p)", ((0.5, 2.0),)),
        ("if flag:\n    return x\np = 3\ntorch.neg(p)", ((3.0, 3.0),)),
        ("p = 1\nif flag:\n    p = 2\n    raise ValueError\ntorch.neg(p)", ((1.0, 1.0),)),
        (
            "match flag:\n    case 1:\n        p = x.sigmoid()\n    case _:\n        p = x.tanh()\ntorch.neg(p)",
            (AROUND,),
        ),
        ("p = 5\nmatch flag:\n    case 1:\n        p = 1\n    case 2:\n        return\ntorch.neg(p)", ((1.0, 5.0),)),
        ("p = 0\ntry:\n    p = 1\n    p = 2\nexcept ValueError:\n    torch.neg(p)\ntorch.neg(p)", ((0.0, 2.0),) * 2),
        ("p = 0\ntry:\n    p = 1\nexcept ValueError:\n    return\ntorch.neg(p)", ((1.0, 1.0),)),
        ("p = 0\ntry:\n    p = 1\nexcept ValueError:\n    p = 7\nelse:\n    p = 2\ntorch.neg(p)", ((2.0, 7.0),)),
    ],
)
def test_branches(body: str, expected: tuple[Range, ...]) -> None:
    check(body, expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("if s > 0:\n    torch.neg(s)\nelse:\n    torch.neg(s)", ((TINY, INF), (-INF, 0.0))),
        ("if s <= 0:\n    return\ntorch.neg(s)", ((TINY, INF),)),
        ("if not s > 0:\n    raise ValueError\ntorch.neg(s)", ((TINY, INF),)),
        ("if s < 0 or s > 5:\n    return\ntorch.neg(s)", ((0.0, 5.0),)),
        ("if s > 0 and s <= 5:\n    torch.neg(s)", ((TINY, 5.0),)),
        ("if 0 <= s <= 3:\n    torch.neg(s)", ((0.0, 3.0),)),
        ("assert 1 <= s <= 2, 'no'\ntorch.neg(s)", ((1.0, 2.0),)),
        ("torch._assert(s >= 1, 'no')\ntorch.neg(s)", ((1.0, INF),)),
        ("assert (x > 0).all()\ntorch.neg(x)", ((TINY, INF),)),
        ("if (x < 1).any():\n    raise ValueError\ntorch.neg(x)", ((1.0, INF),)),
        ("torch.neg(x[x > 0])", ((TINY, INF),)),
        ("positive = x > 0\ntorch.neg(x[positive]); torch.neg(x[~positive]); torch.neg(y[positive])",
         ((TINY, INF), (-INF, 0.0), ANY)),
        ("torch.neg(x[(x >= 0) & (x <= 1)])", (UNIT,)),
        ("torch.neg(torch.masked_select(x, x >= 2))", ((2.0, INF),)),
        ("torch.neg(torch.where(x >= 1, x, 2.0))", ((1.0, INF),)),
        ("torch.neg(x.masked_fill(x < 0, 1.0))", ((0.0, INF),)),
        ("p = x.abs(); p[p < 0.5] = 0.5; torch.neg(p)", ((0.5, INF),)),
        ("torch.neg(s if s >= 2 else 2)", ((2.0, INF),)),
        ("while s > 1:\n    s = s / 2\ntorch.neg(s)", ((-INF, 1.0),)),
        ("count = len(items)\nif count == 0:\n    return\ntorch.neg(count)", ((1.0, INF),)),
        ("count = len(items)\nif count > 0.5:\n    torch.neg(count)", ((1.0, INF),)),
        ("torch.neg(max(len(items), 1)); torch.neg(min(len(items), 4))", ((1.0, INF), (0.0, 4.0))),
    ],
)  # fmt: skip
def test_conditions_narrow(body: str, expected: tuple[Range, ...]) -> None:
    check(body, expected)


def test_what_is_not_zero_is_told() -> None:
    found = looks(
        "torch.neg(x[x != 0]); torch.neg(torch.where(x == 0, 1, x))\nif x.norm() > 0:\n    torch.neg(x.norm())"
    )
    assert [site.input.is_nonzero or site.input.low > 0 for site in found] == [True, True, True]


def test_a_number_is_compared_as_the_dtype_of_the_tensor_holds_it() -> None:
    (site,) = looks("p = x.sigmoid().half()\ntorch.neg(torch.where(p <= 1e-3, 1e-3, p))")
    assert site.input.low == pytest.approx(0.00100040435, rel=1e-6)


def test_a_number_that_is_put_into_a_half_tensor_may_be_0() -> None:
    (site,) = looks("p = x.sigmoid().half()\ntorch.neg(p.masked_fill(p == 0, 1e-8))")
    assert site.input.low == 0
    assert not site.input.is_nonzero


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("for i in range(3):\n    torch.neg(i)", ((0.0, 2.0),)),
        ("for i in range(1, 5):\n    torch.neg(i)", ((1.0, 4.0),)),
        ("for i in range(5, 0, -1):\n    torch.neg(i)", ((1.0, 5.0),)),
        ("for i, p in enumerate([x.sigmoid(), x.tanh()], 1):\n    torch.neg(i); torch.neg(p)", ((1.0, INF), AROUND)),
        ("for p, q in zip([x.sigmoid()], [x.tanh()]):\n    torch.neg(p); torch.neg(q)", (UNIT, AROUND)),
        ("for p in (0.1, 0.5):\n    torch.neg(p)", ((0.1, 0.5),)),
        ("p = 1.0\nfor t in items:\n    p = t.sigmoid()\ntorch.neg(p)", (UNIT,)),
        ("p = 0.0\nfor t in items:\n    p = p + t.sigmoid()\ntorch.neg(p)", ((0.0, INF),)),
        ("p = x.sigmoid()\nfor t in items:\n    p = 1 - p\ntorch.neg(p)", (UNIT,)),
        ("a = b = 0.0\nfor t in items:\n    torch.neg(a)\n    a = b\n    b = b + 1", ((0.0, INF),)),
        ("n = 0\nwhile n < 10:\n    n += 1\ntorch.neg(n)", ((10.0, INF),)),
        ("p = 0\nfor t in items:\n    if flag:\n        p = 3\n        break\n    p = 2\ntorch.neg(p)", ((0.0, 3.0),)),
        (
            "p = 0\nfor t in items:\n    if flag:\n        p = 3\n        break\nelse:\n    p = 5\ntorch.neg(p)",
            ((3.0, 5.0),),
        ),
        (
            "p = 0\nfor t in items:\n    if flag:\n        continue\n    p = 2\nelse:\n    p = 5\ntorch.neg(p)",
            ((5.0, 5.0),),
        ),
        ("while True:\n    y = x.sigmoid()\n    if flag:\n        break\ntorch.neg(y)", (UNIT,)),
        ("p = 0\nfor a in items:\n    for b in a:\n        p = p + 1\n    torch.neg(p)", ((0.0, INF),)),
        ("while (n := len(items)) > 1:\n    torch.neg(n)", ((2.0, INF),)),
    ],
)
def test_loops_come_to_a_fixed_point(body: str, expected: tuple[Range, ...]) -> None:
    check(body, expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("torch.neg([t.sigmoid() for t in items][0])", (UNIT,)),
        ("torch.neg(torch.stack([t.sigmoid() for t in items]))", (UNIT,)),
        ("torch.neg(sum(t.abs() for t in items))", ((0.0, INF),)),
        ("torch.neg([s for s in items if s >= 1][0])", ((1.0, INF),)),
        ("p = [x.sigmoid(), x.tanh()]; torch.neg(p[0]); torch.neg(p[-1]); torch.neg(p[s])", (UNIT, AROUND, AROUND)),
        ("p = [x.sigmoid()]; p.append(x.tanh() * 3); torch.neg(p[1]); torch.neg(len(p))", ((-3.0, 3.0), (2.0, 2.0))),
        ("p = []\nfor t in items:\n    p.append(t.sigmoid())\ntorch.neg(torch.stack(p)); torch.neg(len(p))",
         (UNIT, (0.0, INF))),
        ("p = [x.sigmoid()]; p.extend(items); torch.neg(p[0])", (ANY,)),
        ("p = [x.sigmoid()]; p.clear(); torch.neg(len(p))", ((0.0, INF),)),
    ],
)  # fmt: skip
def test_lists_and_comprehensions(body: str, expected: tuple[Range, ...]) -> None:
    check(body, expected)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x.clamp_(min=1.0); torch.neg(x)", ((1.0, INF),)),
        ("torch.clamp_(x, 0, 1); torch.neg(x)", (UNIT,)),
        ("F.relu(x, inplace=True); torch.neg(x)", ((0.0, INF),)),
        ("x.clamp_(0, 1).mul_(2).add_(1); torch.neg(x)", ((1.0, 3.0),)),
        ("x.data.clamp_(0, 1); torch.neg(x)", (UNIT,)),
        ("x.view(-1).clamp_(0, 1); torch.neg(x)", (UNIT,)),
        ("p = x.sigmoid(); p[0].add_(7); torch.neg(p)", ((0.0, 8.0),)),
        ("p = x.sigmoid(); p[0] = 5; torch.neg(p)", ((0.0, 5.0),)),
        ("p = x.sigmoid(); p[mask] += 1; torch.neg(p)", ((0.0, 2.0),)),
        ("p = x.sigmoid(); p.view(-1)[0] = -4; torch.neg(p)", ((-4.0, 1.0),)),
        ("p = x.sigmoid(); p.fill_(3); torch.neg(p)", ((3.0, 3.0),)),
        ("p = x.sigmoid(); y.copy_(p); torch.neg(y)", (UNIT,)),
        ("torch.add(x.sigmoid(), 1, out=y); torch.neg(y)", ((1.0, 2.0),)),
        ("p = x.sigmoid(); nn.init.constant_(p, 42); torch.neg(p)", (ANY,)),
        ("p = x.sigmoid(); q = p; q += 5; torch.neg(p); torch.neg(q)", ((0.0, 6.0), (5.0, 6.0))),
        ("p = x.sigmoid(); q = p.view(-1); q.mul_(3); torch.neg(p)", ((0.0, 3.0),)),
        ("p = x.sigmoid(); q = p if flag else y; q.add_(5); torch.neg(p)", (ANY,)),
        ("p, q = torch.zeros(3), torch.zeros(3); p += 1; torch.neg(q)", ((0.0, 0.0),)),
        ("p = 1; q = p; q += 1; torch.neg(p)", ((1.0, 1.0),)),
    ],
)
def test_what_works_in_place_changes_all_names_of_the_memory(body: str, expected: tuple[Range, ...]) -> None:
    check(body, expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("torch.tensor([0.1, 0.5])", (0.1, 0.5)),
        ("torch.full((2,), 0.5)", (0.5, 0.5)),
        ("torch.full_like(x, -1e9)", (-1e9, -1e9)),
        ("torch.zeros_like(x)", (0.0, 0.0)),
        ("torch.arange(1, 5)", (1.0, 4.0)),
        ("torch.linspace(0, 1, 5)", UNIT),
        ("x.new_full((2,), 3.0)", (3.0, 3.0)),
        ("x.sigmoid()[:, 0].T.view(-1).unsqueeze(0).contiguous()", UNIT),
        ("torch.cat([x.sigmoid(), y.tanh()])", AROUND),
        ("(x > 0).float().mean()", UNIT),
        ("torch.finfo(torch.float16).eps", (2.0**-10, 2.0**-10)),
        ("-torch.finfo(torch.float32).max", (-LIMITS["float32"].max, -LIMITS["float32"].max)),
        ("float(x.abs().mean())", (0.0, INF)),
        ("x.sigmoid().mean().item()", UNIT),
        ("max(x.sigmoid().mean().item(), 0.1)", (0.1, 1.0)),
        ("abs(x)", (0.0, INF)),
    ],
)
def test_what_makes_values(expression: str, expected: Range) -> None:
    check(f"torch.neg({expression})", (expected,))


CONSTANTS = """
EPS = 1e-9
NEGATIVE, OTHER = -2.0, 3.0


class Loss(nn.Module):
    tiny = 1e-7

    def __init__(self, eps=1e-6, margin: float = 0.5, size=None):
        super().__init__()
        self.eps = eps
        self.margin = margin
        self.double = 2 * margin
        self.limit = torch.finfo(torch.float16).tiny
        self.first, self.second = 3, 4
        self.mode = 1.0 if size else 2.0
        self.act = nn.Sigmoid()
        self.layers = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Hardtanh(-2.0, 0.5))
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("half", torch.ones(3) * 0.5)
        self.steps = 0

    def forward(self, x, weight=0.25):
        torch.neg(EPS)
        torch.neg(NEGATIVE)
        torch.neg(self.tiny)
        torch.neg(self.eps)
        torch.neg(self.double)
        torch.neg(self.limit)
        torch.neg(self.second)
        torch.neg(self.mode)
        torch.neg(weight)
        torch.neg(self.act(x))
        torch.neg(self.layers(x))
        torch.neg(self.weight)
        torch.neg(self.half)
        torch.neg(x.abs() + self.eps)
        torch.neg(self.steps)

    def count(self):
        self.steps += 1


@dataclass
class Settings:
    eps: float = 1e-5
    margin: float = field(default=0.75)

    def loss(self, x):
        torch.neg(self.eps)
        torch.neg(self.margin)
"""


def test_constants_come_from_the_module_the_class_its_constructor_and_defaults() -> None:
    tiny = LIMITS["float16"].tiny
    expected: list[Range] = [
        *((number, number) for number in (1e-9, -2.0, 1e-7, 1e-6, 1.0, tiny, 4.0)),
        (1.0, 2.0),
        (0.25, 0.25),
        UNIT,
        (0.0, 0.5),
        ANY,
        (0.5, 0.5),
        (1e-6, INF),
        ANY,
        (1e-5, 1e-5),
        (0.75, 0.75),
    ]
    assert ranges(sites(CONSTANTS.lstrip("\n"))) == [pytest.approx(each) for each in expected]


FUNCTIONS = """
def scaled(x, k=1.0):
    return x.sigmoid() * k


def either(x, n):
    if n > 0:
        return x.sigmoid()
    return x.tanh()


def repeated(x, n):
    if n == 0:
        return x.sigmoid()
    return repeated(x, n - 1)


def both(x):
    return x.sigmoid(), x.tanh()


def clamped(x):
    x.clamp_(0, 1)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.kept = 0.5

    def forward(self, x, y, *args):
        torch.neg(scaled(x))
        torch.neg(scaled(x, 3))
        torch.neg(scaled(k=-2, x=x))
        torch.neg(scaled(*args))
        torch.neg(either(x, 1))
        torch.neg(repeated(x, 3))
        torch.neg(both(x)[1])
        torch.neg(self.method(x))
        torch.neg(self.static(x))
        torch.neg(self.kept)
        self.keep(x)
        torch.neg(self.kept)
        p = x.tanh()
        clamped(p)
        torch.neg(p)
        q = x.tanh()
        clamped(q.T)
        torch.neg(q)

        def inner(t):
            return t.sigmoid() * bound

        bound = 2.0
        torch.neg(inner(x))

    def method(self, x):
        return x.abs() + 1

    @staticmethod
    def static(x):
        return x.abs()

    def keep(self, x):
        self.kept = x.sigmoid() * 9
"""


def test_functions_and_methods_of_the_file_are_followed() -> None:
    expected: list[Range] = [
        UNIT,
        (0.0, 3.0),
        (-2.0, 0.0),
        ANY,
        AROUND,
        ANY,
        AROUND,
        (1.0, INF),
        (0.0, INF),
        (0.0, 9.0),
        (0.0, 9.0),
        ANY,
        ANY,
        (0.0, 2.0),
    ]
    assert ranges(sites(FUNCTIONS.lstrip("\n"))) == expected


def test_a_function_inside_another_sees_names_as_they_are_when_it_is_called() -> None:
    body = "z = x.sigmoid()\ndef inner():\n    torch.neg(z)\nz = x.tanh() * 3\ninner()"
    assert ranges(looks(body)) == [ANY]


def test_attributes_go_with_their_object() -> None:
    body = "x.scale = 2.0\ntorch.neg(x.scale)\nx = y\ntorch.neg(x.scale)"
    assert ranges(looks(body)) == [(2.0, 2.0), ANY]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("torch.neg(x)", [True]),
        ("torch.neg(x.detach()); torch.neg(x.data)", [False, False]),
        ("with torch.no_grad():\n    torch.neg(x)\ntorch.neg(x)", [False, True]),
        ("with torch.inference_mode():\n    torch.neg(x)\nwith torch.enable_grad():\n    torch.neg(x)", [False, True]),
        ("with torch.no_grad():\n    p = x.sigmoid()\ntorch.neg(p); torch.neg(p * x)", [False, True]),
        ("p = x * 2\nwith torch.no_grad():\n    p.clamp_(0, 1)\ntorch.neg(p)", [True]),
        ("torch.neg(x > 0); torch.neg(x.argmax()); torch.neg(x.size(0))", [False, False, False]),
        ("p = []\nfor t in items:\n    p.append(t)\ntorch.neg(torch.stack(p))", [True]),
    ],
)
def test_where_gradients_flow(body: str, expected: list[bool]) -> None:
    assert [site.has_gradient for site in looks(body)] == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("torch.neg(x.half()); torch.neg(x.bfloat16()); torch.neg(x.double())", ["float16", "bfloat16", "float64"]),
        ("torch.neg(x.to(torch.float16)); torch.neg(x.to(dtype=torch.half)); torch.neg(x.to('cuda'))",
         ["float16", "float16", None]),
        ("p = x.half()\ntorch.neg(p * 2); torch.neg(p + p.float()); torch.neg(p.sigmoid())",
         ["float16", "float32", "float16"]),
        ("p = x.half()\np.add_(y.float())\ntorch.neg(p)", ["float16"]),
        ("with torch.autocast('cuda'):\n    torch.neg(x @ y); torch.neg((x @ y).softmax(-1)); torch.neg((x @ y).exp())",
         ["float16", "float32", "float32"]),
        ("with torch.autocast('cuda', dtype=torch.bfloat16):\n    torch.neg(x @ y)", ["bfloat16"]),
        ("with torch.autocast('cpu'):\n    torch.neg(x @ y)", ["bfloat16"]),
        ("with torch.autocast('cuda', enabled=False):\n    torch.neg(x @ y)", [None]),
        ("with torch.autocast('cuda'):\n    with torch.autocast('cuda', enabled=False):\n        torch.neg(x @ y)",
         [None]),
        ("torch.neg(2 ** -1); torch.neg(7 // 2); torch.neg(int(2.5))", [None, "int64", "int64"]),
    ],
)  # fmt: skip
def test_dtypes(body: str, expected: list[str | None]) -> None:
    assert [site.input.dtype for site in looks(body)] == expected


def test_a_limit_of_a_dtype_that_the_code_does_not_say_is_known_as_one() -> None:
    body = """
    lowest = -torch.finfo(x.dtype).max / 2
    torch.neg(lowest)
    torch.neg(torch.finfo(torch.float16).min)
    """
    made = [site.input.made for site in looks(body)]
    assert [each.operation if each is not None else None for each in made] == ["finfo", None]


def test_a_value_knows_what_it_is_one_of() -> None:
    (site,) = looks("p = x.sigmoid()\nif flag:\n    p = x.tanh()\ntorch.neg(p)")
    assert [choice.made.operation for choice in site.input.choices if choice.made is not None] == ["tanh", "sigmoid"]
