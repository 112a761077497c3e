"""Where a loss is computed: by the function, or by a module that is held in a name, an attribute, a closure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.holders import Holders
from pipeline_lint.facts.code.names import Names
from pipeline_lint.source import Source


@dataclass(frozen=True, slots=True, eq=False)
class LossCall:
    """A call that computes a loss of a prediction."""

    call: cst.Call
    prediction: cst.BaseExpression
    constructor: cst.Call | None = None
    """What builds the module that is called; None where a function is, or where several calls may have built it."""
    is_function: bool = False
    """Whether the function itself is called, not a name or attribute that holds it."""
    is_module: bool = False


def loss_calls(source: Source, *, function: str, module: str) -> Iterator[LossCall]:
    """The calls of a loss that torch has as a function and as a module, each given by its path."""
    calls, names, holders = source.fact(Calls), source.fact(Names), source.fact(Holders)
    for operation in calls.operations(function.rpartition(".")[2]):
        if operation.path == function and operation.input is not None:
            yield LossCall(operation.call, operation.input, is_function=True)
    mentioned = {id(call) for call in source.nodes(cst.Call) if names.resolve(call.func) == module}
    is_held = any(names.resolve(target.value) == function for target in source.nodes(cst.Assign))
    if not mentioned and not is_held:
        return
    for call in source.nodes(cst.Call):
        prediction = _prediction(call)
        if prediction is None or names.resolve(call.func) is not None:
            continue
        built = holders.constructors(call.func)
        if built and all(id(each) in mentioned for each in built):
            yield LossCall(call, prediction, built[0] if len(built) == 1 else None, is_module=True)
        elif is_held:
            values = holders.values(call.func)
            if values and all(names.resolve(held.value) == function for held in values):
                yield LossCall(call, prediction)


def _prediction(call: cst.Call) -> cst.BaseExpression | None:
    """The first argument of a call with a prediction and a target."""
    if len(call.args) < 2 or any(argument.star for argument in call.args):
        return None
    for argument in call.args:
        if argument.keyword is not None and argument.keyword.value == "input":
            return argument.value
    return call.args[0].value if call.args[0].keyword is None else None
