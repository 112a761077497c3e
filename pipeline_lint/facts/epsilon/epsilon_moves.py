"""Fixes of epsilons and bounds that stand in the wrong place: moved inside, turned around, exchanged."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.diagnostic import Fix
from pipeline_lint.edits import replace, safe_fix, unsafe_fix
from pipeline_lint.facts.epsilon.clamp_bounds import Crossed, PastDomain, is_past
from pipeline_lint.facts.epsilon.epsilons import Outside
from pipeline_lint.facts.epsilon.roots import deviation_code, norm_code, rooted_operand
from pipeline_lint.facts.guarding import has_comment, receiver_code
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.source import Source

INNER_BOUND = "1e-7"
"""Not 0 in any dtype."""


def moved_into_divisor(source: Source, quotient: cst.CSTNode, outside: Outside) -> Fix | None:
    """The fix that moves an epsilon from a quotient to its divisor."""
    if not isinstance(quotient, cst.BinaryOperation) or not isinstance(outside.node, cst.BinaryOperation):
        return None
    if has_comment(source, outside.node):
        return None
    divisor = source.code(quotient.right)
    if quotient.right.lpar and isinstance(quotient.right, cst.BinaryOperation):
        is_sum = isinstance(quotient.right.operator, cst.Add | cst.Subtract | cst.Multiply | cst.Divide)
        divisor = divisor[1:-1] if is_sum and len(quotient.right.lpar) == 1 else divisor
    code = f"{source.code(quotient.left)} / ({divisor} + {source.code(outside.epsilon)})"
    code = f"({code})" if outside.node.lpar else code
    return unsafe_fix("Move the epsilon into the denominator", replace(source, outside.node, code))


def moved_into_root(source: Source, site: Site, outside: Outside) -> Fix | None:
    """The fix that moves an epsilon into a root, or writes the norm or deviation that the root is."""
    root = site.node
    norm = norm_code(source, root)
    if norm is not None:
        return safe_fix("Replace with `vector_norm`", *norm.edits, replace(source, root, norm.code))
    deviation = deviation_code(source, root)
    if deviation is not None:
        return safe_fix("Replace with `std`", replace(source, root, deviation))
    operand = rooted_operand(source, root)
    if operand is None or has_comment(source, outside.node) or isinstance(source.parent(outside.node), cst.Expr):
        return None
    if outside.is_bound:
        code = f"{receiver_code(source, operand)}.clamp_min({INNER_BOUND})"
        return unsafe_fix(f"Clamp at `{INNER_BOUND}` inside the root", replace(source, operand, code))
    code, (start, end), (first, last) = source.code(root), source.span(root), source.span(operand)
    inner = f"{source.code(operand)} + {source.code(outside.epsilon)}"
    is_argument = isinstance(source.parent(operand), cst.Arg) and isinstance(operand, _TIGHTER)
    code = source.text[start:first] + (inner if is_argument else f"({inner})") + source.text[last:end]
    needs_parentheses = isinstance(root, cst.BinaryOperation) and not root.lpar and bool(_lpar(outside.node))
    code = f"({code})" if needs_parentheses else code
    return unsafe_fix("Move the epsilon into the root", replace(source, outside.node, code))


_TIGHTER = (cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.BinaryOperation)


def _lpar(node: cst.BaseExpression) -> bool:
    return bool(node.lpar)


_NUMBERS = (cst.Integer, cst.Float, cst.UnaryOperation)


def uncrossed(source: Source, crossed: Crossed) -> Fix | None:
    """The fix that exchanges bounds, or puts the minus in that the lower one lacks."""
    low, high = crossed.low, crossed.high
    if crossed.meant is not None:
        return unsafe_fix("Put the minus in", replace(source, low, crossed.meant))
    if high is None or not isinstance(low, _NUMBERS) or not isinstance(high, _NUMBERS):
        return None
    return unsafe_fix(
        "Exchange the bounds", replace(source, low, source.code(high)), replace(source, high, source.code(low))
    )


def turned(source: Source, past: PastDomain) -> Fix | None:
    """The fix that turns the sign of the epsilon in bounds, where they have one."""
    edits = []
    for bound in past.bounds:
        if not is_past(bound):
            return None
        sum_ = bound.expression if isinstance(bound, cst.UnaryOperation) else bound
        assert isinstance(sum_, cst.BinaryOperation)
        (_, start), (end, _) = source.span(sum_.left), source.span(sum_.right)
        text = source.text[start:end]
        turned = text.replace("+", "-") if "+" in text else text.replace("-", "+")
        edits.append(source.document.edit(start, end, turned))
    return unsafe_fix("Turn the sign of the epsilon", *edits)
