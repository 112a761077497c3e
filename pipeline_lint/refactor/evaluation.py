"""The statements of one function or module, in order, with what each local variable can be.

`None` for the variables means that a point is not reached. Branches are joined, loops repeated until nothing grows.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline_lint.refactor import narrowing
from pipeline_lint.refactor.assigning import assign, bind_definition, bind_import
from pipeline_lint.refactor.calling import result_of
from pipeline_lint.refactor.containers import elements_of
from pipeline_lint.refactor.expressions import evaluate
from pipeline_lint.refactor.program import FunctionInfo, ModuleCode
from pipeline_lint.refactor.tokens import EMPTY, JUST_OPAQUE, JUST_UNKNOWN, Box, Value

if TYPE_CHECKING:
    from pipeline_lint.refactor.machine import Machine

Variables = dict[str, Value]
_MOST_ROUNDS = 12


@dataclass(slots=True)
class Evaluation:
    """One function or module while it is evaluated."""

    machine: Machine
    unit: FunctionInfo | ModuleCode
    code: ModuleCode
    variables: Variables | None
    owner: object = None
    """The class whose body is being read."""
    in_comprehension: bool = False
    breaks: list[Variables] = field(default_factory=list)
    continues: list[Variables] = field(default_factory=list)

    @property
    def function(self) -> FunctionInfo | None:
        return self.unit if isinstance(self.unit, FunctionInfo) else None

    def lookup(self, name: str) -> Value | None:
        return self.variables.get(name) if self.variables is not None else EMPTY


def evaluate_unit(machine: Machine, unit: FunctionInfo | ModuleCode) -> None:
    """Evaluates a function with what its parameters hold by now, or a module."""
    if isinstance(unit, ModuleCode):
        execute_all(Evaluation(machine, unit, unit, {}), unit.tree.body)
        return
    evaluation = Evaluation(machine, unit, unit.code, _parameters(machine, unit))
    if isinstance(unit.node, ast.Lambda):
        machine.write(("return", unit), evaluate(evaluation, unit.node.body))
        return
    execute_all(evaluation, unit.node.body)


def _parameters(machine: Machine, function: FunctionInfo) -> Variables:
    arguments = function.node.args
    variables = {}
    positional = [*arguments.posonlyargs, *arguments.args]
    for each in [*positional, *arguments.kwonlyargs]:
        value = machine.read(("parameter", function, each.arg), function)
        for fixture in machine.fixtures_for(function, each.arg):
            value |= result_of(machine, fixture, function)
        variables[each.arg] = value
    for extra, kind in ((arguments.vararg, "tuple"), (arguments.kwarg, "dict")):
        if extra is not None:
            box = machine.box(kind, function.code, extra)
            machine.write_item(box, None, machine.read(("parameter", function, extra.arg), function))
            variables[extra.arg] = frozenset({box})
    for name, value in variables.items():
        if name in function.captured:
            machine.write(("local", function, name), value)
    return variables


def execute_all(evaluation: Evaluation, statements: Sequence[ast.stmt]) -> None:
    """Executes statements in turn, up to one that ends the block."""
    for statement in statements:
        if evaluation.variables is None:
            return
        handler = _HANDLERS.get(statement.__class__)
        if handler is not None:
            handler(evaluation, statement)


def joined(one: Variables | None, other: Variables | None) -> Variables | None:
    """What variables can be where two paths meet."""
    if one is None or other is None:
        return other if one is None else one
    result = dict(one)
    for name, value in other.items():
        known = result.get(name)
        result[name] = value if known is None else known | value
    return result


def _copy(variables: Variables | None) -> Variables | None:
    return None if variables is None else dict(variables)


def _assign(evaluation: Evaluation, node: ast.Assign) -> None:
    value = evaluate(evaluation, node.value)
    for target in node.targets:
        assign(evaluation, target, value, node)


def _annotated(evaluation: Evaluation, node: ast.AnnAssign) -> None:
    if node.value is not None:
        assign(evaluation, node.target, evaluate(evaluation, node.value), node)


def _augmented(evaluation: Evaluation, node: ast.AugAssign) -> None:
    value = evaluate(evaluation, node.value)
    machine = evaluation.machine
    old = evaluate(evaluation, node.target) if isinstance(node.target, ast.Name | ast.Attribute) else EMPTY
    machine.uses.note("iterate", evaluation.code, node.value, value)
    if isinstance(node.op, ast.BitOr):
        dicts = [token for token in old if isinstance(token, Box) and token.kind == "dict"]
        for box in dicts:
            for token in value:
                if isinstance(token, Box):
                    machine.write_item(box, None, machine.read_items(token, evaluation.unit))
        if dicts:
            return
    lists = [token for token in old if isinstance(token, Box) and token.kind == "list"]
    if lists:
        items = elements_of(evaluation, value, node.value)
        for box in lists:
            machine.write_item(box, None, items)
        return
    if isinstance(node.target, ast.Name | ast.Attribute):
        machine.uses.note("operand", evaluation.code, node.target, old)
        assign(evaluation, node.target, JUST_OPAQUE, node)


def _return(evaluation: Evaluation, node: ast.Return) -> None:
    function = evaluation.function
    if function is not None and node.value is not None:
        value = evaluate(evaluation, node.value)
        if not function.is_generator:
            evaluation.machine.write(("return", function), value)
            evaluation.machine.uses.note("return", evaluation.code, function.node, value)
    evaluation.variables = None


def _raise(evaluation: Evaluation, node: ast.Raise) -> None:
    for each in (node.exc, node.cause):
        if each is not None:
            evaluate(evaluation, each)
    evaluation.variables = None


def _if(evaluation: Evaluation, node: ast.If) -> None:
    evaluate(evaluation, node.test)
    before = _copy(evaluation.variables)
    narrowing.assume(evaluation, node.test, holds=True)
    execute_all(evaluation, node.body)
    after = evaluation.variables
    evaluation.variables = before
    narrowing.assume(evaluation, node.test, holds=False)
    execute_all(evaluation, node.orelse)
    evaluation.variables = joined(after, evaluation.variables)


def _loop(evaluation: Evaluation, body: Callable[[], None], orelse: Sequence[ast.stmt]) -> None:
    """Runs a body until the variables before it grow no more; then what follows the loop."""
    outer = evaluation.breaks, evaluation.continues
    evaluation.breaks, evaluation.continues = [], []
    for _ in range(_MOST_ROUNDS):
        before = _copy(evaluation.variables)
        body()
        after = evaluation.variables
        for each in evaluation.continues:
            after = joined(after, each)
        evaluation.continues = []
        evaluation.variables = joined(_copy(before), after)
        if evaluation.variables == before:
            break
    execute_all(evaluation, orelse)
    for each in evaluation.breaks:
        evaluation.variables = joined(evaluation.variables, each)
    evaluation.breaks, evaluation.continues = outer


def _for(evaluation: Evaluation, node: ast.For | ast.AsyncFor) -> None:
    iterable = evaluate(evaluation, node.iter)
    items = elements_of(evaluation, iterable, node.iter)

    def body() -> None:
        assign(evaluation, node.target, items, node)
        execute_all(evaluation, node.body)

    _loop(evaluation, body, node.orelse)


def _while(evaluation: Evaluation, node: ast.While) -> None:
    def body() -> None:
        evaluate(evaluation, node.test)
        narrowing.assume(evaluation, node.test, holds=True)
        execute_all(evaluation, node.body)

    is_endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
    _loop(evaluation, body, [ast.Raise(None, None)] if is_endless else node.orelse)


def _jump(evaluation: Evaluation, node: ast.Break | ast.Continue) -> None:
    assert evaluation.variables is not None
    jumps = evaluation.breaks if isinstance(node, ast.Break) else evaluation.continues
    jumps.append(evaluation.variables)
    evaluation.variables = None


def _with(evaluation: Evaluation, node: ast.With | ast.AsyncWith) -> None:
    for item in node.items:
        value = evaluate(evaluation, item.context_expr)
        if item.optional_vars is not None:
            assign(evaluation, item.optional_vars, value, node)
    execute_all(evaluation, node.body)


def _try(evaluation: Evaluation, node: ast.Try) -> None:
    before = _copy(evaluation.variables)
    execute_all(evaluation, node.body)
    raised = joined(_copy(before), _copy(evaluation.variables))
    execute_all(evaluation, node.orelse)
    after = evaluation.variables
    for handler in node.handlers:
        evaluation.variables = _copy(raised)
        if handler.name is not None and evaluation.variables is not None:
            evaluation.variables[handler.name] = JUST_OPAQUE
        execute_all(evaluation, handler.body)
        after = joined(after, evaluation.variables)
    is_left = after is None
    evaluation.variables = _copy(raised) if is_left else after
    execute_all(evaluation, node.finalbody)
    if is_left:
        evaluation.variables = None


def _expression(evaluation: Evaluation, node: ast.Expr) -> None:
    evaluate(evaluation, node.value)


def _assert(evaluation: Evaluation, node: ast.Assert) -> None:
    evaluate(evaluation, node.test)
    if node.msg is not None:
        evaluate(evaluation, node.msg)
    narrowing.assume(evaluation, node.test, holds=True)


def _delete(evaluation: Evaluation, node: ast.Delete) -> None:
    for target in node.targets:
        if isinstance(target, ast.Subscript):
            evaluate(evaluation, target.value)


def _match(evaluation: Evaluation, node: ast.Match) -> None:
    subject = evaluate(evaluation, node.subject)
    evaluation.machine.uses.note("match", evaluation.code, node.subject, subject)
    before, after = _copy(evaluation.variables), None
    for case in node.cases:
        evaluation.variables = _copy(before)
        for each in ast.walk(case.pattern):
            name = getattr(each, "name", None)
            if isinstance(name, str) and evaluation.variables is not None:
                evaluation.variables[name] = JUST_UNKNOWN
        execute_all(evaluation, case.body)
        after = joined(after, evaluation.variables)
    evaluation.variables = joined(after, before)


_HANDLERS: dict[type[ast.stmt], Callable[..., None]] = {
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Return: _return,
    ast.Raise: _raise,
    ast.If: _if,
    ast.For: _for,
    ast.AsyncFor: _for,
    ast.While: _while,
    ast.Break: _jump,
    ast.Continue: _jump,
    ast.With: _with,
    ast.AsyncWith: _with,
    ast.Try: _try,
    ast.Expr: _expression,
    ast.Assert: _assert,
    ast.Delete: _delete,
    ast.Match: _match,
    ast.FunctionDef: bind_definition,
    ast.AsyncFunctionDef: bind_definition,
    ast.ClassDef: bind_definition,
    ast.Import: bind_import,
    ast.ImportFrom: bind_import,
}
if hasattr(ast, "TryStar"):
    _HANDLERS[ast.TryStar] = _try
