"""Roots of sums of squares and of variances, and how torch writes them so that the gradient at 0 is finite."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.code.inlining import argument_code
from pipeline_lint.facts.code.names import Names, Reference
from pipeline_lint.facts.guarding import is_repeatable
from pipeline_lint.source import Source


def rooted_operand(source: Source, node: cst.CSTNode) -> cst.BaseExpression | None:
    """What a square root is taken of: `torch.sqrt(x)`, `x.sqrt()`, `x ** 0.5`, `x.pow(1 / 2)`; None for other code."""
    if isinstance(node, cst.BinaryOperation):
        is_root = isinstance(node.operator, cst.Power) and _is_number(node.right, 0.5)
        return node.left if is_root else None
    operation = source.fact(Calls).operation(node)
    if operation is None or operation.input is None or operation.is_inplace or "out" in operation.operands:
        return None
    if operation.name == "sqrt":
        return operation.input
    exponent = operation.operands.get("exponent")
    if operation.name == "pow" and exponent is not None and _is_number(exponent, 0.5):
        return operation.input
    return None


def norm_code(source: Source, node: cst.CSTNode) -> Reference | None:
    """`torch.linalg.vector_norm(x, dim=d)` for the square root `node` of the sum of `x ** 2`; else None."""
    operand = rooted_operand(source, node)
    total = source.fact(Calls).operation(operand) if operand is not None else None
    if total is None or total.name != "sum" or total.input is None or total.rest or "#" in source.code(node):
        return None
    squared = squared_operand(source, total.input)
    if squared is None or not total.operands.keys() <= {"input", "dim", "keepdim"}:
        return None
    keepdim = total.operands.get("keepdim")
    if keepdim is not None and not isinstance(keepdim, cst.Name | cst.Attribute):
        # `x.sum(0, 1)` sums over two dims.
        return None
    reference = source.fact(Names).reference("torch.linalg.vector_norm", at=node)
    arguments = [argument_code(source, squared)]
    given = [name for name in ("dim", "keepdim") if name in total.operands]
    arguments += [f"{name}={source.code(total.operands[name])}" for name in given]
    return Reference(f"{reference.code}({', '.join(arguments)})", reference.edits)


def deviation_code(source: Source, node: cst.CSTNode) -> str | None:
    """`x.std(dim)` for the square root `node` of `x.var(dim)`, with the same arguments; else None."""
    operand = rooted_operand(source, node)
    variance = source.fact(Calls).operation(operand) if operand is not None else None
    if variance is None or variance.name != "var" or "out" in variance.operands or "#" in source.code(node):
        return None
    function = variance.call.func
    if not isinstance(function, cst.Attribute) or function.attr.value != "var":
        return None
    code, (start, _) = source.code(variance.call), source.span(variance.call)
    first, last = (offset - start for offset in source.span(function.attr))
    return f"{code[:first]}std{code[last:]}"


def squared_operand(source: Source, node: cst.BaseExpression) -> cst.BaseExpression | None:
    """`x` of `x ** 2`, `x.pow(2)`, `x.square()`, `x * x`; None for what is no square."""
    match node:
        case cst.BinaryOperation(left=left, operator=cst.Power(), right=right):
            return left if _is_number(right, 2.0) else None
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right):
            return _factor(source, left, right)
    operation = source.fact(Calls).operation(node)
    if operation is None or operation.input is None or operation.is_inplace:
        return None
    return _of_operation(source, operation)


def _of_operation(source: Source, operation: Operation) -> cst.BaseExpression | None:
    if operation.name == "square":
        return operation.input
    exponent, other = operation.operands.get("exponent"), operation.operands.get("other")
    if operation.name == "pow" and exponent is not None and _is_number(exponent, 2.0):
        return operation.input
    if operation.name == "mul" and other is not None and operation.input is not None:
        return _factor(source, operation.input, other)
    return None


def _factor(source: Source, one: cst.BaseExpression, other: cst.BaseExpression) -> cst.BaseExpression | None:
    """The factor of a product with itself."""
    is_square = _is_plain(one) and argument_code(source, one) == argument_code(source, other)
    return one if is_square else None


def _is_plain(node: cst.BaseExpression) -> bool:
    """Whether an expression gives the same twice: names, and sums of them."""
    if isinstance(node, cst.BinaryOperation):
        return _is_plain(node.left) and _is_plain(node.right)
    return is_repeatable(node)


def _is_number(node: cst.BaseExpression, number: float) -> bool:
    match node:
        case cst.Integer() | cst.Float():
            return float(node.evaluated_value) == number
        case cst.BinaryOperation(
            left=cst.Integer() | cst.Float() as left,
            operator=cst.Divide(),
            right=cst.Integer() | cst.Float() as right,
        ):
            divisor = float(right.evaluated_value)
            return divisor != 0 and float(left.evaluated_value) / divisor == number
    return False
