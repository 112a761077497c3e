"""Builtins and functions that go over items: lists of them, their order, pairs, sums."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pipeline_lint.refactor import calling
from pipeline_lint.refactor.calling import Arguments
from pipeline_lint.refactor.containers import elements_of
from pipeline_lint.refactor.library import Handler
from pipeline_lint.refactor.tokens import (
    EMPTY,
    JUST_NOTHING,
    JUST_OPAQUE,
    NOTHING,
    Box,
    Instance,
    Value,
    has_outputs,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation


def iterator(evaluation: Evaluation, node: ast.AST, items: Value, part: str = "") -> Value:
    """An iterator over these."""
    box = evaluation.machine.box("iterator", evaluation.code, node, part=part)
    evaluation.machine.write_item(box, None, items)
    return frozenset({box})


def _collected(kind: str) -> Handler:
    """`list(x)`, `tuple(x)`: a container of the items."""

    def handle(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
        if not arguments.values:
            return frozenset({evaluation.machine.box(kind, evaluation.code, node)})
        items = elements_of(evaluation, arguments.values[0], arguments.nodes[0])
        box = evaluation.machine.box(kind, evaluation.code, node)
        evaluation.machine.write_item(box, None, items)
        return frozenset({box})

    return handle


def compare(evaluation: Evaluation, items: Value, arguments: Arguments, node: ast.AST) -> None:
    """Puts items into an order: by what the function `key` makes of each, or by the items themselves."""
    key = frozenset(token for token in arguments.keywords.get("key", EMPTY) if token is not NOTHING)
    if key:
        calling.call(evaluation, key, calling.Arguments([items], [calling.placeholder(node)]), node)
    else:
        evaluation.machine.uses.note("compare", evaluation.code, node, items)


def _sorted(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    items = elements_of(evaluation, arguments.values[0], arguments.nodes[0]) if arguments.values else arguments.rest
    compare(evaluation, items, arguments, node)
    box = evaluation.machine.box("list", evaluation.code, node)
    evaluation.machine.write_item(box, None, items)
    return frozenset({box})


def _extreme(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """`max(x)` gives an item of its only argument, `max(a, b)` one of several."""
    if len(arguments.values) == 1:
        items = elements_of(evaluation, arguments.values[0], arguments.nodes[0])
    else:
        items = EMPTY.union(*arguments.values)
    items |= arguments.rest
    compare(evaluation, items, arguments, node)
    return items | arguments.keywords.get("default", EMPTY) or JUST_OPAQUE


def _set(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    items = elements_of(evaluation, arguments.values[0], arguments.nodes[0]) if arguments.values else EMPTY
    evaluation.machine.uses.note("hash", evaluation.code, node, items)
    box = evaluation.machine.box("list", evaluation.code, node)
    evaluation.machine.write_item(box, None, items)
    return frozenset({box})


def _chained(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """`chain(a, b)`: the items of all arguments."""
    pairs = zip(arguments.values, arguments.nodes, strict=True)
    items = EMPTY.union(*(elements_of(evaluation, value, argument) for value, argument in pairs))
    return iterator(evaluation, node, items | elements_of(evaluation, arguments.rest, None))


def _iterated(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """`iter(x)`, `reversed(x)`, `tqdm(x)`: the same items."""
    items = EMPTY
    if arguments.all:
        value, argument = arguments.all[0]
        items = elements_of(evaluation, value, argument)
    return iterator(evaluation, node, items)


def _next(evaluation: Evaluation, arguments: Arguments, _: ast.AST) -> Value:
    value = arguments.values[0] if arguments.values else EMPTY
    return elements_of(evaluation, value, None) | arguments.get(1, "default")


def _enumerate(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    machine = evaluation.machine
    items = elements_of(evaluation, arguments.values[0], arguments.nodes[0]) if arguments.values else arguments.rest
    pair = machine.box("tuple", evaluation.code, node, part="pair", num_values=2)
    machine.write_item(pair, 0, JUST_NOTHING)
    machine.write_item(pair, 1, items)
    return iterator(evaluation, node, frozenset({pair}))


def _zip(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    machine = evaluation.machine
    if arguments.rest:
        # `zip(*outputs)` turns rows into columns: each item is a tuple of what the rows hold.
        if has_outputs(arguments.rest):
            machine.uses.note("columns", evaluation.code, node, arguments.rest)
        column = machine.box("tuple", evaluation.code, node, part="column")
        machine.write_item(column, None, elements_of(evaluation, arguments.rest, None))
        return iterator(evaluation, node, frozenset({column}))
    row = machine.box("tuple", evaluation.code, node, part="row", num_values=len(arguments.values))
    for index, (value, argument) in enumerate(zip(arguments.values, arguments.nodes, strict=True)):
        machine.write_item(row, index, elements_of(evaluation, value, argument))
    return iterator(evaluation, node, frozenset({row}))


def _map(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    items = [
        elements_of(evaluation, value, argument)
        for value, argument in zip(arguments.values[1:], arguments.nodes[1:], strict=True)
    ]
    result = calling.call(
        evaluation,
        arguments.get(0, "function"),
        calling.Arguments(items, [calling.placeholder(node)] * len(items)),
        node,
    )
    return iterator(evaluation, node, result)


def _filter(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    if len(arguments.values) < 2:
        return JUST_OPAQUE
    items = elements_of(evaluation, arguments.values[1], arguments.nodes[1])
    calling.call(evaluation, arguments.values[0], calling.Arguments([items], [calling.placeholder(node)]), node)
    return iterator(evaluation, node, items)


def _measured(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    if arguments.values:
        evaluation.machine.uses.note("len", evaluation.code, node, arguments.values[0])
    return JUST_OPAQUE


def _folded(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    """`sum(x)`, `any(x)`: takes the items of its first argument together."""
    if arguments.values:
        items = elements_of(evaluation, arguments.values[0], arguments.nodes[0])
        evaluation.machine.uses.note("sum", evaluation.code, node, items)
        return JUST_OPAQUE | frozenset(token for token in items if isinstance(token, Box | Instance))
    return JUST_OPAQUE


def harmless(_evaluation: Evaluation, _arguments: Arguments, _: ast.AST) -> Value:
    """Does nothing with what it is given, and gives nothing of ours."""
    return JUST_OPAQUE


def _dict(evaluation: Evaluation, arguments: Arguments, node: ast.AST) -> Value:
    machine = evaluation.machine
    num_names = len(arguments.keywords) if not arguments.values and not arguments.rest else 0
    box = machine.box("dict", evaluation.code, node, num_values=num_names)
    for name, value in arguments.keywords.items():
        machine.write_item(box, name, value)
    for value in arguments.values:
        for token in value:
            if isinstance(token, Box) and token.kind == "dict":
                machine.write_item(box, None, machine.read_items(token, evaluation.unit))
            elif isinstance(token, Box):
                pairs = machine.read_items(token, evaluation.unit)
                machine.uses.note("pairs", evaluation.code, node, pairs)
                machine.write_item(box, None, elements_of(evaluation, pairs, None))
            elif isinstance(token, Instance):
                machine.uses.note("pairs", evaluation.code, node, elements_of(evaluation, frozenset({token}), None))
    return frozenset({box})


HANDLERS: dict[str, Handler] = {
    "builtins.list": _collected("list"),
    "builtins.tuple": _collected("tuple"),
    "builtins.sorted": _sorted,
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "builtins.dict": _dict,
    "builtins.iter": _iterated,
    "builtins.reversed": _iterated,
    "builtins.next": _next,
    "builtins.enumerate": _enumerate,
    "builtins.zip": _zip,
    "builtins.map": _map,
    "builtins.filter": _filter,
    "builtins.sum": _folded,
    "builtins.max": _extreme,
    "builtins.min": _extreme,
    "builtins.any": _iterated,
    "builtins.all": _iterated,
    "builtins.len": _measured,
    "collections.OrderedDict": _dict,
    "itertools.chain": _chained,
    "itertools.cycle": _iterated,
    "itertools.islice": _iterated,
}
BY_LAST_NAME: dict[str, Handler] = {"tqdm": _iterated, "track": _iterated, "trange": harmless}
"""Wrappers of loops that many packages have."""
