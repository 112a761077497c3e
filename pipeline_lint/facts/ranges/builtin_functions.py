"""What Python's own functions, and those of `math`, make of the values that the interpreter knows."""

from __future__ import annotations

import math
from collections.abc import Callable

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.ranges.containers import element_of
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    OTHER,
    SEQUENCE,
    TENSOR,
    UNKNOWN,
    Evidence,
    Made,
    Value,
    constant,
    fresh_number,
    join,
)

Builtin = Callable[[cst.Call, list[Value]], Value]


def _first(arguments: list[Value]) -> Value:
    return arguments[0] if arguments else UNKNOWN


def _as_number(name: str) -> Builtin:
    def convert(node: cst.Call, arguments: list[Value]) -> Value:
        text = node.args[0].value if node.args else None
        if isinstance(text, cst.SimpleString):
            try:
                number = float(str(text.evaluated_value))
            except ValueError:
                return Value(kind=NUMBER)
            return constant(number) if not math.isnan(number) else Value(kind=NUMBER, nan=_IS_NAN)
        value = _first(arguments)
        result = value.but(kind=NUMBER, has_gradient=False, made=Made(name, node, (value,)))
        return result if name == "float" or value.is_integer or len(node.args) > 1 else _whole(result, name)

    return convert


def _whole(value: Value, name: str) -> Value:
    """`int(x)` and `round(x)`, which are 0 for what is near it."""
    function = math.trunc if name == "int" else round
    low, high = (float(function(end)) if math.isfinite(end) else end for end in (value.low, value.high))
    if low == high and math.isfinite(low):
        return constant(low).but(dtype="int64", made=value.made)
    zero = value.at_low if low == 0 else value.at_high if high == 0 else None
    changes = {"low": low, "high": high, "zero": value.zero or zero, "is_nonzero": False, "dtype": "int64"}
    return value.but(number=fresh_number(), root=0, **changes)


_IS_NAN = Evidence(Confidence.CERTAIN, "it is NaN")


def _length(node: cst.Call, arguments: list[Value]) -> Value:
    value = _first(arguments)
    if value.items is not None:
        return constant(float(len(value.items)))
    return Value(
        0.0,
        INFINITY,
        None,
        None,
        value.empty,
        kind=NUMBER,
        is_count=True,
        has_gradient=False,
        made=Made("len", node, (value,)),
    )


def _absolute(node: cst.Call, arguments: list[Value]) -> Value:
    from pipeline_lint.facts.operations import OPERATIONS
    from pipeline_lint.facts.ranges.value import Operands

    value = _first(arguments)
    result = OPERATIONS["abs"].transfer(Operands(node, {"input": value}))
    result.kind = value.kind
    return result


def _extreme(name: str) -> Builtin:
    is_max = name == "max"

    def choose(node: cst.Call, arguments: list[Value]) -> Value:
        values = arguments
        if len(arguments) == 1:
            value = _first(arguments)
            if value.items:
                values = list(value.items)
            else:
                # Python's `max` of a tensor goes through its elements.
                return value.but(kind=NUMBER if value.kind != TENSOR else TENSOR, made=Made(name, node, (value,)))
        if len(node.args) != len(arguments) or any(argument.keyword is not None for argument in node.args):
            return Value()
        pick = max if is_max else min
        result = values[0]
        for value in values[1:]:
            result = join(result, value)
        low, high = pick(v.low for v in values), pick(v.high for v in values)
        at_low = next((v.at_low for v in values if v.low == low and v.at_low is not None), None)
        at_high = next((v.at_high for v in values if v.high == high and v.at_high is not None), None)
        zero = result.zero if low <= 0 <= high else None
        return Value(
            low,
            high,
            at_low,
            at_high,
            zero,
            kind=result.kind,
            dtype=result.dtype,
            has_gradient=result.has_gradient,
            is_nonzero=result.is_nonzero,
            is_count=result.is_count,
            made=Made(name, node, tuple(values)),
        )

    return choose


def _sum(node: cst.Call, arguments: list[Value]) -> Value:
    value = _first(arguments)
    element = value.made.inputs[0] if value.made is not None and value.made.operation == "list" else UNKNOWN
    if element.low >= 0:
        empty = value.empty or element.zero
        return Value(
            0.0,
            INFINITY,
            empty,
            None,
            empty,
            kind=element.kind,
            is_count=element.is_count,
            made=Made("sum", node, (value,)),
        )
    return Value(made=Made("sum", node, (value,)))


