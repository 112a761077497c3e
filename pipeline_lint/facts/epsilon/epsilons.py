"""Small constants that authors add to keep a value off 0, and whether they stand where they help.

An epsilon helps inside: `a / (b + eps)`, `sqrt(x + eps)`. Outside, as in `a / b + eps`, it comes too late.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.source import Source

LARGEST_LITERAL = 1e-3
"""A larger number is an offset that means something."""
_NAME = re.compile(r"(^|_)(eps|epsilon|epsilons|tiny)(_|\d|$)", re.IGNORECASE)
_BREAKS_AT_ZERO = re.compile(
    r"log|sqrt|pow|div|reciprocal|categorical|multinomial|bernoulli|cross_entropy|kl_", re.IGNORECASE
)
"""Names of functions that an epsilon in their argument protects."""
_ADDING = frozenset({"add"})
_BOUNDING = frozenset({"clamp", "clamp_min", "maximum"})


class Outside(NamedTuple):
    """An epsilon that is added to, or bounds, the result of an operation."""

    node: cst.BinaryOperation | cst.Call
    """The sum or the clamp as a whole."""
    epsilon: cst.BaseExpression
    is_bound: bool
    """Whether it is a lower bound, not an addend."""


def is_epsilon(node: cst.BaseExpression) -> bool:
    """Whether an expression is a small positive number, or a name that says epsilon."""
    match node:
        case cst.Float():
            return 0 < float(node.evaluated_value) <= LARGEST_LITERAL
        case cst.Name() | cst.Attribute():
            return bool(_NAME.search(last_name(node)))
        case cst.BinaryOperation(left=cst.Integer(value="10"), operator=cst.Power(), right=cst.UnaryOperation()):
            return True
        case cst.Call(func=cst.Name(value="float"), args=[cst.Arg(value=inner)]):
            return is_epsilon(inner)
    return False


def epsilon_outside(source: Source, node: cst.CSTNode) -> Outside | None:
    """The epsilon that is added to `node`, or bounds it from below, where it stands."""
    above = source.parent(node)
    match above:
        case cst.BinaryOperation(left=left, operator=cst.Add(), right=right):
            epsilon = right if left is node else left
            return Outside(above, epsilon, is_bound=False) if is_epsilon(epsilon) else None
        case cst.Attribute() | cst.Arg():
            call = source.parent(above)
    if not isinstance(above, cst.Attribute | cst.Arg) or not isinstance(call, cst.Call):
        return None
    operation = source.fact(Calls).operation(call)
    if operation is None or operation.input is not node or "out" in operation.operands:
        return None
    bound = operation.operands.get("min", operation.operands.get("other"))
    if bound is None or not is_epsilon(bound) or "alpha" in operation.operands:
        return None
    if operation.name in _ADDING:
        return Outside(call, bound, is_bound=False)
    if operation.name in _BOUNDING and "max" not in operation.operands:
        return Outside(call, bound, is_bound=True)
    return None


def outside_of_quotient(source: Source, node: cst.CSTNode) -> Outside | None:
    """The epsilon that is added to a quotient and does nothing there: `a / b + eps`.

    In `log(a / b + eps)` it protects the logarithm, and is no remark about the division at all.
    """
    outside = epsilon_outside(source, node)
    if outside is None or outside.is_bound or not _is_small(source, outside.epsilon):
        return None
    return outside if not is_needed(source, outside.node) else None


def _is_small(source: Source, node: cst.BaseExpression) -> bool:
    """Whether an epsilon is a number, not the noise that diffusion models call so."""
    if not isinstance(node, cst.Name):
        return True
    value = source.fact(Flow).value_of(node)
    if value is None:
        function = source.function_of(node)
        parameters = (*function.params.params, *function.params.kwonly_params) if function is not None else ()
        value = next((each.default for each in parameters if each.name.value == node.value), None)
    if value is None:
        return node.value.isupper()
    return is_epsilon(value) or (isinstance(value, cst.Attribute) and last_name(value) in ("eps", "tiny"))


def is_needed(source: Source, node: cst.BaseExpression) -> bool:
    """Whether what an expression is used for breaks at 0, where it stands or by the name that it is given."""
    for use in _uses(source, node):
        above = source.parent(use)
        match above:
            case cst.BinaryOperation(operator=cst.Divide() | cst.FloorDivide() | cst.Modulo()) if above.right is use:
                return True
            case cst.BinaryOperation(operator=cst.Power()) | cst.AugAssign(operator=cst.DivideAssign()):
                return True
            case cst.Attribute() | cst.Arg():
                call = source.parent(above)
                name = last_name(call.func) if isinstance(call, cst.Call) else ""
                if _BREAKS_AT_ZERO.search(name):
                    return True
    return False


def _uses(source: Source, node: cst.BaseExpression) -> list[cst.BaseExpression]:
    above = source.parent(node)
    function = source.function_of(node)
    match above:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))]) if function is not None:
            return [node, *source.fact(Flow).uses(name, within=function)]
    return [node]
