"""The abstract interpreter: reads the functions of a file and notes every operation with the ranges of its operands.

Each function is read on its own, with parameters that hold what their defaults, annotations and names say; a function
or method of the same file that is called from it is read once more with the arguments of the call, as long as it is
small. Loops are read twice: once to see what they change, and once with what changes widened, which is a fixed point.
What cannot be followed gives a value of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import libcst as cst

from pipeline_lint.facts.ranges import calling, containers, contexts, functions, indexing, loops, operators, statements
from pipeline_lint.facts.ranges import variables as names
from pipeline_lint.facts.ranges.run import Expressions, Run, Statements
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.value import NUMBER, OTHER
from pipeline_lint.source import Source

_EXPRESSIONS: Expressions = {
    cst.Name: names.variable,
    cst.Attribute: names.attribute,
    cst.Integer: operators.literal,
    cst.Float: operators.literal,
    cst.BinaryOperation: operators.binary,
    cst.UnaryOperation: operators.unary,
    cst.Comparison: operators.comparison,
    cst.BooleanOperation: operators.boolean,
    cst.IfExp: operators.conditional,
    cst.NamedExpr: operators.walrus,
    cst.Await: operators.await_expression,
    cst.Call: calling.call,
    cst.Subscript: indexing.subscript,
    cst.Tuple: containers.sequence,
    cst.List: containers.sequence,
    cst.StarredElement: containers.starred,
    cst.ListComp: containers.comprehension,
    cst.GeneratorExp: containers.comprehension,
    cst.SetComp: containers.comprehension,
    cst.DictComp: containers.dict_comprehension,
    cst.Dict: containers.dict_display,
    cst.Lambda: containers.lambda_expression,
}
_COMPOUNDS: Statements = {
    cst.If: statements.if_statement,
    cst.For: loops.for_loop,
    cst.While: loops.while_loop,
    cst.With: contexts.with_statement,
    cst.Try: statements.try_statement,
    cst.TryStar: statements.try_statement,
    cst.Match: statements.match_statement,
    cst.FunctionDef: functions.nested_function,
}


def interpret(source: Source) -> Run:
    """Reads the module and all functions of a file; `recorder.sites` of the result then holds what was met."""
    run = Run(source, _EXPRESSIONS, _COMPOUNDS, statements.small_statement)
    run.functions = {node.name.value: node for node in _module_functions(source.module.body)}
    _read_module(run)
    for function in source.nodes(cst.FunctionDef):
        if source.function_of(function) is None:
            run.owner = source.enclosing(function, cst.ClassDef)
            functions.execute(run, function, functions.entry_state(run, function))
    return run


def _read_module(run: Run) -> None:
    state = State()
    run.block(run.source.module.body, state)
    bound_twice = _bound_more_than_once(run.source)
    run.globals = {
        name: value
        for name, value in state.names.items()
        if name not in bound_twice and "." not in name and (value.kind in (NUMBER, OTHER) or value.is_constant)
    }


def _bound_more_than_once(source: Source) -> set[str]:
    seen: set[str] = set()
    twice: set[str] = set()
    for target in source.nodes(cst.AssignTarget):
        if isinstance(target.target, cst.Name) and source.function_of(target) is None:
            name = target.target.value
            (twice if name in seen else seen).add(name)
    for statement in source.nodes(cst.Global):
        twice.update(item.name.value for item in statement.names)
    return twice


def _module_functions(body: Sequence[cst.CSTNode]) -> Iterator[cst.FunctionDef]:
    for statement in body:
        if isinstance(statement, cst.FunctionDef):
            yield statement
        elif isinstance(statement, cst.If):
            yield from _module_functions(statement.body.body)
