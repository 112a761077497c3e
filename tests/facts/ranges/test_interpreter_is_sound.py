"""Random programs run in torch: every value that they compute is what the interpreter says that it can be.

A program is a class whose `forward` assigns, works in place, shares memory, branches, loops and calls helpers. Behind
each statement it looks at its variables by `torch.neg`, at which the interpreter notes a range, and the run a value.
"""

from __future__ import annotations

import ast
import contextlib
import math
import random
import re
import warnings
from typing import Any

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import NUMBER, TENSOR
from pipeline_lint.parsing import parse

torch = pytest.importorskip("torch")

NUM_PROGRAMS = 150
REGRESSIONS = (12138, 12802)
"""Programs of a longer search that once contradicted the interpreter, or this test's reading of it."""
NAMES = ("a", "b", "c", "d")
HEAD = """\
import torch
import torch.nn as nn
import torch.nn.functional as F

EPS = 1e-6


def bounded(t, low=0.0):
    if low > 0.5:
        return t.clamp(min=low)
    return t.clamp(low, 1.0)


def doubled(t):
    t = t.abs()
    t *= 2
    return t


def changed(t):
    t.clamp_(-1, 1)
    return t + 3


def either(t, s, flag):
    for k in range(2):
        if flag:
            return t.sigmoid()
        t = s.tanh()
    return t


class Model(nn.Module):
    scale = 0.5

    def __init__(self, eps=0.25):
        super().__init__()
        self.eps = eps
        self.act = nn.Sigmoid()
        self.both = nn.Sequential(nn.Tanh(), nn.ReLU())
        self.register_buffer("limit", torch.full((2, 3), 2.0))
        self.kept = 0.0

    def helper(self, t):
        return self.act(t) + self.eps

    def keep(self, t):
        self.kept = t.abs()

    def forward(self, x, y, mask, n, flag, items):
        a, b = x * 1.0, y + 0.0
        c = x.abs()
        d = 2.0
        e = []
"""
CONSTANTS = ("0", "1", "-1", "2", "0.5", "-0.25", "3.0", "1e-3", "100.0", "EPS", "self.eps", "self.scale")
EXPRESSIONS = (
    "{0}.abs()",
    "{0}.sigmoid()",
    "torch.tanh({0})",
    "F.relu({0})",
    "torch.exp({0})",
    "-{0}",
    "{0}.square()",
    "torch.sqrt({0})",
    "torch.log({0})",
    "{0}.log1p()",
    "F.softplus({0})",
    "{0}.clamp({c}, 5)",
    "{0}.clamp(min={c})",
    "torch.clamp({0}, max={c})",
    "{0}.float()",
    "{0}.half()",
    "{0}.double()",
    "{0}.to(torch.bfloat16)",
    "{0}.detach()",
    "{0}.clone()",
    "{0}.data",
    "{0}.view(2, 3)",
    "{0}.unsqueeze(0).squeeze(0)",
    "{0}.flip(0)",
    "{0}.T.T",
    "{c} - {0}",
    "{0} + {c}",
    "{0} * {c}",
    "{0} / {c}",
    "{c} / {0}",
    "{0} ** 2",
    "{0} ** 0.5",
    "{0} ** 3",
    "{0} + {1}",
    "{0} - {1}",
    "{0} * {1}",
    "{0} / {1}",
    "{0} * {0}",
    "{0} - {0}.detach()",
    "{0} - {0}.max()",
    "{0} / {0}.norm()",
    "{0} / ({0}.abs().sum() + {c})",
    "torch.where({0} > {c}, {0}, {1})",
    "torch.where({0} <= {c}, {c}, {0})",
    "torch.where({0} != 0, {0}, torch.ones_like({0}))",
    "torch.where(mask, {0}, {1})",
    "torch.maximum({0}, {1})",
    "torch.min({0}, {1})",
    "{0}.softmax(-1)",
    "{0}.log_softmax(dim=-1)",
    "{0}.mean(-1, keepdim=True).expand(2, 3)",
    "{0}.sum() + {1}",
    "{0}.var() * torch.ones_like({1})",
    "{0}.amax(1, keepdim=True) + {1}",
    "{0} * mask",
    "{0}.masked_fill(mask, {c})",
    "{0}.masked_fill({0} < {c}, {c})",
    "{0} if flag else {1}",
    "{0} if n > 1 else {1}",
    "({0} > {c}).float()",
    "torch.full_like({0}, max({c}, n))",
    "torch.full_like({0}, min(n, 3) * {c})",
    "torch.zeros_like({0})",
    "torch.stack([{0}, {1}]).amax(0)",
    "torch.cat([{0}[:1], {1}[1:]])",
    "torch.stack([t.sigmoid() for t in items]).mean(0)",
    "sum(t.abs() for t in items) + {0}",
    "bounded({0})",
    "bounded({0}, low={c})",
    "doubled({0})",
    "changed({0})",
    "either({0}, {1}, flag)",
    "self.helper({0})",
    "self.both({0})",
    "self.act({0})",
    "{0} * self.limit",
    "self.kept + {0}",
    "{0}.chunk(1)[0]",
    "{0}.sort(dim=-1)[0]",
    "{0}.cumsum(-1)",
    "{0}.prod() * {1}",
    "torch.lerp({0}, {1}, 0.5)",
    "{0}.float() @ {1}.float().T @ {0}.float()",
    "F.normalize({0}, dim=-1)",
    "{0}.round()",
    "{0}.floor() + {c}",
    "{0}.ceil()",
    "F.layer_norm({0}, (3,))",
    "torch.logaddexp({0}, {1})",
    "{0}.atan()",
    "{0}.erf()",
    "{0}.triu()",
)
STATEMENTS = (
    *("{v} = {e}",) * 16,
    "{v} = {w}",
    "{v}, {w} = {w}, {v}",
    "{v}, {w} = {e}, {f}",
    "{v} = {w} = {e}",
    "{v} += {e}",
    "{v} -= {c}",
    "{v} *= {c}",
    "{v} /= {c}",
    "{v} **= 2",
    "{v} = {v} + {c}",
    "{v} = {v}.clone(); {v}.clamp_({c}, 4)",
    "{v}.mul_({c}).add_(1)",
    "{v}.abs_()",
    "{v}.view(-1).add_({c})",
    "{v}.data.clamp_(-2, 2)",
    "{v}[0] = {c}",
    "{v}[0] = {e}[1]",
    "{v}[{v} > {c}] = {c}",
    "{v}[{v} == 0] = 1",
    "{v}[mask] = {c}",
    "{v}[mask] += 1",
    "{v}.zero_()",
    "{v}.fill_({c})",
    "{v}.copy_({w})",
    "{v}.masked_fill_({v} <= 0, 1)",
    "torch.relu_({v})",
    "torch.add({v}, 1, out={v})",
    "F.relu({v}, inplace=True)",
    "nn.init.constant_({v}, 3.0)",
    "{v}[:, 1].sub_(5)",
    "e.append({e})",
    "{v} = e[-1] if e else {v}",
    "{v} = torch.stack(e).amin(0) if e else {v}",
    "e = [{e}, {f}]",
    "{v} = sum(e) if e else {v}",
    "self.kept = {e}",
    "self.keep({v})",
    "changed({v})",
    "{v} = self.kept * torch.ones(2, 3)",
    "d = d + 1",
    "d = d * {c}",
    "d = float({v}.mean())",
    "d = int({v}.mean())",
    "d = {v}.max().item()",
    "d = len(e)",
    "d = d or {c}",
    "d = n and {c}",
    "{v} = {v} * d",
    "{v} = {v} + n",
    "assert d > 0",
    "assert ({v} > {c}).all()",
    "({v} := {e}).sum()",
)
CONDITIONS = (
    "flag",
    "not flag",
    "n > 1",
    "0 < n < 3",
    "n == 0 or flag",
    "d > {c}",
    "d",
    "not d",
    "({v} > {c}).all()",
    "not ({v} <= 0).any()",
    "{v}.min() > {c}",
    "{v}.mean() < 1 and n",
    "len(e) > 1",
    "e",
    "isinstance(d, float)",
)
LOOPS = ("for i in range(3):", "for i in range(n):", "for t in items:", "for i, t in enumerate(items):")


