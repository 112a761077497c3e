"""What an expression can be, by the tokens of its parts."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from pipeline_lint.facts import torch_api
from pipeline_lint.refactor import narrowing
from pipeline_lint.refactor.calling import Arguments, call, call_function
from pipeline_lint.refactor.containers import elements_of, item_of
from pipeline_lint.refactor.library import modules, reflection
from pipeline_lint.refactor.program import FILES, ClassInfo, ModuleCode
from pipeline_lint.refactor.tokens import (
    EMPTY,
    JUST_NOTHING,
    JUST_OPAQUE,
    JUST_UNKNOWN,
    OPAQUE,
    UNKNOWN,
    Box,
    ClassToken,
    External,
    Function,
    Instance,
    Method,
    ModuleToken,
    Super,
    Text,
    Token,
    Value,
    has_outputs,
)

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation

_MOST_OUTSIDE = 8
"""Paths outside of the project that a value is told apart by: `node = node.left if low else node.right` in a loop
doubles them in every round, and they are opaque all the same."""


def evaluate(evaluation: Evaluation, node: ast.expr) -> Value:
    """The value of an expression."""
    handler = _HANDLERS.get(node.__class__)
    return handler(evaluation, node) if handler is not None else JUST_OPAQUE


def evaluate_key(evaluation: Evaluation, node: ast.expr) -> Hashable:
    """The constant that a subscript is written with; None for what is computed."""
    if isinstance(node, ast.Call | ast.Name | ast.Attribute | ast.Subscript):
        evaluation.machine.uses.note("hash", evaluation.code, node, evaluate(evaluation, node))
    elif node.__class__ is not ast.Constant and not isinstance(node, ast.UnaryOp):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                evaluate(evaluation, child)
    return constant_key(evaluation, node)


def constant_key(evaluation: Evaluation, node: ast.expr) -> Hashable:
    """The number or text that a subscript stands for; None where it is not known."""
    match node:
        case ast.Constant(value=int() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
            return -number
        case ast.Name() | ast.Attribute():
            texts = [token.text for token in evaluate(evaluation, node) if isinstance(token, Text)]
            return texts[0] if len(texts) == 1 else None
    return None


def global_value(evaluation: Evaluation, code: ModuleCode, name: str) -> Value:
    """What a module's name can be, what its star imports bring included."""
    machine = evaluation.machine
    value = machine.read(("global", code, name), evaluation.unit)
    if value or code not in machine.star_imports:
        return value
    value = _from_stars(evaluation, code, name, {code})
    if value:
        machine.settle(("global", code, name))
    return value


def _from_stars(evaluation: Evaluation, code: ModuleCode, name: str, seen: set[ModuleCode]) -> Value:
    machine = evaluation.machine
    value: Value = EMPTY
    for target in machine.star_imports.get(code, ()):
        if isinstance(target, str):
            exports = torch_api.star_exports(target)
            if exports is not None and name in exports:
                value |= {machine.external(torch_api.canonical(f"{target}.{name}"))}
        elif target not in seen:
            seen.add(target)
            found = machine.read(("global", target, name), evaluation.unit)
            value |= found or _from_stars(evaluation, target, name, seen)
    return value


def _name(evaluation: Evaluation, node: ast.Name) -> Value:
    name = node.id
    local = evaluation.lookup(name)
    machine, unit = evaluation.machine, evaluation.unit
    if local is not None:
        function = evaluation.function
        if function is None and not evaluation.in_comprehension and evaluation.owner is None:
            if name in evaluation.code.assigned_globals:
                # A function may have given it another value since.
                return local | machine.read(("global", evaluation.code, name), unit)
        elif function is not None and name in function.captured:
            return local | machine.read(("local", function, name), unit)
        return local
    outer = evaluation.function
    while outer is not None:
        outer = outer.outer
        if outer is not None:
            value = machine.read(("local", outer, name), unit)
            if value:
                return value
    value = global_value(evaluation, evaluation.code, name)
    if value:
        return value
    if hasattr(builtins, name):
        return frozenset({machine.external(f"builtins.{name}")})
    if any(isinstance(each, str) for each in machine.star_imports.get(evaluation.code, ())):
        return JUST_OPAQUE
    return machine.read(("global", evaluation.code, name), unit, JUST_UNKNOWN)


