"""Functions that are called elsewhere with arguments that are told here: in other processes, threads and pools.

`multiprocessing.Process(target=train, args=(rank, model))` calls `train(rank, model)`; torch's launchers give the
number of the process first. A model that gets there is a copy of the same class, so its outputs are the same.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from pipeline_lint.refactor import calling
from pipeline_lint.refactor.containers import elements_of
from pipeline_lint.refactor.library import Handler
from pipeline_lint.refactor.tokens import EMPTY, JUST_NOTHING, JUST_OPAQUE, Value

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation


def _started(evaluation: Evaluation, arguments: calling.Arguments, node: ast.AST) -> Value:
    """`Process(target=f, args=(...), kwargs={...})`, `Thread(...)`."""
    given = calling.Arguments([], [])
    _take_apart(evaluation, given, arguments.get(3, "args"), arguments.get(4, "kwargs"), node)
    calling.call(evaluation, arguments.get(1, "target"), given, node)
    return JUST_OPAQUE


def _spawned(evaluation: Evaluation, arguments: calling.Arguments, node: ast.AST) -> Value:
    """`spawn(f, args=(...))`, `start_processes(f, args=(...))`: the process's number comes first."""
    given = calling.Arguments([JUST_NOTHING], [calling.placeholder(node)])
    _take_apart(evaluation, given, arguments.get(1, "args"), EMPTY, node)
    calling.call(evaluation, arguments.get(0, "fn"), given, node)
    return JUST_OPAQUE


def _launched(evaluation: Evaluation, arguments: calling.Arguments, node: ast.AST) -> Value:
    """Accelerate's `notebook_launcher(f, args=(...))` and `debug_launcher`."""
    given = calling.Arguments([], [])
    _take_apart(evaluation, given, arguments.get(1, "args"), EMPTY, node)
    calling.call(evaluation, arguments.get(0, "function"), given, node)
    return JUST_OPAQUE


def _submitted(evaluation: Evaluation, arguments: calling.Arguments, node: ast.AST) -> Value:
    """`executor.submit(f, a, b=c)`: what a future gives in the end is not followed."""
    keywords = {name: value for name, value in arguments.keywords.items() if name != "fn"}
    nodes = {name: value for name, value in arguments.keyword_nodes.items() if name != "fn"}
    given = calling.Arguments(arguments.values[1:], arguments.nodes[1:], keywords, nodes, arguments.rest)
    result = calling.call(evaluation, arguments.get(0, "fn"), given, node)
    argument = arguments.nodes[0] if arguments.nodes else calling.placeholder(node)
    calling.note_handed(evaluation, result, argument, "`submit`")
    return JUST_OPAQUE


def _mapped(evaluation: Evaluation, arguments: calling.Arguments, node: ast.AST) -> Value:
    """`pool.map(f, items)`, `executor.map(f, items, more)`: a call for each item, and the results in order."""
    items = [
        elements_of(evaluation, value, argument)
        for value, argument in zip(arguments.values[1:], arguments.nodes[1:], strict=True)
    ]
    given = calling.Arguments(items, list(arguments.nodes[1:]))
    result = calling.call(evaluation, arguments.get(0, "func") | arguments.keywords.get("fn", EMPTY), given, node)
    box = evaluation.machine.box("list", evaluation.code, node)
    evaluation.machine.write_item(box, None, result)
    return frozenset({box})


def _take_apart(evaluation: Evaluation, given: calling.Arguments, args: Value, kwargs: Value, node: ast.AST) -> None:
    if args:
        given.add_items(evaluation, calling.placeholder(node), args)
    if kwargs:
        given.add_mapping(evaluation, kwargs, calling.placeholder(node))


_POOL = r"(Pool|ThreadPool|PoolExecutor|ProcessPoolExecutor|ThreadPoolExecutor)\(\)"
BY_PATTERN: tuple[tuple[re.Pattern[str], Handler], ...] = (
    (re.compile(r"^(torch\.)?(multiprocessing|threading)\.(\w+\.|\w+\(\)\.)*(Process|Thread)$"), _started),
    (re.compile(r"^torch\.multiprocessing\.(\w+\.)*(spawn|start_processes)$"), _spawned),
    (re.compile(r"^accelerate\.(\w+\.)*(notebook_launcher|debug_launcher)$"), _launched),
    (re.compile(rf"^concurrent\.futures\.(\w+\.)*{_POOL}\.submit$"), _submitted),
    (re.compile(rf"^(concurrent\.futures|(torch\.)?multiprocessing)\.(\w+\.|\w+\(\)\.)*{_POOL}\.(map|imap)$"), _mapped),
)