def expression(rng: random.Random, depth: int = 0) -> str:
    if depth > 1 or rng.random() < 0.25:
        return rng.choice(NAMES[:3])
    operands = (f"({expression(rng, depth + 1)})", f"({expression(rng, depth + 1)})")
    return rng.choice(EXPRESSIONS).format(*operands, c=rng.choice(CONSTANTS))


def statement(rng: random.Random) -> str:
    v, w = rng.sample(NAMES[:3], 2)
    words = {"v": v, "w": w, "e": expression(rng), "f": expression(rng), "c": rng.choice(CONSTANTS)}
    return rng.choice(STATEMENTS).format(**words)


def condition(rng: random.Random) -> str:
    return rng.choice(CONDITIONS).format(v=rng.choice(NAMES[:3]), c=rng.choice(CONSTANTS))


def look(rng: random.Random, indent: str) -> list[str]:
    return [f"{indent}torch.neg({name})" for name in rng.sample(NAMES, 2)]


def block(rng: random.Random, indent: str, *, in_loop: bool = False) -> list[str]:
    lines: list[str] = []
    inner = indent + "    "
    depth = len(indent) // 4
    for _ in range(rng.randint(1, 9 - 2 * depth) if depth < 4 else 1):
        kind = rng.random() if depth < 4 else 1.0
        if kind < 0.1:
            lines += [f"{indent}if {condition(rng)}:", *block(rng, inner, in_loop=in_loop)]
            if rng.random() < 0.5:
                lines += [f"{indent}elif {condition(rng)}:", *block(rng, inner, in_loop=in_loop)]
            if rng.random() < 0.6:
                lines += [f"{indent}else:", *block(rng, inner, in_loop=in_loop)]
        elif kind < 0.17:
            lines += [f"{indent}{rng.choice(LOOPS)}", *block(rng, inner, in_loop=True)]
            if rng.random() < 0.3:
                lines += [f"{indent}else:", *block(rng, inner, in_loop=in_loop)]
        elif kind < 0.2:
            counter = f"k{rng.randint(0, 10**6)}"
            lines += [f"{indent}{counter} = 0", f"{indent}while {counter} < 3:", f"{inner}{counter} += 1"]
            lines += block(rng, inner, in_loop=True)
        elif kind < 0.23:
            lines += [f"{indent}with torch.no_grad():", *block(rng, inner, in_loop=in_loop)]
        elif kind < 0.26:
            lines += [f"{indent}try:", *block(rng, inner, in_loop=in_loop)]
            lines += [f"{inner}if {condition(rng)}:", f"{inner}    raise ValueError"]
            lines += [f"{indent}except ValueError:", *block(rng, inner, in_loop=in_loop)]
        elif kind < 0.28:
            lines += [f"{indent}match n:", f"{inner}case 1:", *block(rng, inner + "    ", in_loop=in_loop)]
            lines += [f"{inner}case _:", *block(rng, inner + "    ", in_loop=in_loop)]
        elif kind < 0.31 and in_loop:
            lines += [f"{indent}if {condition(rng)}:", f"{inner}{rng.choice(('break', 'continue'))}"]
        elif kind < 0.33:
            lines += [f"{indent}if {condition(rng)}:", f"{inner}return a"]
        else:
            lines.append(indent + statement(rng))
            lines += look(rng, indent)
    return lines