def _attribute(evaluation: Evaluation, node: ast.Attribute) -> Value:
    owners = evaluate(evaluation, node.value)
    value: Value = EMPTY
    outside = {owner for owner in owners if isinstance(owner, External)}
    if len(outside) > _MOST_OUTSIDE:
        owners = owners - outside | JUST_OPAQUE
    for owner in owners:
        value |= attribute_of(evaluation, owner, node.attr)
    if has_outputs(owners):
        evaluation.machine.uses.note("attribute", evaluation.code, node, owners, node.attr)
    return value


def attribute_of(evaluation: Evaluation, owner: Token, name: str) -> Value:
    """What `owner.name` can be."""
    machine, unit = evaluation.machine, evaluation.unit
    match owner:
        case Instance(info):
            return _attribute_of_instance(evaluation, owner, info, name)
        case ClassToken(info):
            method = machine.method(info, name)
            if method is not None:
                bound: Value = frozenset({owner}) if "classmethod" in method.decorators else EMPTY
                return frozenset({machine.function(method, bound)})
            return _class_attribute(evaluation, info, name) or JUST_OPAQUE
        case ModuleToken(code) if name == "__dict__":
            return reflection.namespace(evaluation, code, code.tree)
        case ModuleToken(code):
            value = global_value(evaluation, code, name)
            submodule = machine.find_module("." + name, code) if not value else None
            return value | {machine.module(submodule)} if submodule is not None else value
        case External(path):
            full = torch_api.canonical(f"{path}.{name}")
            found = machine.find_module(full, evaluation.code) if "(" not in full else None
            return frozenset({machine.module(found) if found is not None else machine.external(full)})
        case Super(info, bound):
            return _attribute_of_super(evaluation, info, bound, name)
        case Box(kind="record", names=names) if name in names:
            return machine.read_item(owner, name, unit)
        case Box():
            if name == "dataset":
                return machine.read(("dataset", owner), unit)
            return frozenset({_method(evaluation, owner, name)})
        case Function():
            return JUST_OPAQUE
    if owner is UNKNOWN:
        return JUST_UNKNOWN | _attribute_of_any(evaluation, name)
    return JUST_OPAQUE | _attribute_of_any(evaluation, name) if owner is OPAQUE else JUST_OPAQUE


def _attribute_of_any(evaluation: Evaluation, name: str) -> Value:
    """What the attribute of that name is of any object that the code may meet: not of those of other notebooks."""
    machine, unit, realm = evaluation.machine, evaluation.unit, evaluation.code.realm
    if realm is FILES:
        return machine.read(("any", None, name), unit)
    return machine.read(("any", realm, name), unit) | machine.read(("any", FILES, name), unit)


def _method(evaluation: Evaluation, owner: Token, name: str) -> Token:
    return evaluation.machine.token(("method", owner, name), lambda: Method(owner, name))


def _attribute_of_instance(evaluation: Evaluation, owner: Token, info: ClassInfo, name: str) -> Value:
    machine, unit = evaluation.machine, evaluation.unit
    if name == "__class__":
        return frozenset({machine.class_token(info)})
    method = machine.method(info, name)
    if method is not None:
        if any(each.rpartition(".")[2] in ("property", "cached_property") for each in method.decorators):
            return call_function(evaluation, method, frozenset({owner}), None)
        bound: Value = EMPTY if method.is_static else frozenset({owner})
        return frozenset({machine.function(method, bound)})
    is_assigned = any(isinstance(each, ClassInfo) and name in each.attributes for each in machine.lineage(info))
    value: Value = _class_attribute(evaluation, info, name)
    for each in machine.lineage(info):
        if isinstance(each, ClassInfo):
            value |= machine.read(("attribute", each, name), unit)
            if not is_assigned:
                value |= machine.read(("attribute", each, modules.ANY_NAME), unit)
    if value:
        return value
    if name in ("_modules", "__dict__"):
        return _held(evaluation, info, name)
    if name in modules.INHERITED_METHODS and machine.external_bases(info) and not is_assigned:
        return frozenset({_method(evaluation, owner, name)})
    if not is_assigned and name == "datasets":
        box = machine.box("list", info.code, info.node, part="datasets")
        machine.write_item(box, None, frozenset({owner}))
        return frozenset({box})
    if not is_assigned and name in ("module", "_orig_mod", "dataset"):
        # What a wrapper holds, which is followed as the thing itself.
        return frozenset({owner})
    return machine.read(("attribute", info, name), unit, machine.default_attribute(info))


