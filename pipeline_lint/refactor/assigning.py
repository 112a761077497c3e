"""What statements bind: targets of assignments, functions, classes, imports."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pipeline_lint.facts import torch_api
from pipeline_lint.facts.code.names import join_path
from pipeline_lint.refactor.calling import Arguments, call, call_function, note_handed, placeholder
from pipeline_lint.refactor.containers import elements_of
from pipeline_lint.refactor.expressions import attribute_of, evaluate, evaluate_key, global_value
from pipeline_lint.refactor.library.modules import hold
from pipeline_lint.refactor.tokens import (
    EMPTY,
    JUST_OPAQUE,
    OPAQUE,
    UNKNOWN,
    Box,
    ClassToken,
    External,
    Instance,
    ModuleToken,
    Value,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation


_REPLACED = frozenset({"forward", "__call__", "__getitem__", "__iter__"})
"""Methods that are called without their name: whoever puts another one in their place calls them, too."""


def assign(evaluation: Evaluation, target: ast.expr, value: Value, holder: ast.AST) -> None:
    """Gives a target its value, in whatever form the target is written."""
    match target:
        case ast.Name(id=name):
            assign_name(evaluation, name, value)
        case ast.Attribute(value=owner, attr=name):
            assign_attribute(evaluation, evaluate(evaluation, owner), name, value, target)
        case ast.Subscript(value=container, slice=key):
            _assign_item(evaluation, target, evaluate(evaluation, container), evaluate_key(evaluation, key), value)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            _unpack(evaluation, target, elements, value, holder)
        case ast.Starred(value=inner):
            assign(evaluation, inner, value, holder)


def assign_name(evaluation: Evaluation, name: str, value: Value) -> None:
    """Binds a name in the scope that is being evaluated."""
    machine, function, owner = evaluation.machine, evaluation.function, evaluation.owner
    if evaluation.variables is None:
        return
    if owner is not None:
        machine.write(("class", owner, name), value)
        evaluation.variables[name] = value
    elif evaluation.in_comprehension and function is None:
        evaluation.variables[name] = value
    elif name in function.nonlocals if function is not None else False:
        evaluation.variables[name] = value
        outer = function.outer if function is not None else None
        while outer is not None:
            machine.write(("local", outer, name), value)
            outer = outer.outer
    elif function is None or name in function.globals:
        machine.write(("global", evaluation.code, name), value)
        if function is None:
            evaluation.variables[name] = value
    else:
        evaluation.variables[name] = value
        if name in function.captured:
            machine.write(("local", function, name), value)


def assign_attribute(evaluation: Evaluation, owners: Value, name: str, value: Value, target: ast.AST) -> None:
    """Gives an attribute its value; `target` is where that is written."""
    machine = evaluation.machine
    for owner in owners:
        if name in _REPLACED and isinstance(owner, Instance | ClassToken):
            receiver = f"what takes the place of its `{name}`"
            machine.uses.escape(owner.info, evaluation.code, target, receiver)
        if isinstance(owner, Instance):
            hold(machine, owner.info, name, value)
            setter = machine.method(owner.info, f"{name}.setter")
            if setter is not None:
                call_function(evaluation, setter, frozenset({owner}), Arguments([value], [placeholder(target)]))
        elif isinstance(owner, ClassToken):
            machine.write(("class", owner.info, name), value)
        elif isinstance(owner, ModuleToken):
            machine.write(("global", owner.code, name), value)
    if not all(isinstance(owner, ClassToken | ModuleToken) for owner in owners):
        kept = frozenset(token for token in value if isinstance(token, Instance | Box))
        machine.write(("any", None, name), kept)
        machine.write(("any", evaluation.code.realm, name), kept)


def _assign_item(evaluation: Evaluation, target: ast.expr, containers: Value, key: object, value: Value) -> None:
    machine = evaluation.machine
    machine.uses.note("subscript", evaluation.code, target, containers)
    for container in containers:
        if isinstance(container, Box):
            machine.write_item(container, key, value)
        elif isinstance(container, Instance):
            method = machine.method(container.info, "__setitem__")
            if method is not None:
                bound = frozenset({machine.function(method, frozenset({container}))})
                call(evaluation, bound, Arguments([JUST_OPAQUE, value], [target, target]), target)
            else:
                note_handed(evaluation, value, target, "a container that the code does not show")
    if any(token is UNKNOWN or token is OPAQUE or isinstance(token, External) for token in containers):
        note_handed(evaluation, value, target, "a container that the code does not show")


def _unpack(evaluation: Evaluation, target: ast.expr, elements: list[ast.expr], value: Value, holder: ast.AST) -> None:
    machine = evaluation.machine
    machine.uses.note("unpack", evaluation.code, target, value)
    star = next((index for index, each in enumerate(elements) if isinstance(each, ast.Starred)), None)
    parts: list[Value] = [EMPTY] * len(elements)
    for token in value:
        if isinstance(token, Instance) and token.info.record is not None and token.info.record.kind == "tuple":
            for index, name in enumerate(token.info.record.names[: len(elements)]):
                parts[index] |= attribute_of(evaluation, token, name)
            continue
        if isinstance(token, Box) and token.kind in ("tuple", "list", "record") and token.num_values:
            num_values = token.num_values
            for index in range(len(elements)):
                if star is not None and index == star:
                    parts[index] |= frozenset({machine.box("list", evaluation.code, elements[index])})
                    continue
                position = index if star is None or index < star else num_values - (len(elements) - index)
                parts[index] |= machine.read_item(token, position, evaluation.unit)
            continue
        items = elements_of(evaluation, frozenset({token}), None)
        for index in range(len(elements)):
            if star == index:
                rest = machine.box("list", evaluation.code, elements[index])
                machine.write_item(rest, None, items)
                parts[index] |= {rest}
            else:
                parts[index] |= items
    for each, part in zip(elements, parts, strict=True):
        assign(evaluation, each, part, holder)


def bind_definition(evaluation: Evaluation, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
    """Binds the name of a function or class to it, or to what its decorators make of it."""
    machine = evaluation.machine
    if isinstance(node, ast.ClassDef):
        value: Value = _class(evaluation, node)
    else:
        info = evaluation.code.functions[node]
        value = frozenset({machine.function(info)})
        _defaults(evaluation, node)
        is_fixture = any(name.rpartition(".")[2] == "fixture" for name in info.decorators)
        if is_fixture and info not in machine.fixtures[node.name]:
            machine.fixtures[node.name].append(info)
    for decorator in reversed(node.decorator_list):
        decorated = call(
            evaluation, evaluate(evaluation, decorator), Arguments([value], [decorator], is_decorated=True), decorator
        )
        # A decorator that the project does not show mostly gives a function that does the same.
        value = value | {UNKNOWN} if UNKNOWN in decorated else (decorated - {OPAQUE}) or value
    assign_name(evaluation, node.name, value)


def _defaults(evaluation: Evaluation, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    function = evaluation.code.functions[node]
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    pairs += [(each, default) for each, default in keywords if default]
    for parameter, default in pairs:
        evaluation.machine.write(("parameter", function, parameter.arg), evaluate(evaluation, default))


def _class(evaluation: Evaluation, node: ast.ClassDef) -> Value:
    info = evaluation.code.classes[node]
    bases: list[object] = []
    for base in node.bases:
        expression = base.value if isinstance(base, ast.Subscript) else base
        bases.extend(evaluate(evaluation, expression))
    evaluation.machine.set_bases(info, bases)
    outer, variables = evaluation.owner, evaluation.variables
    evaluation.owner, evaluation.variables = info, dict(variables or {})
    from pipeline_lint.refactor.evaluation import execute_all

    execute_all(evaluation, node.body)
    evaluation.owner, evaluation.variables = outer, variables
    return frozenset({evaluation.machine.class_token(info)})


def bind_import(evaluation: Evaluation, node: ast.Import | ast.ImportFrom) -> None:
    """Binds what an import brings: files of the project, what they define, or what lies outside."""
    machine, code = evaluation.machine, evaluation.code
    if isinstance(node, ast.Import):
        for item in node.names:
            path = item.name if item.asname else item.name.partition(".")[0]
            found = machine.find_module(path, code)
            machine.find_module(item.name, code)
            value = machine.module(found) if found is not None else machine.external(torch_api.canonical(path))
            _note_import(evaluation, item.name)
            assign_name(evaluation, item.asname or path, frozenset({value}))
        return
    module = "." * node.level + (node.module or "")
    _note_import(evaluation, module)
    for item in node.names:
        if item.name == "*":
            target = machine.find_module(module, code)
            stars = machine.star_imports[code]
            entry: object = target if target is not None else module
            if entry not in stars:
                stars.append(entry)  # type: ignore[arg-type]
            continue
        assign_name(evaluation, item.asname or item.name, imported_value(evaluation, module, item.name))


def imported_value(evaluation: Evaluation, module: str, name: str) -> Value:
    """What `from module import name` gives."""
    machine, code = evaluation.machine, evaluation.code
    target = machine.find_module(module, code)
    submodule = machine.find_module(join_path(module, name), code)
    value: Value = EMPTY
    if target is not None and target is not code:
        value = global_value(evaluation, target, name)
    if submodule is not None and not value:
        _note_import(evaluation, join_path(module, name))
        value |= {machine.module(submodule)}
    if target is None and submodule is None:
        value = frozenset({machine.external(torch_api.canonical(join_path(module, name)))})
    return value


def _note_import(evaluation: Evaluation, module: str) -> None:
    """Notes which files run when this one is imported."""
    is_deferred = evaluation.function is not None
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        found = evaluation.machine.find_module(".".join(parts[:length]) or module, evaluation.code)
        if found is not None and not is_deferred:
            evaluation.machine.importers[found].add(evaluation.code)


__all__ = ["External", "assign", "assign_name", "bind_definition", "bind_import"]