def _range(node: cst.Call, arguments: list[Value]) -> Value:
    low, high = 0.0, INFINITY
    if len(arguments) >= 2:
        low, high = arguments[0].low, arguments[1].high - 1
        if len(arguments) == 3 and arguments[2].high < 0:
            low, high = arguments[1].low + 1, arguments[0].high
    elif arguments:
        high = max(arguments[0].high - 1, 0.0)
    if low > high:
        low, high = -INFINITY, INFINITY
    first = Evidence(Confidence.CERTAIN, f"the first round has {int(low)}") if math.isfinite(low) else None
    element = Value(
        low,
        high,
        first,
        None,
        first if low == 0 else None,
        kind=NUMBER,
        has_gradient=False,
        is_count=low >= 0,
        dtype="int64",
    )
    return Value(kind=SEQUENCE, made=Made("list", node, (element,)))


def _enumerate(node: cst.Call, arguments: list[Value]) -> Value:
    start = arguments[1].low if len(arguments) > 1 else 0.0
    first = Evidence(Confidence.CERTAIN, "the first round has 0") if start == 0 else None
    index = Value(start, INFINITY, first, None, first, kind=NUMBER, has_gradient=False, is_count=True, dtype="int64")
    pair = Value(kind=SEQUENCE, items=(index, element_of(_first(arguments))))
    return Value(kind=SEQUENCE, made=Made("list", node, (pair,)))


def _zip(node: cst.Call, arguments: list[Value]) -> Value:
    if any(argument.star for argument in node.args):
        return Value(kind=SEQUENCE)
    group = Value(kind=SEQUENCE, items=tuple(map(element_of, arguments)))
    return Value(kind=SEQUENCE, made=Made("list", node, (group,)))


def _math(name: str) -> Builtin:
    def compute(node: cst.Call, arguments: list[Value]) -> Value:
        function = getattr(math, name)
        value = _first(arguments)
        if arguments and all(argument.is_constant for argument in arguments):
            try:
                return constant(float(function(*(argument.low for argument in arguments))))
            except (ValueError, OverflowError, TypeError, ZeroDivisionError):
                return Value(kind=NUMBER)
        low = 0.0 if name in ("sqrt", "exp") else -INFINITY
        zero = value.zero if name == "sqrt" else None
        return Value(
            low, INFINITY, None, None, zero, kind=NUMBER, has_gradient=False, made=Made(name, node, tuple(arguments))
        )

    return compute


def _other(_: cst.Call, __: list[Value]) -> Value:
    return Value(kind=OTHER)


def _boolean(_: cst.Call, arguments: list[Value]) -> Value:
    value = _first(arguments)
    return value if value.made is not None or value.dtype == "bool" else Value(0.0, 1.0, dtype="bool", kind=NUMBER)


def _list(_: cst.Call, arguments: list[Value]) -> Value:
    value = _first(arguments)
    return value.but(kind=SEQUENCE) if arguments else Value(kind=SEQUENCE, items=())


BUILTINS: dict[str, Builtin] = {
    "float": _as_number("float"),
    "int": _as_number("int"),
    "round": _as_number("round"),
    "len": _length,
    "abs": _absolute,
    "max": _extreme("max"),
    "min": _extreme("min"),
    "sum": _sum,
    "range": _range,
    "enumerate": _enumerate,
    "zip": _zip,
    "bool": _boolean,
    "list": _list,
    "tuple": _list,
    "sorted": _list,
    "reversed": _list,
    **{name: _math(name) for name in "sqrt log log2 log10 log1p exp pow cos sin tanh prod floor ceil".split()},
    **dict.fromkeys(("str", "repr", "print", "isinstance", "hasattr", "type", "dict", "set", "open", "format"), _other),
}
"""By name; of `math` as well, without the module."""
BUILTIN_NAMES = frozenset(
    """float int round len abs max min sum range enumerate zip bool list tuple sorted reversed str repr print isinstance
    hasattr type dict set open format""".split()
)
"""Those that need no import."""