def _held(evaluation: Evaluation, info: ClassInfo, name: str) -> Value:
    """The dict of an object's modules, or of its attributes."""
    machine = evaluation.machine
    box = machine.box("dict", info.code, info.node, part=name)
    machine.write_item(box, None, modules.held_by(evaluation, info, deep=False) | JUST_OPAQUE)
    return frozenset({box})


def _class_attribute(evaluation: Evaluation, info: ClassInfo, name: str) -> Value:
    value: Value = EMPTY
    for each in evaluation.machine.lineage(info):
        if isinstance(each, ClassInfo):
            value |= evaluation.machine.read(("class", each, name), evaluation.unit)
    return value


def _attribute_of_super(evaluation: Evaluation, info: ClassInfo, bound: Value, name: str) -> Value:
    machine = evaluation.machine
    value: Value = EMPTY
    for token in bound:
        start = token.info if isinstance(token, Instance | ClassToken) else info
        method = machine.method(start, name, after=info)
        if method is not None:
            value |= {machine.function(method, frozenset({token}))}
        elif name in modules.INHERITED_METHODS:
            value |= {_method(evaluation, token, name)}
        else:
            value |= {OPAQUE}
    return value


def _display(evaluation: Evaluation, node: ast.Tuple | ast.List) -> Value:
    machine = evaluation.machine
    kind = "tuple" if isinstance(node, ast.Tuple) else "list"
    starred = any(isinstance(each, ast.Starred) for each in node.elts)
    num_values = 0 if starred else len(node.elts)
    box = machine.box(kind, evaluation.code, node, is_literal=num_values > 1, num_values=num_values)
    for index, each in enumerate(node.elts):
        if isinstance(each, ast.Starred):
            value = evaluate(evaluation, each.value)
            machine.uses.note("star", evaluation.code, each, value)
            machine.write_item(box, None, elements_of(evaluation, value, None))
        else:
            machine.write_item(box, None if starred else index, evaluate(evaluation, each))
    return frozenset({box})


def _set(evaluation: Evaluation, node: ast.Set) -> Value:
    box = evaluation.machine.box("list", evaluation.code, node)
    for each in node.elts:
        value = evaluate(evaluation, each)
        evaluation.machine.uses.note("hash", evaluation.code, each, value)
        evaluation.machine.write_item(box, None, value)
    return frozenset({box})


def _dict(evaluation: Evaluation, node: ast.Dict) -> Value:
    machine = evaluation.machine
    is_literal = bool(node.keys) and all(isinstance(key, ast.Constant | ast.Name | ast.Attribute) for key in node.keys)
    box = machine.box("dict", evaluation.code, node, is_literal=is_literal, num_values=len(node.keys))
    for key, item in zip(node.keys, node.values, strict=True):
        value = evaluate(evaluation, item)
        if key is None:
            for token in value:
                if isinstance(token, Box):
                    machine.write_item(box, None, machine.read_items(token, evaluation.unit))
            continue
        machine.write_item(box, evaluate_key(evaluation, key), value)
    return frozenset({box})


