"""Epsilons inside a function that ends at 0, which swallows them: `relu(x + eps)`, `softplus(x + eps)`."""

from __future__ import annotations

from typing import NamedTuple

import libcst as cst

from pipeline_lint.diagnostic import Fix
from pipeline_lint.edits import replace, unsafe_fix
from pipeline_lint.facts.epsilon.epsilons import is_epsilon
from pipeline_lint.facts.guarding import has_comment
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.source import Source

FLOORED = ("relu", "relu6", "softplus")
"""Functions whose result is exactly 0 for everything negative enough."""
WITNESSES = {
    "relu": "relu(-1.0 + 1e-6) is 0.0",
    "relu6": "relu6(-1.0 + 1e-6) is 0.0",
    "softplus": "softplus(-104.0 + 1e-6) is 0.0 in float32, softplus(-18.0) in float16",
}
_ENDS_EXPRESSION = (cst.Arg, cst.AssignTarget, cst.Assign, cst.AnnAssign, cst.Return, cst.Expr)


class Swallowed(NamedTuple):
    """The sum in the argument of a function that ends at 0."""

    sum: cst.BinaryOperation
    epsilon: cst.BaseExpression
    value: cst.BaseExpression
    """What the epsilon is added to."""


def swallowed_epsilon(site: Site) -> Swallowed | None:
    """The epsilon that is added to the argument of a function that ends at 0, where the argument may be negative."""
    operand = site.operands.get("input")
    if not isinstance(operand, cst.BinaryOperation) or not isinstance(operand.operator, cst.Add):
        return None
    if site.values["input"].low >= 0 or not isinstance(site.node, cst.Call):
        return None
    for epsilon, value in ((operand.right, operand.left), (operand.left, operand.right)):
        if is_epsilon(epsilon):
            return Swallowed(operand, epsilon, value)
    return None


def moved_out(source: Source, site: Site, swallowed: Swallowed) -> Fix | None:
    """The fix that adds the epsilon to the result."""
    call = site.node
    if not isinstance(call, cst.Call) or has_comment(source, call):
        return None
    (start, end), (first, last) = source.span(call), source.span(swallowed.sum)
    code = source.text[start:first] + source.code(swallowed.value) + source.text[last:end]
    code = f"{code} + {source.code(swallowed.epsilon)}"
    if not isinstance(source.parent(call), _ENDS_EXPRESSION):
        code = f"({code})"
    return unsafe_fix("Add the epsilon to the result", replace(source, call, code))
