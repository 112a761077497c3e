"""The values of operators, numbers and conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.ranges.conditions import effects
from pipeline_lint.facts.ranges.recorder import Use
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.value import (
    NUMBER,
    OTHER,
    SEQUENCE,
    TENSOR,
    UNKNOWN_KIND,
    Evidence,
    Made,
    Value,
    constant,
    join,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run

_BINARY: dict[type[cst.BaseBinaryOp], str] = {
    cst.Add: "add",
    cst.Subtract: "sub",
    cst.Multiply: "mul",
    cst.Divide: "div",
    cst.FloorDivide: "floor_divide",
    cst.Modulo: "remainder",
    cst.Power: "pow",
    cst.MatrixMultiply: "matmul",
    cst.BitAnd: "bitwise_and",
    cst.BitOr: "bitwise_or",
    cst.BitXor: "bitwise_xor",
}
AUGMENTED: dict[type[cst.BaseAugOp], str] = {
    cst.AddAssign: "add",
    cst.SubtractAssign: "sub",
    cst.MultiplyAssign: "mul",
    cst.DivideAssign: "div",
    cst.FloorDivideAssign: "floor_divide",
    cst.ModuloAssign: "remainder",
    cst.PowerAssign: "pow",
    cst.MatrixMultiplyAssign: "matmul",
    cst.BitAndAssign: "bitwise_and",
    cst.BitOrAssign: "bitwise_or",
}
_COMPARISONS: dict[type[cst.BaseCompOp], str] = {
    cst.GreaterThan: "gt",
    cst.GreaterThanEqual: "ge",
    cst.LessThan: "lt",
    cst.LessThanEqual: "le",
    cst.Equal: "eq",
    cst.NotEqual: "ne",
}
_FOLDED: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "floor_divide": lambda a, b: a // b,
    "remainder": lambda a, b: a % b,
    "pow": lambda a, b: a**b,
}


def literal(run: Run, node: cst.Integer | cst.Float, _: State) -> Value:
    """A number."""
    value = run.literals.get(node.value)
    if value is None:
        try:
            number = float(node.evaluated_value)
        except (OverflowError, ValueError):
            return Value(kind=NUMBER)
        value = constant(number, dtype="int64" if isinstance(node, cst.Integer) else None)
        value = run.literals[node.value] = run.numbers.numbered(value, ("constant", number))
    return value


def binary(run: Run, node: cst.BinaryOperation, state: State) -> Value:
    """`a + b`, and chains of them."""
    # Long sums are chains to the left; a loop instead of a recursion keeps them cheap.
    chain = [node]
    left = node.left
    while left.__class__ is cst.BinaryOperation:
        chain.append(left)
        left = left.left
    value = run.evaluate(left, state)
    while chain:
        current = chain.pop()
        right = run.evaluate(current.right, state)
        name = _BINARY.get(current.operator.__class__, "unknown")
        value = operate(run, name, current, (current.left, current.right), (value, right), state)
        if state.bounds or state.nonempty:
            value = state.refined(value)
    return value


def operate(
    run: Run,
    name: str,
    node: cst.BinaryOperation | cst.AugAssign,
    sides: tuple[cst.BaseExpression, cst.BaseExpression],
    values: tuple[Value, Value],
    state: State,
) -> Value:
    """The value of a binary operator with these sides."""
    left, right = values
    if left.kind == NUMBER and right.kind == NUMBER and left.is_constant and right.is_constant and name in _FOLDED:
        try:
            number = _FOLDED[name](left.low, right.low)
            if isinstance(number, float):
                result = constant(number)
                result.made = _limit_of(left) or _limit_of(right)
                if left.is_integer and right.is_integer and name != "div" and number == int(number):
                    result.dtype = "int64"
                return run.numbers.numbered(result, ("constant", number))
        except (ZeroDivisionError, OverflowError, ValueError):
            pass
    if left.kind == SEQUENCE and right.kind == SEQUENCE and name == "add":
        items = left.items + right.items if left.items is not None and right.items is not None else None
        return Value(kind=SEQUENCE, items=items)
    if OTHER in (left.kind, right.kind) and name in ("add", "remainder", "mul", "bitwise_or"):
        return Value(kind=OTHER) if left.kind == right.kind or name != "mul" else Value()
    second = "exponent" if name == "pow" else "other"
    operands = {"input": sides[0], second: sides[1]}
    return run.applier.apply(Use(name, node, operands, {"input": left, second: right}), state)


def _limit_of(value: Value) -> Made | None:
    """How a number was made that is a dtype's limit, or was computed from one."""
    return value.made if value.made is not None and value.made.operation == "finfo" else None