def program(seed: int) -> str:
    return HEAD + "\n".join(block(random.Random(seed), " " * 8)) + "\n        return a\n"


def claims(code: str) -> dict[int, Site]:
    """What the interpreter says at each look, by the look's place in the text."""
    source = parse(open_document("example.py", code.encode()))
    starts = [match.start() for match in re.finditer(r"torch\.neg\(", code)]
    return {
        starts.index(start): site
        for site in source.fact(Ranges).sites("neg")
        if (start := source.span(site.node)[0]) in starts
    }


def inputs(rng: random.Random) -> tuple[Any, ...]:
    scale = rng.choice((0.1, 1.0, 1.0, 30.0))
    x, y, *items = (
        (torch.randn(2, 3) * scale).masked_fill(torch.rand(2, 3) < rng.choice((0.0, 0.3)), rng.choice((0.0, 1.0)))
        for _ in range(2 + rng.randint(0, 3))
    )
    mask = torch.rand(2, 3) < 0.5
    return x.requires_grad_(rng.random() < 0.7), y, mask, rng.randint(0, 3), rng.random() < 0.5, items


Rounds = dict[int, int]
"""Of each loop around a look, which of all rounds it was passed in."""
Seen = dict[int, list[tuple[Any, bool, Rounds]]]


class _Rounds(ast.NodeTransformer):
    """Has each loop announce its rounds by `enter(loop)`, and each look name the loops that it lies in."""

    def __init__(self) -> None:
        self._around: list[int] = []
        self._num_loops = 0

    def visit_For(self, node: ast.For) -> ast.For:
        return self._loop(node)

    def visit_While(self, node: ast.While) -> ast.While:
        return self._loop(node)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "see":
            node.args.append(ast.Constant(tuple(self._around)))
        return node

    def _loop(self, node: Any) -> Any:
        """Its `else` is no part of its rounds."""
        loop = self._num_loops
        self._num_loops += 1
        self._around.append(loop)
        body = [self.visit(each) for each in node.body]
        self._around.pop()
        node.body = [ast.parse(f"enter({loop})").body[0], *body]
        node.orelse = [self.visit(each) for each in node.orelse]
        return node


