"""Writing a loss of probabilities as the same loss of the logits, with all that shares the loss's module."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Edit
from pipeline_lint.edits import replace
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.holders import Holders
from pipeline_lint.facts.code.inlining import written_again
from pipeline_lint.facts.code.names import Names, dotted_name
from pipeline_lint.facts.code.origins import Origin
from pipeline_lint.facts.code.precedence import atom_code
from pipeline_lint.facts.losses.loss_calls import LossCall
from pipeline_lint.source import Source

_MOVES = frozenset({"cpu", "cuda", "to"})
_LITERALS = (cst.SimpleString, cst.Integer, cst.Float)
_WORDS = frozenset({"False", "None", "True"})
_PARAMETERS = ("weight", "size_average", "reduce", "reduction")
"""What a loss's module takes by position, and its function by keyword."""


@dataclass(frozen=True, slots=True, eq=False)
class TracedLoss:
    """A loss with the activation that its prediction comes from, in the same function."""

    loss: LossCall
    origin: Origin


def on_logits(
    source: Source, traced: TracedLoss, others: Sequence[TracedLoss], *, function: str, module: str
) -> tuple[Edit, ...] | None:
    """The edits that make a call the loss `function`, or `module`, of what the activation is applied to.

    `others` are all losses of the file that could be rewritten so. A module that serves only them is built as `module`,
    and all its calls change together; where it serves others, too, this call becomes one of `function`.
    """
    loss = traced.loss
    names = source.fact(Names)
    if loss.is_function:
        reference = names.reference(function, at=loss.call)
        prediction = prediction_edits(source, traced)
        if prediction is None:
            return None
        return (*reference.edits, replace(source, loss.call.func, reference.code), *prediction)
    if loss.constructor is None:
        return None
    together = [each for each in others if each.loss.constructor is loss.constructor]
    if _serves_only(source, loss.constructor, together):
        reference = names.reference(module, at=loss.constructor)
        edits = [*reference.edits, replace(source, loss.constructor.func, reference.code)]
        for each in together:
            edits += prediction_edits(source, each) or ()
        if all(prediction_edits(source, each) is not None for each in together) and not _overlap(edits):
            return tuple(dict.fromkeys(edits))
    return _as_function(source, traced, function)


def has_other_use(source: Source, traced: TracedLoss, others: Sequence[TracedLoss]) -> bool:
    """Whether something else than these losses reads the probability."""
    flow = source.fact(Flow)
    for definition in traced.origin.definitions:
        num_losses = sum(definition in each.origin.definitions for each in others)
        within = source.function_of(definition.statement) or source.module
        if flow.num_uses(definition.name, within=within) > num_losses:
            return True
    return False


def prediction_edits(source: Source, traced: TracedLoss) -> tuple[Edit, ...] | None:
    """The edits that put the activation's operand in the place of the prediction."""
    origin = traced.origin
    operation = origin.activation.operation
    if operation is not None and "out" in operation.operands:
        return None
    is_reshaped = any(link.is_reshape for link in origin.links)
    return written_again(
        source,
        traced.loss.prediction,
        origin,
        activation=atom_code if is_reshaped else str,
        keeps_result=False,
    )


def _serves_only(source: Source, constructor: cst.Call, together: Sequence[TracedLoss]) -> bool:
    """Whether a module is used by nothing but the calls of these losses."""
    called = {id(each.loss.call.func) for each in together}
    if called == {id(constructor)}:
        return True
    target = _assigned_to(source, constructor)
    if target is None:
        return False
    return all(
        id(node) in called or _is_moved(source, node) for node in _mentions(source, target) if node is not target
    )


def _mentions(source: Source, target: cst.Name | cst.Attribute) -> Iterator[cst.BaseExpression]:
    """The places that may read a variable: of a name those in its scope, of an attribute all of that name."""
    if isinstance(target, cst.Attribute):
        for attribute in source.nodes(cst.Attribute):
            is_import = source.enclosing(attribute, cst.Import, cst.ImportFrom) is not None
            if attribute.attr.value == target.attr.value and not is_import:
                yield attribute
        return
    scope = source.function_of(target)
    for node in source.nodes(cst.Name):
        if node.value != target.value or (scope is not None and scope not in source.ancestors(node)):
            continue
        match source.parent(node):
            case cst.Attribute(attr=attr) if attr is node:
                continue
            case cst.Arg(keyword=keyword) if keyword is node:
                continue
        yield node


def _is_moved(source: Source, node: cst.BaseExpression) -> bool:
    """Whether a module is only moved to a device there."""
    above = source.parent(node)
    return isinstance(above, cst.Attribute) and above.value is node and above.attr.value in _MOVES


def _assigned_to(source: Source, constructor: cst.Call) -> cst.Name | cst.Attribute | None:
    """The one variable that holds a module, which may be moved before."""
    node: cst.CSTNode = constructor
    above = source.parent(node)
    while isinstance(above, cst.Attribute) and above.attr.value in _MOVES:
        node = source.parent(above) or node
        above = source.parent(node)
    match above:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name() | cst.Attribute() as target)]):
            return target
        case cst.AnnAssign(target=cst.Name() | cst.Attribute() as target):
            return target
    return None


def _as_function(source: Source, traced: TracedLoss, function: str) -> tuple[Edit, ...] | None:
    """The call of a module as a call of the function with the settings that the module was built with."""
    loss = traced.loss
    assert loss.constructor is not None
    target = _assigned_to(source, loss.constructor)
    settings = _settings(source, loss.constructor)
    # A module that comes by a parameter may be another for callers that are not seen.
    if target is None or settings is None or not _is_same_variable(source, target, loss.call.func):
        return None
    prediction = prediction_edits(source, traced)
    if prediction is None:
        return None
    reference = source.fact(Names).reference(function, at=loss.call)
    edits = [*reference.edits, replace(source, loss.call.func, reference.code), *prediction]
    if settings:
        _, end = source.span(loss.call.args[-1].value)
        code = "".join(f", {name}={value}" for name, value in settings.items())
        if loss.call.args[-1].value is loss.prediction:
            return None
        edits.append(source.document.edit(end, end, code))
    return tuple(edits)


def _is_same_variable(source: Source, one: cst.Name | cst.Attribute, other: cst.BaseExpression) -> bool:
    if isinstance(one, cst.Name) and isinstance(other, cst.Name):
        holders = source.fact(Holders)
        return one.value == other.value and holders.scope_of(one) is holders.scope_of(other)
    return dotted_name(one) == dotted_name(other)


def _settings(source: Source, constructor: cst.Call) -> Mapping[str, str] | None:
    """The arguments that a module is built with, where all are written out."""
    found: dict[str, str] = {}
    for name, argument in zip(_PARAMETERS, constructor.args, strict=False):
        value = argument.value
        is_literal = isinstance(value, _LITERALS) or (isinstance(value, cst.Name) and value.value in _WORDS)
        if argument.star or not is_literal:
            return None
        found[argument.keyword.value if argument.keyword is not None else name] = source.code(value)
    return found


def _overlap(edits: Sequence[Edit]) -> bool:
    ordered = sorted(dict.fromkeys(edits), key=lambda edit: (edit.start, edit.end))
    return any(later.start < earlier.end for earlier, later in itertools.pairwise(ordered))
