"""Functions: what their parameters hold, and what a call of a small one of the same file gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.ranges.contexts import ends_gradients
from pipeline_lint.facts.ranges.priors import value_named
from pipeline_lint.facts.ranges.side_effects import SideEffects, apply_side_effects
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.syntax import is_word
from pipeline_lint.facts.ranges.value import (
    NUMBER,
    OTHER,
    SEQUENCE,
    TENSOR,
    Evidence,
    Value,
    join,
)

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run

_DEEPEST_CALL = 3
_LONGEST_FUNCTION = 60
"""Statements of a function that is read again where it is called."""
_MOST_INLINED = 20_000
"""Statements of a file that are read again at calls, all together: what keeps the time linear in the file's size."""
_CONSTANTS = (
    cst.BaseNumber,
    cst.UnaryOperation,
    cst.BinaryOperation,
    cst.Name,
    cst.Attribute,
    cst.BaseString,
    cst.Call,
)


def execute(run: Run, function: cst.FunctionDef, state: State) -> Value:
    """Reads a function's body in a state that holds its parameters; what it gives back."""
    outer_returned, outer_function, outer_leaving = run.returned, run.applier.function, run.leaving
    outer_functions = run.inner_functions
    run.returned, run.leaving, run.inner_functions = [], [], outer_functions.copy()
    run.applier.function = function
    if any(ends_gradients(run, decorator.decorator) for decorator in function.decorators):
        state.has_gradient = False
    run.block(function.body.body, state)
    returned = run.returned
    run.returned, run.applier.function, run.leaving = outer_returned, outer_function, outer_leaving
    run.inner_functions = outer_functions
    if not returned:
        return Value(kind=OTHER)
    result = returned[0]
    for value in returned[1:]:
        result = join(result, value)
    return result


def entry_state(run: Run, function: cst.FunctionDef) -> State:
    """The state in which a function begins that anybody may call."""
    state = State()
    bind_parameters(run, function.params, state)
    return state


def bind_parameters(run: Run, parameters: cst.Parameters, state: State) -> None:
    """Gives parameters what their defaults, annotations and names say."""
    for parameter in _parameters(parameters):
        name = parameter.name.value
        state.names[name] = _parameter_value(run, name, parameter)
    for starred in (parameters.star_arg, parameters.star_kwarg):
        if isinstance(starred, cst.Param):
            state.names[starred.name.value] = Value(kind=OTHER)


def _parameter_value(run: Run, name: str, parameter: cst.Param) -> Value:
    kind = _annotated_kind(parameter.annotation)
    default = parameter.default
    if default is not None and not (isinstance(default, cst.Name) and default.value == "None"):
        value = run.evaluate(default, State()) if isinstance(default, _CONSTANTS) else Value()
        if value.kind == NUMBER and value.is_constant and value.dtype != "bool":
            zero = Evidence(Confidence.LIKELY, f"`{name}` is 0 by default")
            return Value(
                value.low,
                value.high,
                zero=zero if value.low == 0 else None,
                at_low=zero if value.low == 0 else None,
                kind=NUMBER,
                dtype=value.dtype,
                has_gradient=False,
            )
        if value.dtype == "bool":
            return Value(0.0, 1.0, kind=NUMBER, dtype="bool", has_gradient=False)
        if value.kind == OTHER:
            return Value(kind=OTHER, dtype=value.dtype)
    prior = value_named(name)
    if prior is not None and kind not in (OTHER, SEQUENCE, NUMBER):
        if kind == TENSOR:
            prior.kind = kind
            if prior.is_count and prior.zero is None:
                # A number that Python counted is rarely 0 where it is used; one that a tensor holds is summed up.
                prior.zero = prior.at_low = Evidence(Confidence.LIKELY, f"`{name}` is 0 where nothing was counted")
        return prior
    if kind == NUMBER:
        return Value(kind=NUMBER, has_gradient=False)
    return Value(kind=kind)


def nested_function(run: Run, function: cst.FunctionDef, state: State) -> None:
    """A function inside a function is read where it stands, with what the names around it hold."""
    if run.applier.function is None or run.call_depth:
        return
    inner = state.copy()
    inner.bounds = {}
    for name in run.source.fact(SideEffects).rebound(run.applier.function):
        inner.names.pop(name, None)
    run.inner_functions[function.name.value] = function
    bind_parameters(run, function.params, inner)
    execute(run, function, inner)


