"""The values of names and attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.facts.ranges.applier import SUBMODULE
from pipeline_lint.facts.ranges.distributions import attribute_of
from pipeline_lint.facts.ranges.functions import entry_state
from pipeline_lint.facts.ranges.numeric_names import named_constant
from pipeline_lint.facts.ranges.priors import value_named, value_of_attribute
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.syntax import last_name, path_of
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    OTHER,
    SEQUENCE,
    TENSOR,
    Made,
    Value,
    constant,
    join,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run

_VIEW_ATTRIBUTES = frozenset({"T", "mT", "H", "mH", "real"})


def variable(run: Run, node: cst.Name, state: State) -> Value:
    """The value of a name; its first use fixes what is known of it."""
    name = node.value
    value = state.names.get(name)
    if value is not None:
        return value
    if name in ("True", "False"):
        value = constant(float(name == "True"))
        value.dtype = "bool"
        return value
    if name == "None":
        return Value(kind=OTHER)
    value = _path_constant(run, node)
    if value is None:
        value = global_value(run, name)
    if value is None:
        value = value_named(name) or Value()
    state.names[name] = value
    return value


def attribute(run: Run, node: cst.Attribute, state: State) -> Value:
    """The value of an attribute: of `self`, of a tensor, of a module."""
    path = path_of(node)
    if path is not None:
        value = state.names.get(path)
        if value is not None:
            return value
        value = _path_constant(run, node)
        if value is not None:
            return value
    name = node.attr.value
    if path is not None and path.startswith("self.") and path.count(".") == 1:
        found = _self_attribute(run, name)
        if found is not None:
            state.names[path] = found
            return found
    owner = run.evaluate(node.value, state)
    value = _attribute_of(run, owner, name, node)
    if path is not None and not value.is_unknown:
        return value
    return run.numbers.numbered(value, ("attribute", owner.number, name))


def _attribute_of(run: Run, owner: Value, name: str, node: cst.Attribute) -> Value:
    of_distribution = attribute_of(owner, name, node)
    if of_distribution is not None:
        return of_distribution
    made = owner.made
    if made is not None and made.operation == "finfo":
        limit = named_constant(f"finfo.{name}", owner.dtype)
        if limit is not None:
            # A limit of a dtype that the code does not say stands for that of any.
            return limit.but(made=Made("finfo", node, (owner,))) if owner.dtype is None else limit
    if name == "shape":
        return Value(
            0.0, INFINITY, kind=SEQUENCE, is_count=True, has_gradient=False, made=Made("shape", node, (owner,))
        )
    if name in ("ndim", "nbytes", "itemsize"):
        return Value(0.0, INFINITY, kind=NUMBER, is_count=True, has_gradient=False)
    if name == "dtype":
        return Value(kind=OTHER, dtype=owner.dtype)
    if name in ("device", "requires_grad", "is_cuda", "names", "layout"):
        return Value(kind=OTHER)
    if owner.items and name in ("values", "indices"):
        return owner.items[0 if name == "values" else min(1, len(owner.items) - 1)]
    if name in _VIEW_ATTRIBUTES:
        return owner.but(number=run.numbers.of((name, owner.number)), root=owner.root)
    if name == "data":
        return owner.but(has_gradient=False)
    if name == "grad":
        return Value(kind=TENSOR, has_gradient=False, made=Made("grad", node, (owner,)))
    if name == "values" and made is not None and made.operation in ("max", "min", "amax", "amin"):
        return owner
    return value_of_attribute(name) or Value()


def _path_constant(run: Run, node: cst.Name | cst.Attribute) -> Value | None:
    resolved = run.names.resolve(node)
    return named_constant(resolved, None) if resolved is not None else None


def global_value(run: Run, name: str) -> Value | None:
    """What a name of the module holds; None where that is not known."""
    return run.globals.get(name)


def _self_attribute(run: Run, name: str) -> Value | None:
    owner = run.owner
    if owner is None:
        return None
    key = (id(owner), name)
    if key not in run.attribute_values:
        run.attribute_values[key] = None
        run.attribute_values[key] = _assigned_value(run, owner, name)
    value = run.attribute_values[key]
    return value.but() if value is not None else None


def _assigned_value(run: Run, owner: cst.ClassDef, name: str) -> Value | None:
    expressions = run.attributes.assigned(owner, name)
    if not expressions or len(expressions) > 6:
        return None
    result: Value | None = None
    with run.recorder.paused():
        for expression in expressions:
            value = _initial_value(run, expression)
            result = value if result is None else join(result, value)
    if result is not None and result.is_unknown and result.kind not in (OTHER, SEQUENCE):
        usual = value_named(name)
        result = usual.but(made=result.made, choices=result.choices) if usual is not None else result
    return result


def _initial_value(run: Run, expression: cst.BaseExpression | None) -> Value:
    """The value of an expression of another method, from the defaults of that method's parameters."""
    if expression is None:
        return Value()
    method = run.source.function_of(expression)
    state = entry_state(run, method) if isinstance(method, cst.FunctionDef) else State()
    if isinstance(expression, cst.Name | cst.BaseNumber | cst.Attribute | cst.UnaryOperation | cst.BinaryOperation):
        return run.evaluate(expression, state)
    if isinstance(expression, cst.Call | cst.IfExp | cst.BooleanOperation | cst.Tuple):
        value = run.evaluate(expression, state)
        if value.made is not None and value.made.operation == "call" and _is_class(expression):
            return Value(kind=OTHER, made=Made(SUBMODULE, expression, ()))
        # A tensor may be trained, or changed in place: only what it is made by stays.
        is_parameter = value.made is not None and value.made.operation == "parameter"
        return Value(kind=TENSOR, made=value.made) if is_parameter else value
    return Value()


def _is_class(call: cst.BaseExpression) -> bool:
    """Whether what is called is named like a class."""
    return isinstance(call, cst.Call) and last_name(call.func)[:1].isupper()
