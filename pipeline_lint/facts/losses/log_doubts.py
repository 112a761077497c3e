"""What speaks against an argument of a logarithm that may be 0 by its range: it does not get there in practice."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.origins import Origins
from pipeline_lint.facts.ranges.value import Value
from pipeline_lint.source import Source

_DRAWS = frozenset({"multinomial", "argmax"})
_PROBABILITIES = frozenset({"sigmoid", "softmax", "gumbel_softmax", "hardsigmoid"})
_DEEPEST = 8
_MOST_SOURCES = 30


def is_of_parameters(value: Value) -> bool:
    """Whether a value is computed from parameters and numbers alone: it stays near where training starts."""
    found, waiting = False, [(value, 0)]
    while waiting:
        current, depth = waiting.pop()
        if current.made is not None and current.made.operation == "parameter":
            found = True
        elif current.is_constant:
            continue
        elif current.made is None or not current.made.inputs or depth > _DEEPEST:
            return False
        else:
            waiting += [(each, depth + 1) for each in current.made.inputs]
    return found


def is_average_of_probabilities(value: Value) -> bool:
    """Whether it is the mean of probabilities, which is 0 only where all of them are rounded to 0.

    The mean of one-hot vectors is 0 for every class that does not occur, and is none.
    """
    made = value.made
    if made is None or made.operation != "mean" or not made.inputs:
        return False
    inner = made.inputs[0]
    is_named = inner.made is None and inner.low == 0 and inner.high == 1 and inner.has_gradient
    return is_named or (inner.made is not None and inner.made.operation in _PROBABILITIES)


def is_selected_before(value: Value) -> bool:
    """Whether it is computed from elements that were selected first, by a condition that may well keep it off 0."""
    waiting, seen = [value], set[int]()
    while waiting and len(seen) < _MOST_SOURCES:
        made = waiting.pop().made
        if made is None or id(made) in seen:
            continue
        seen.add(id(made))
        if made.operation == "masked_select":
            return True
        waiting += made.inputs
    return False


def is_drawn(source: Source, argument: cst.BaseExpression) -> bool:
    """Whether it is the probability of what was drawn by it, or of the most probable: neither is 0."""
    calls = source.fact(Calls)
    if isinstance(argument, cst.Subscript):
        indices = [part.slice.value for part in argument.slice if isinstance(part.slice, cst.Index)]
        if any(isinstance(index, cst.Name) and _is_draw(source, index) for index in indices):
            return True
    for link in source.fact(Origins).trace(argument).links:
        operation = calls.operation(link.node) if isinstance(link.node, cst.Call) else None
        index = operation.operands.get("index") if operation is not None and operation.name == "gather" else None
        if index is not None and _is_draw(source, index):
            return True
    return False


def _is_draw(source: Source, index: cst.BaseExpression, names: frozenset[str] = frozenset()) -> bool:
    """Whether an index was drawn; `names` are those that were followed on the way here."""
    if isinstance(index, cst.Subscript):
        # `torch.multinomial(p, 1)[:, 0]`
        return _is_draw(source, index.value, names)
    if isinstance(index, cst.Call):
        receiver = index.func.value if isinstance(index.func, cst.Attribute) else None
        return called_name(index) in _DRAWS or (receiver is not None and _is_draw(source, receiver, names))
    if not isinstance(index, cst.Name):
        return False
    if index.value in names:
        return False
    function = source.function_of(index)
    values = [
        assign.value
        for assign in source.nodes(cst.Assign)
        if any(isinstance(target.target, cst.Name) and target.target.value == index.value for target in assign.targets)
        and source.function_of(assign) is function
        # Of `tokens = tokens.view(-1)` the other assignments decide.
        and not _is_method_of(assign.value, index.value)
    ]
    followed = names | {index.value}
    return bool(values) and all(
        isinstance(value, cst.Call | cst.Subscript) and _is_draw(source, value, followed) for value in values
    )


def _is_method_of(node: cst.BaseExpression, name: str) -> bool:
    while isinstance(node, cst.Call | cst.Attribute):
        node = node.func if isinstance(node, cst.Call) else node.value
    return isinstance(node, cst.Name) and node.value == name
