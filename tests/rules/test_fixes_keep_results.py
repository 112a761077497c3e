"""Random programs compute the same after the fixes of TRN201 and TRN202: values, gradients and calls of a model.

The programs rebind names, work in place, share memory, branch and loop, so that a fix that overlooks one of these
computes something else or fails in the backward pass.
"""

from __future__ import annotations

import contextlib
import random
import warnings
from typing import Any

import pytest

from pipeline_lint.config import Settings
from pipeline_lint.diagnostic import Confidence
from pipeline_lint.engine.fix_files import fix_contents

torch = pytest.importorskip("torch")

NUM_PROGRAMS = 60
NAMES = ("x", "y", "p", "q", "r")
HEAD = """\
import torch
import torch.nn.functional as F


def f(x, y, model, flag):
    act = torch.nn.Sigmoid()
    p, q, r = x * 0.5, y * 2, x + y
    outs = []
"""
EXPRESSIONS = (
    "torch.sigmoid({0})",
    "({0}).sigmoid()",
    "torch.softmax(({0}).reshape(2, -1), 1)",
    "({0}).reshape(2, -1).softmax(dim=-1)",
    "torch.nn.Softmax(dim=0)({0})",
    "act({0})",
    "model({0})",
    "-({0})",
    "1 - ({0})",
    "({0}) + 1e-9",
    "({0}) * 0.5",
    "({0}) + {1}.mean()",
    "({0}).reshape(-1)",
    "({0})[0:2]",
    "torch.flatten({0})",
    "({0}).detach()",
    "({0}).clone()",
)
LOGS = ("torch.log({0})", "({0}).log()", "torch.log(1 - ({0}))", "torch.log1p(-({0}))", "({0}).log().sum()")
STATEMENTS = (
    *("{0} = {expression}",) * 7,
    *("outs.append({log})",) * 5,
    "{0} = {log}",
    "{0} = {0}.clone(); {0}.mul_(0.9)",
    "{0}.mul_(0.95)",
    "{0}[0] = 0.3",
    "{0} += 0.01",
    "{0}, {1} = {expression}, {other}",
    "{0} = {1} = {expression}",
    "outs.extend([{log} for {0} in [x, y]])",
    "(lambda: outs.append({log}))()",
)
BLOCKS = ("if flag:", "if not flag:", "for i in range(2):", "with torch.no_grad():", "try:")


def expression(rng: random.Random, depth: int = 0) -> str:
    if depth > 2 or rng.random() < 0.3:
        return rng.choice(NAMES)
    return rng.choice(EXPRESSIONS).format(expression(rng, depth + 1), rng.choice(NAMES))


def block(rng: random.Random, indent: str) -> str:
    lines = []
    depth = len(indent) // 4
    for _ in range(rng.randint(1, 8 // depth)):
        if depth < 3 and rng.random() < 0.15:
            opening = rng.choice(BLOCKS)
            lines.append(f"{indent}{opening}\n{block(rng, indent + '    ')}")
            if opening == "try:":
                lines.append(f"{indent}except ZeroDivisionError:\n{block(rng, indent + '    ')}")
            continue
        words = {
            "expression": expression(rng),
            "other": expression(rng),
            "log": rng.choice(LOGS).format(expression(rng)),
        }
        lines.append(indent + rng.choice(STATEMENTS).format(rng.choice(NAMES), rng.choice(NAMES), **words) + "\n")
    return "".join(lines)


def outcome(code: str, *, flag: bool) -> tuple[Any, ...] | None:
    """Values, gradients, number of calls of the model; None for a program that fails or gives what is not finite."""
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    inputs = [torch.linspace(0.1, 1.2, 8, dtype=torch.float64).reshape(2, 4).requires_grad_() for _ in range(2)]
    num_calls = 0

    def model(tensor: Any) -> Any:
        nonlocal num_calls
        num_calls += 1
        return tensor * (1 + num_calls * 0.01)

    outs = namespace["f"](*(tensor.clone() for tensor in inputs), model, flag)
    total = sum(((index + 1) * out.sum() for index, out in enumerate(outs)), sum(tensor.sum() for tensor in inputs))
    if not torch.isfinite(total):
        return None
    total.backward()
    needs_gradient = [out.requires_grad for out in outs]
    return [out.detach() for out in outs], [tensor.grad for tensor in inputs], num_calls, needs_gradient


@pytest.mark.parametrize("seed", range(NUM_PROGRAMS))
def test_a_fixed_program_computes_the_same(seed: int) -> None:
    settings = Settings(select=("TRN201", "TRN202"), min_confidence=Confidence.POSSIBLE)
    rng = random.Random(seed)
    while True:
        code = HEAD + block(rng, "    ") + "    return outs\n"
        fixed = fix_contents({"example.py": code.encode()}, settings, unsafe=True)["example.py"].decode()
        if fixed == code:
            continue
        expected = None
        with warnings.catch_warnings(), contextlib.suppress(RuntimeError, IndexError):
            warnings.simplefilter("ignore")
            expected = outcome(code, flag=seed % 2 == 0)
        if expected is not None:
            break
    found = outcome(fixed, flag=seed % 2 == 0)
    assert found is not None, fixed
    assert found[2:] == expected[2:], fixed
    torch.testing.assert_close(
        found[:2], expected[:2], rtol=1e-6, atol=1e-6, msg=lambda text: f"{text}\n{code}\n{fixed}"
    )