def observed(code: str, rng: random.Random) -> Seen:
    """The values at each look in one run; those before the error for a program that fails."""
    seen: Seen = {}
    rounds: Rounds = {}
    numbers = iter(range(10**6))

    def enter(loop: int) -> None:
        rounds[loop] = rounds.get(loop, 0) + 1

    def see(number: int, value: Any, around: tuple[int, ...]) -> None:
        flows = isinstance(value, torch.Tensor) and has_gradient(value, given[0])
        value = value.detach().clone() if isinstance(value, torch.Tensor) else value
        seen.setdefault(number, []).append((value, flows, {loop: rounds[loop] for loop in around}))

    given = inputs(rng)
    namespace: dict[str, Any] = {"see": see, "enter": enter}
    tree = ast.parse(re.sub(r"torch\.neg\(", lambda _: f"see({next(numbers)}, ", code))
    exec(compile(ast.fix_missing_locations(_Rounds().visit(tree)), "<program>", "exec"), namespace)
    with contextlib.suppress(Exception):
        namespace["Model"]()(*given)
    return seen


def has_gradient(value: Any, source: Any) -> bool:
    """Whether a gradient that is not 0 flows from a value to an input."""
    if not value.requires_grad or not source.requires_grad:
        return False
    with torch.enable_grad(), contextlib.suppress(RuntimeError):
        (gradient,) = torch.autograd.grad(value.double().sum(), source, retain_graph=True, allow_unused=True)
        return gradient is not None and bool((gradient.nan_to_num() != 0).any())
    return False