def _comprehension(evaluation: Evaluation, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
    from pipeline_lint.refactor.assigning import assign

    machine = evaluation.machine
    outer = evaluation.variables
    evaluation.variables = dict(outer or {})
    owner, evaluation.owner = evaluation.owner, None
    was_inside, evaluation.in_comprehension = evaluation.in_comprehension, True
    for generator in node.generators:
        items = elements_of(evaluation, evaluate(evaluation, generator.iter), generator.iter)
        assign(evaluation, generator.target, items, generator)
        for condition in generator.ifs:
            evaluate(evaluation, condition)
            narrowing.assume(evaluation, condition, holds=True)
    if isinstance(node, ast.DictComp):
        machine.uses.note("hash", evaluation.code, node.key, evaluate(evaluation, node.key))
        value = evaluate(evaluation, node.value)
    else:
        value = evaluate(evaluation, node.elt)
        if isinstance(node, ast.SetComp):
            machine.uses.note("hash", evaluation.code, node.elt, value)
    evaluation.variables, evaluation.owner, evaluation.in_comprehension = outer, owner, was_inside
    kinds = {ast.DictComp: "dict", ast.GeneratorExp: "iterator"}
    box = machine.box(kinds.get(node.__class__, "list"), evaluation.code, node)
    machine.write_item(box, None, value)
    return frozenset({box})


def _call(evaluation: Evaluation, node: ast.Call) -> Value:
    if isinstance(node.func, ast.Name) and node.func.id == "super":
        return _super(evaluation)
    function = evaluate(evaluation, node.func)
    arguments = Arguments.of(evaluation, node)
    return call(evaluation, function, arguments, node)


def _super(evaluation: Evaluation) -> Value:
    function = evaluation.function
    while function is not None and function.owner is None:
        function = function.outer
    if function is None or function.owner is None or not function.parameters:
        return JUST_OPAQUE
    owner = function.owner
    bound = evaluation.lookup(function.parameters[0]) or frozenset({evaluation.machine.instance(owner)})
    bound = frozenset(token for token in bound if isinstance(token, Instance | ClassToken))
    return frozenset({evaluation.machine.token(("super", owner, bound), lambda: Super(owner, bound))})


def _subscript(evaluation: Evaluation, node: ast.Subscript) -> Value:
    value = evaluate(evaluation, node.value)
    key = evaluate_key(evaluation, node.slice)
    evaluation.machine.uses.note("subscript", evaluation.code, node, value)
    return item_of(evaluation, value, key, node)


def _operation(evaluation: Evaluation, node: ast.BinOp) -> Value:
    machine = evaluation.machine
    left, right = evaluate(evaluation, node.left), evaluate(evaluation, node.right)
    if isinstance(node.op, ast.Mod):
        machine.uses.note("operand", evaluation.code, node.right, right)
    if isinstance(node.op, ast.BitOr):
        merged = frozenset(token for token in left | right if isinstance(token, Box) and token.kind == "dict")
        if merged:
            box = machine.box("dict", evaluation.code, node)
            for each in merged:
                machine.write_item(box, None, machine.read_items(each, evaluation.unit))
            return frozenset({box})
    if isinstance(node.op, ast.Add | ast.Mult):
        machine.uses.note("operand", evaluation.code, node.left, left)
        machine.uses.note("operand", evaluation.code, node.right, right)
        boxes = [token for token in left | right if isinstance(token, Box)]
        instances = frozenset(token for token in left | right if isinstance(token, Instance))
        if boxes:
            box = machine.box(boxes[0].kind, evaluation.code, node)
            for each in boxes:
                machine.write_item(box, None, machine.read_items(each, evaluation.unit))
            unknown = (left | right) & JUST_UNKNOWN
            return frozenset({box}) | unknown
        if instances:
            # Datasets that are added up.
            return instances if instances == left | right else instances | JUST_OPAQUE
    return JUST_OPAQUE


def _condition(evaluation: Evaluation, node: ast.IfExp) -> Value:
    evaluate(evaluation, node.test)
    before = dict(evaluation.variables or {})
    narrowing.assume(evaluation, node.test, holds=True)
    value = evaluate(evaluation, node.body)
    evaluation.variables = dict(before)
    narrowing.assume(evaluation, node.test, holds=False)
    value |= evaluate(evaluation, node.orelse)
    evaluation.variables = before
    return value


def _boolean(evaluation: Evaluation, node: ast.BoolOp) -> Value:
    value: Value = EMPTY
    before = dict(evaluation.variables or {})
    for each in node.values:
        value |= evaluate(evaluation, each)
        narrowing.assume(evaluation, each, holds=isinstance(node.op, ast.And))
    evaluation.variables = before
    return value


def _compare(evaluation: Evaluation, node: ast.Compare) -> Value:
    operators = node.ops
    for index, each in enumerate([node.left, *node.comparators]):
        value = evaluate(evaluation, each)
        near = operators[max(index - 1, 0) : index + 1]
        if not all(isinstance(operator, ast.Is | ast.IsNot) for operator in near):
            is_sought = index == 0 and isinstance(operators[0], ast.In | ast.NotIn)
            evaluation.machine.uses.note("sought" if is_sought else "operand", evaluation.code, each, value)
            _note_equals(evaluation, each, value)
    return JUST_NOTHING


def _note_equals(evaluation: Evaluation, node: ast.expr, value: Value) -> None:
    """Notes a list of outputs that is compared: with tuples, perhaps."""
    for token in value:
        if isinstance(token, Box) and not (token.kind == "dict" and token.is_literal):
            items = evaluation.machine.read_items(token, evaluation.unit)
            evaluation.machine.uses.note("equals", evaluation.code, node, items)


def _walrus(evaluation: Evaluation, node: ast.NamedExpr) -> Value:
    from pipeline_lint.refactor.assigning import assign

    value = evaluate(evaluation, node.value)
    assign(evaluation, node.target, value, node)
    return value


def _lambda(evaluation: Evaluation, node: ast.Lambda) -> Value:
    info = evaluation.code.functions.get(node)
    return frozenset({evaluation.machine.function(info)}) if info is not None else JUST_OPAQUE


def _yield(evaluation: Evaluation, node: ast.Yield | ast.YieldFrom) -> Value:
    function, machine = evaluation.function, evaluation.machine
    if function is not None and node.value is not None:
        value = evaluate(evaluation, node.value)
        if isinstance(node, ast.YieldFrom):
            value = elements_of(evaluation, value, node.value)
        box = machine.box("iterator", function.code, function.node)
        machine.write_item(box, None, value)
    return JUST_UNKNOWN


def _inner(evaluation: Evaluation, node: ast.Await | ast.Starred) -> Value:
    return evaluate(evaluation, node.value)


def _parts(evaluation: Evaluation, node: ast.expr) -> Value:
    for child in ast.walk(node):
        if isinstance(child, ast.FormattedValue):
            evaluate(evaluation, child.value)
    return JUST_OPAQUE


def _unary(evaluation: Evaluation, node: ast.UnaryOp) -> Value:
    evaluate(evaluation, node.operand)
    return JUST_OPAQUE


def _constant(evaluation: Evaluation, node: ast.Constant) -> Value:
    text = node.value
    if isinstance(text, str):
        return frozenset({evaluation.machine.token(("text", text), lambda: Text(text))})
    return JUST_OPAQUE if isinstance(text, bytes) else JUST_NOTHING


_HANDLERS: dict[type[ast.expr], Callable[..., Value]] = {
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Tuple: _display,
    ast.List: _display,
    ast.Set: _set,
    ast.Dict: _dict,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.DictComp: _comprehension,
    ast.Call: _call,
    ast.Subscript: _subscript,
    ast.BinOp: _operation,
    ast.IfExp: _condition,
    ast.BoolOp: _boolean,
    ast.Compare: _compare,
    ast.NamedExpr: _walrus,
    ast.Lambda: _lambda,
    ast.Yield: _yield,
    ast.YieldFrom: _yield,
    ast.Await: _inner,
    ast.Starred: _inner,
    ast.JoinedStr: _parts,
    ast.UnaryOp: _unary,
    ast.Constant: _constant,
}
