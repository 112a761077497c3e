"""The last layer of an `nn.Sequential`, as far as the code writes it out."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.holders import element
from pipeline_lint.source import Source

_PASS_ON = frozenset({"Flatten", "Identity", "Unflatten"})
"""Layers that give the values that they are given."""


def last_layer(source: Source, sequential: cst.Call) -> cst.BaseExpression | None:
    """The last layer that computes something, of arguments, an `OrderedDict` or a list that is filled before."""
    for argument in reversed(sequential.args):
        value = argument.value
        if argument.star:
            return _last_of_list(source, value, sequential) if argument.star == "*" else None
        match value:
            case cst.Call(args=[cst.Arg(value=cst.List(elements=[*_, cst.Element(value=cst.Tuple() as pair)]))]):
                return element(pair, 1)
            case cst.Call(args=[cst.Arg(value=cst.Dict(elements=[*_, cst.DictElement(value=layer)]))]):
                return layer
        if not isinstance(value, cst.Call) or called_name(value) not in _PASS_ON:
            return value
    return None


def _last_of_list(source: Source, layers: cst.BaseExpression, at: cst.CSTNode) -> cst.BaseExpression | None:
    """The last element of a list: written out, or appended by the last statement before `at` that changes the list.

    None where that statement stands in a branch or a loop, so that it need not be the last to run.
    """
    if isinstance(layers, cst.List | cst.Tuple):
        return element(layers, -1)
    if not isinstance(layers, cst.Name):
        return None
    function = source.function_of(at)
    blocks = {id(above) for above in source.ancestors(at)}
    last: tuple[cst.CSTNode, cst.BaseExpression | None] | None = None
    for use in source.nodes(cst.Name):
        if use.value != layers.value or source.function_of(use) is not function:
            continue
        if source.span(use)[0] >= source.span(at)[0]:
            break
        added = _added(source, use)
        if added is not None:
            last = added
    if last is None:
        return None
    statement, layer = last
    block = source.parent(source.parent(statement) or statement)
    return layer if id(block) in blocks else None


def _added(source: Source, use: cst.Name) -> tuple[cst.CSTNode, cst.BaseExpression | None] | None:
    """The statement in which a list gets a new last element, and that element; None for other mentions."""
    above = source.parent(use)
    match above:
        case cst.AssignTarget():
            statement = source.parent(above)
            if isinstance(statement, cst.Assign):
                is_list = isinstance(statement.value, cst.List)
                return statement, element(statement.value, -1) if is_list else None
        case cst.AugAssign(value=value):
            return above, element(value, -1)
        case cst.Attribute(attr=cst.Name(value="append" | "extend" | "insert" | "pop" as name)):
            call = source.parent(above)
            if not isinstance(call, cst.Call) or len(call.args) != 1:
                return call or above, None
            value = call.args[0].value
            layer = value if name == "append" else element(value, -1) if name == "extend" else None
            return source.parent(call) or call, layer
    return None
