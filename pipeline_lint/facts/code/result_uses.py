"""What an expression does with the result of a call that stands in it: bounds it, rounds it, multiplies it."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.source import Source

_TO_WHOLE_NUMBERS = frozenset("long int floor ceil round trunc bucketize argmax argsort topk".split())
_WHOLE_NUMBER_DTYPES = frozenset({"long", "int", "int8", "int16", "int32", "int64", "short", "uint8"})
_LOWER_BOUNDS = frozenset({"clamp", "clamp_min", "maximum", "nan_to_num"})


def calls_around(source: Source, node: cst.CSTNode) -> Iterator[cst.Call]:
    """The calls that a result is an argument or the receiver of, through arithmetic, from the inside outwards."""
    below: cst.CSTNode = node
    for above in source.ancestors(node):
        match above:
            case cst.Call():
                if above.func is not below or isinstance(below, cst.Attribute):
                    yield above
            case cst.Arg() | cst.Attribute() | cst.UnaryOperation() | cst.BinaryOperation() | cst.Subscript():
                pass
            case _:
                return
        below = above


def becomes_whole_number(source: Source, node: cst.CSTNode) -> bool:
    """Whether a result is made a whole number, an index or a rank, through which no gradient goes."""
    for call in calls_around(source, node):
        name = called_name(call)
        if name in _TO_WHOLE_NUMBERS:
            return True
        if name in ("to", "type") and any(_is_whole_number_dtype(argument.value) for argument in call.args):
            return True
    return False


def is_bounded_below(source: Source, node: cst.CSTNode) -> bool:
    """Whether a result is kept from being -inf afterwards, which cures its value and not its gradient."""
    for call in calls_around(source, node):
        operation = source.fact(Calls).operation(call)
        if operation is None:
            continue
        is_bound = any(each in (node, *source.ancestors(node)) for each in _bounds(operation))
        if (
            operation.name in _LOWER_BOUNDS
            and not is_bound
            and (operation.name != "clamp" or "min" in operation.operands)
        ):
            return True
    return False


def _bounds(operation: Operation) -> list[cst.BaseExpression]:
    return [operation.operands[name] for name in ("min", "max") if name in operation.operands]


def _is_whole_number_dtype(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Attribute) and node.attr.value in _WHOLE_NUMBER_DTYPES