def unary(run: Run, node: cst.UnaryOperation, state: State) -> Value:
    """`-x`, `+x`, `not x`, `~x`."""
    value = run.evaluate(node.expression, state)
    operator = node.operator
    if isinstance(operator, cst.Minus):
        if value.kind == NUMBER and value.is_constant:
            negative = constant(-value.low).but(dtype=value.dtype, made=_limit_of(value))
            return run.numbers.numbered(negative, ("constant", -value.low))
        return run.applier.apply(Use("neg", node, {"input": node.expression}, {"input": value}), state)
    if isinstance(operator, cst.Plus):
        return value
    name = "logical_not" if isinstance(operator, cst.Not) else "bitwise_not"
    return _truth(run, name, node, (value,))


def comparison(run: Run, node: cst.Comparison, state: State) -> Value:
    """A condition, of numbers or of tensors."""
    left = run.evaluate(node.left, state)
    found: Value | None = None
    for target in node.comparisons:
        right = run.evaluate(target.comparator, state)
        name = _COMPARISONS.get(target.operator.__class__)
        each = (
            _truth(run, name, node, (left, right)) if name is not None else Value(0.0, 1.0, dtype="bool", kind=NUMBER)
        )
        found = each if found is None else _truth(run, "logical_and", node, (found, each))
        left = right
    return found or Value()


def _truth(run: Run, name: str, node: cst.CSTNode, inputs: tuple[Value, ...]) -> Value:
    """A boolean, or a tensor of booleans."""
    kinds = {value.kind for value in inputs}
    kind = NUMBER if kinds <= {NUMBER, OTHER} else TENSOR if TENSOR in kinds else UNKNOWN_KIND
    nothing = Evidence(Confidence.LIKELY, "a condition that holds nowhere")
    everything = Evidence(Confidence.LIKELY, "a condition that holds everywhere")
    value = Value(
        0.0,
        1.0,
        nothing,
        everything,
        nothing,
        dtype="bool",
        kind=kind,
        has_gradient=False,
        made=Made(name, node, inputs),
    )
    return run.numbers.numbered(value, (name, *(each.number for each in inputs)))


def boolean(run: Run, node: cst.BooleanOperation, state: State) -> Value:
    """`a and b`, `a or b`: the right side is read with what the left one says."""
    left = run.evaluate(node.left, state)
    is_and = isinstance(node.operator, cst.And)
    right_state = state
    if left.made is not None or left.is_count:
        right_state = state.copy()
        right_state.learn(effects(left, is_met=is_and))
    right = run.evaluate(node.right, right_state)
    name = "logical_and" if is_and else "logical_or"
    if left.dtype == "bool" or left.kind == OTHER:
        if right.dtype == "bool" or right.kind == OTHER:
            return _truth(run, name, node, (left, right))
        # As a condition it tells what both tell; as a value it is one of the two.
        is_none = isinstance(node.left, cst.Name) and node.left.value == "None"
        value = join(left, right) if left.dtype == "bool" else right if is_none else Value()
        return value.but(made=Made(name, node, (left, right)), choices=(value,))
    if not is_and:
        # `x or default` is `x` only where that is not 0.
        left = left.but(
            zero=None,
            is_nonzero=True,
            at_low=None if left.low == 0 else left.at_low,
            at_high=None if left.high == 0 else left.at_high,
        )
    return join(left, right)


def conditional(run: Run, node: cst.IfExp, state: State) -> Value:
    """`a if test else b`."""
    test = run.evaluate(node.test, state)
    met, not_met = state.copy(), state.copy()
    met.learn(effects(test, is_met=True))
    not_met.learn(effects(test, is_met=False))
    one, other = run.evaluate(node.body, met), run.evaluate(node.orelse, not_met)
    if other.kind == OTHER and one.kind != OTHER:
        return one
    if one.kind == OTHER and other.kind != OTHER:
        return other
    return join(one, other)


def walrus(run: Run, node: cst.NamedExpr, state: State) -> Value:
    """`(name := value)`."""
    value = run.evaluate(node.value, state)
    if isinstance(node.target, cst.Name):
        state.names[node.target.value] = value
    return value


def await_expression(run: Run, node: cst.Await, state: State) -> Value:
    """`await value`."""
    return run.evaluate(node.expression, state)