def contradiction(site: Site, value: Any, *, flows: bool) -> str | None:
    """How a value is not what the interpreter says; None where it is."""
    claim = site.input
    is_tensor = isinstance(value, torch.Tensor)
    if (claim.kind == TENSOR and not is_tensor) or (claim.kind == NUMBER and is_tensor):
        return f"a {type(value).__name__} is no {claim.kind}"
    if not is_tensor and not isinstance(value, int | float):
        return None
    if is_tensor:
        dtype = str(value.dtype).removeprefix("torch.")
        if claim.dtype is not None and claim.dtype != dtype:
            return f"{dtype} is not {claim.dtype}"
        if flows and not claim.has_gradient:
            return "it has a gradient"
        numbers = value.double().flatten().tolist()
    else:
        numbers = [float(value)]
    for number in numbers:
        if math.isnan(number):
            continue
        if math.isinf(number) and math.inf in (-claim.low, claim.high):
            # A division by 0 gives an infinity with the sign of that 0, about which an interval says nothing.
            continue
        if not claim.low <= number <= claim.high:
            return f"{number!r} is not in [{claim.low!r}, {claim.high!r}]"
        if claim.is_nonzero and number == 0:
            return "it is 0"
        if claim.is_count and number != int(number):
            return f"{number!r} is no count"
    return None


def unequal(said: dict[int, Site], seen: Seen) -> list[str]:
    """The pairs of tensors of one number that differ, of looks that one run passed once.

    What a loop carries has one number and in each round another value, so that looks in a loop are compared when they
    were passed in the same round of it.
    """
    earlier: dict[int, list[tuple[int, Any, Rounds]]] = {}
    found = []
    for look, values in seen.items():
        site = said.get(look)
        if site is None or len(values) != 1 or not isinstance(values[0][0], torch.Tensor):
            continue
        value, rounds = values[0][0].double(), values[0][2]
        for other, known, known_rounds in earlier.setdefault(site.input.number, []):
            in_one_round = all(rounds[loop] == known_rounds[loop] for loop in rounds.keys() & known_rounds.keys())
            if in_one_round and not torch.allclose(value, known, rtol=1e-2, atol=1e-2, equal_nan=True):
                found.append(f"look {look}: it has the number of look {other}, and another value")
                break
        earlier[site.input.number].append((look, value, rounds))
    return found


def contradictions(seed: int, num_runs: int = 3) -> list[str]:
    code = program(seed)
    said = claims(code)
    rng = random.Random(seed)
    torch.manual_seed(seed)
    found = []
    for _ in range(num_runs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seen = observed(code, rng)
        for number, values in seen.items():
            site = said.get(number)
            if site is None:
                found.append(f"look {number} is reached, but not by the interpreter")
                continue
            texts = [contradiction(site, value, flows=flows) for value, flows, _ in values]
            found += [f"look {number}: {text}" for text in texts if text is not None]
        found += unequal(said, seen)
    return found


@pytest.mark.parametrize("seed", [*range(NUM_PROGRAMS), *REGRESSIONS])
def test_every_value_of_a_program_lies_in_the_range_that_is_claimed(seed: int) -> None:
    found = contradictions(seed)
    assert not found, f"{found[0]}\n{program(seed)}"


def test_values_of_one_number_are_compared_in_one_round_alone() -> None:
    code = HEAD + "        for t in items:\n            torch.neg(a)\n            torch.neg(a)\n        torch.neg(b)\n"
    site = next(iter(claims(code).values()))
    one, other = torch.zeros(2, 3), torch.ones(2, 3)
    said = {0: site, 1: site}
    assert unequal(said, {0: [(one, False, {0: 1})], 1: [(other, False, {0: 1})]})
    assert not unequal(said, {0: [(one, False, {0: 1})], 1: [(other, False, {0: 2})]})
    assert unequal(said, {0: [(one, False, {0: 1})], 1: [(other, False, {})]})
    rounds = [values[0][2] for values in observed(code, random.Random(4)).values()]
    assert {loop for each in rounds for loop in each}
    assert rounds[-1] == {}


def test_the_claims_about_the_programs_say_something() -> None:
    found = [site.input for seed in range(60) for site in claims(program(seed)).values()]
    num_bounded = sum(not value.is_unknown for value in found)
    assert len(found) > 500
    assert num_bounded > 0.5 * len(found)
