"""What containers give: on iteration, by index, by their methods."""

from __future__ import annotations

import ast
from collections.abc import Hashable
from typing import TYPE_CHECKING

from pipeline_lint.refactor.program import FunctionInfo
from pipeline_lint.refactor.tokens import (
    EMPTY,
    JUST_NOTHING,
    JUST_OPAQUE,
    NOTHING,
    OPAQUE,
    UNKNOWN,
    Box,
    External,
    Instance,
    Value,
    is_output,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation

_ADDING = {"append": 0, "add": 0, "appendleft": 0, "insert": 1}
_GIVING_ITEMS = frozenset({"pop", "popleft", "__getitem__", "get", "setdefault", "popitem", "__next__"})


def elements_of(evaluation: Evaluation, value: Value, node: ast.expr | None) -> Value:
    """What iterating over a value gives; `node` is the expression that gives the value, for the consumers."""
    machine = evaluation.machine
    if node is not None:
        machine.uses.note("iterate", evaluation.code, node, value)
    items: Value = EMPTY
    for token in value:
        if isinstance(token, Box):
            items |= JUST_OPAQUE if token.kind == "dict" else machine.read_items(token, evaluation.unit)
        elif isinstance(token, Instance):
            items |= elements_of_instance(evaluation, token)
        elif token is UNKNOWN:
            items |= {UNKNOWN}
        elif token is not NOTHING:
            items |= {OPAQUE}
    return items


def elements_of_instance(evaluation: Evaluation, token: Instance) -> Value:
    """What iterating over an object gives: by `__iter__`, else by `__getitem__`."""
    from pipeline_lint.refactor.calling import call_function

    machine = evaluation.machine
    method = machine.method(token.info, "__iter__")
    if method is not None:
        result = call_function(evaluation, method, frozenset({token}), None)
        return elements_of(evaluation, frozenset(each for each in result if not isinstance(each, Instance)), None) | (
            _next_of(evaluation, result)
        )
    method = machine.method(token.info, "__getitem__")
    if method is not None:
        return call_function(evaluation, method, frozenset({token}), None)
    from pipeline_lint.refactor.library.modules import chain_of

    return elements_of(evaluation, chain_of(evaluation, token.info), None) | machine.default_attribute(token.info)


def _next_of(evaluation: Evaluation, iterators: Value) -> Value:
    from pipeline_lint.refactor.calling import call_function

    items: Value = EMPTY
    for token in iterators:
        if isinstance(token, Instance):
            method: FunctionInfo | None = evaluation.machine.method(token.info, "__next__")
            if method is not None:
                items |= call_function(evaluation, method, frozenset({token}), None)
    return items


def item_of(evaluation: Evaluation, value: Value, key: Hashable, node: ast.Subscript) -> Value:
    """What `value[key]` gives; key None where it is computed."""
    from pipeline_lint.refactor.calling import Arguments, call_function

    machine = evaluation.machine
    items: Value = EMPTY
    for token in value:
        if isinstance(token, Box):
            if isinstance(node.slice, ast.Slice):
                items |= _slice(evaluation, token, node)
            elif key is None or token.kind in ("loader", "iterator"):
                items |= machine.read_items(token, evaluation.unit)
            else:
                if isinstance(key, int) and key < 0 and token.num_values:
                    key += token.num_values
                items |= machine.read_item(token, key, evaluation.unit)
        elif isinstance(token, Instance):
            method = machine.method(token.info, "__getitem__")
            if method is not None:
                arguments = Arguments([JUST_OPAQUE], [node.slice])
                items |= call_function(evaluation, method, frozenset({token}), arguments)
            else:
                items |= elements_of_instance(evaluation, token)
        elif token is UNKNOWN:
            items |= {UNKNOWN}
        elif token is not NOTHING:
            items |= {OPAQUE}
    return items


def _slice(evaluation: Evaluation, token: Box, node: ast.Subscript) -> Value:
    """A part of a container: of outputs a container of its own, of all else taken for the whole."""
    if not is_output(token):
        return frozenset({token})
    machine = evaluation.machine
    box = machine.box(token.kind, evaluation.code, node)
    machine.write_item(box, None, machine.read_items(token, evaluation.unit))
    return frozenset({box})


def call_method(evaluation: Evaluation, box: Box, name: str, arguments: list[Value], node: ast.AST) -> Value:
    """What a method of a list, tuple, dict or iterator does and gives."""
    machine, unit = evaluation.machine, evaluation.unit
    if is_output(box):
        machine.uses.note(f"method {name}", evaluation.code, node, frozenset({box}))
    if name in ("add", "index", "count", "remove") and arguments:
        machine.uses.note("hash" if name == "add" else "equals", evaluation.code, node, arguments[0])
        if name != "add":
            machine.uses.note("equals", evaluation.code, node, machine.read_items(box, unit))
    if name in _ADDING and len(arguments) > _ADDING[name]:
        machine.write_item(box, None, arguments[_ADDING[name]])
        return JUST_NOTHING
    if name in ("extend", "extendleft", "__iadd__") and arguments:
        given = node.args[0] if isinstance(node, ast.Call) and node.args else None
        machine.write_item(box, None, elements_of(evaluation, arguments[0], given))
        return JUST_NOTHING
    if name == "update":
        for token in arguments[0] if arguments else EMPTY:
            if isinstance(token, Box):
                machine.write_item(box, None, machine.read_items(token, unit))
        return JUST_NOTHING
    if name in ("get", "setdefault", "pop", "__getitem__", "__contains__") and arguments:
        machine.uses.note("hash", evaluation.code, node, arguments[0])
    if name == "collate_fn":
        return machine.read_items(box, unit)
    if name in ("_replace", "_asdict"):
        return frozenset({box})
    if name in _GIVING_ITEMS:
        if name == "setdefault" and len(arguments) > 1:
            machine.write_item(box, None, arguments[1])
        default = arguments[1] if name == "get" and len(arguments) > 1 else EMPTY
        return machine.read_items(box, unit) | default
    if name in ("copy", "__iter__", "to", "cuda", "train", "eval", "cpu", "half", "float"):
        return frozenset({box})
    if name == "items":
        pair = machine.box("tuple", evaluation.code, node, part="pair", num_values=2)
        machine.write_item(pair, 0, JUST_OPAQUE)
        machine.write_item(pair, 1, machine.read_items(box, unit))
        return _iterator(evaluation, node, frozenset({pair}))
    if name == "values":
        return _iterator(evaluation, node, machine.read_items(box, unit))
    return JUST_OPAQUE


def _iterator(evaluation: Evaluation, node: ast.AST, items: Value) -> Value:
    box = evaluation.machine.box("iterator", evaluation.code, node)
    evaluation.machine.write_item(box, None, items)
    return frozenset({box})


__all__ = ["External", "call_method", "elements_of", "item_of"]