def call_local(run: Run, node: cst.Call, arguments: list[Value], state: State) -> Value | None:
    """The result of a function or method of this file; None where it is not followed."""
    function = _called_function(run, node)
    if function is None:
        return None
    result = _result_of(run, function, node, arguments, state)
    apply_side_effects(run, function, node, state)
    return result


def _result_of(
    run: Run, function: cst.FunctionDef, node: cst.Call, arguments: list[Value], state: State
) -> Value | None:
    if run.call_depth >= _DEEPEST_CALL or id(function) in run.active:
        return None
    length = _length_of(run, function)
    if length > _LONGEST_FUNCTION or run.num_inlined + length > _MOST_INLINED:
        return None
    inner = State()
    if function.name.value in run.inner_functions:
        # A function inside this one sees its names as they are now.
        inner.names = state.names.copy()
    inner.has_gradient, inner.autocast = state.has_gradient, state.autocast
    inner.bounds, inner.nonempty = state.bounds.copy(), state.nonempty
    is_method = isinstance(node.func, cst.Attribute)
    if not _bind_arguments(run, function, node, arguments, inner, is_method=is_method):
        return None
    if is_method:
        inner.names.update({name: value for name, value in state.names.items() if name.startswith("self.")})
    run.num_inlined += length
    owner, loop_depth = run.owner, run.loop_depth
    if not is_method:
        run.owner = None
    run.active.add(id(function))
    run.call_depth += 1
    with run.recorder.paused():
        result = execute(run, function, inner)
    run.call_depth -= 1
    run.active.discard(id(function))
    run.owner, run.loop_depth = owner, loop_depth
    return result


def _called_function(run: Run, node: cst.Call) -> cst.FunctionDef | None:
    match node.func:
        case cst.Name(value=name):
            return run.inner_functions.get(name) or run.functions.get(name)
        case cst.Attribute(value=cst.Name(value="self" | "cls"), attr=cst.Name(value=name)):
            return run.attributes.method(run.owner, name) if run.owner is not None else None
    return None


def _bind_arguments(
    run: Run, function: cst.FunctionDef, node: cst.Call, arguments: list[Value], inner: State, *, is_method: bool
) -> bool:
    """Gives the parameters what a call passes; False where that is not plain."""
    if any(argument.star for argument in node.args):
        return False
    bind_parameters(run, function.params, inner)
    parameters = [parameter.name.value for parameter in _parameters(function.params)]
    is_static = any(is_word(decorator.decorator, "staticmethod") for decorator in function.decorators)
    if is_method and not is_static:
        parameters = parameters[1:]
    known = set(parameters)
    position = 0
    for argument, value in zip(node.args, arguments, strict=True):
        if argument.keyword is not None:
            name = argument.keyword.value
            if name not in known:
                return False
        elif position < len(parameters):
            name = parameters[position]
            position += 1
        else:
            return False
        if not (value.is_unknown and value.kind != TENSOR and value.made is None) or name not in inner.names:
            inner.names[name] = value
    return True


def _length_of(run: Run, function: cst.FunctionDef) -> int:
    length = run.lengths.get(id(function))
    if length is None:
        length = run.lengths[id(function)] = _num_statements(function.body)
    return length


def _parameters(parameters: cst.Parameters) -> Iterator[cst.Param]:
    yield from parameters.posonly_params
    yield from parameters.params
    yield from parameters.kwonly_params


def _annotated_kind(annotation: cst.Annotation | None) -> str:
    if annotation is None:
        return "unknown"
    node = annotation.annotation
    if isinstance(node, cst.Subscript) and isinstance(node.value, cst.Name) and node.value.value == "Optional":
        part = node.slice[0].slice
        node = part.value if isinstance(part, cst.Index) else node
    name = node.attr.value if isinstance(node, cst.Attribute) else node.value if isinstance(node, cst.Name) else ""
    if isinstance(name, str):
        if name in ("Tensor", "FloatTensor", "LongTensor", "BoolTensor", "Variable"):
            return TENSOR
        if name in ("int", "float"):
            return NUMBER
        if name in ("str", "dict", "Dict", "Callable", "Module", "Path"):
            return OTHER
    return "unknown"


def _num_statements(suite: cst.BaseSuite) -> int:
    count = 0
    waiting: list[cst.CSTNode] = list(suite.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, cst.SimpleStatementLine):
            count += len(node.body)
        elif not isinstance(node, cst.BaseExpression):
            count += 1
            waiting.extend(child for child in node.children if not isinstance(child, cst.BaseExpression))
    return count
