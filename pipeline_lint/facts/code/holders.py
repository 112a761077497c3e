"""What a variable or attribute can hold, beyond what `Flow` proves for one place: every value that the file gives it.

A name is looked for in its function, in the functions around it and in the module; a parameter holds what the calls in
this file pass for it; `self.net` holds what its class assigns. Nothing is said of a name that also gets a value which
no expression gives (a loop's target, `global`), and calls from other files are not seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.ranges.attributes import Attributes
from pipeline_lint.source import Source

Key = int | str | None

_SAME_MODULE = frozenset({"cpu", "cuda", "double", "eval", "float", "half", "requires_grad_", "to", "train", "type"})
"""Methods that give the module that they are called on."""
_WRAPPERS = frozenset({"DDP", "DataParallel", "DistributedDataParallel", "FSDP", "compile", "prepare", "script"})
"""Functions and classes that give a module which computes the same as their first argument."""
_MOST_STEPS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A value that a name can have."""

    value: cst.BaseExpression
    key: Key = None
    """The element of the value that it is, where the name was unpacked from it."""


class Holders:
    """The holders of one file: `source.fact(Holders)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = source.fact(Names)
        self._attributes = source.fact(Attributes)
        self._assigned: dict[tuple[int, str], list[Held | None]] = defaultdict(list)
        self._functions: dict[str, list[cst.FunctionDef]] = defaultdict(list)
        self._calls: dict[str, list[cst.Call]] = defaultdict(list)
        self._returns: dict[int, list[cst.BaseExpression | None]] = defaultdict(list)
        self._collect()

    def values(self, node: cst.BaseExpression) -> tuple[Held, ...]:
        """All values that a name or an attribute of `self` can have; none where some are not known.

        Of a parameter: what this file passes for it, as far as that is plain.
        """
        match node:
            case cst.Name():
                return self._values_of_name(node)
            case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
                owner = self._source.enclosing(node, cst.ClassDef)
                values = self._attributes.assigned(owner, name) if owner is not None else []
                known = [value for value in values if value is not None and not _is_none(value)]
                return tuple(map(Held, known)) if None not in values else ()
        return ()

    def constructors(self, node: cst.BaseExpression, depth: int = 0) -> tuple[cst.Call, ...]:
        """The calls that build the module which an expression is; none where it can be another.

        `.to(device)`, `DataParallel`, `torch.compile` and the like are looked through.
        """
        if depth > _MOST_STEPS:
            return ()
        match node:
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value=name))) if name in _SAME_MODULE:
                return self.constructors(inner, depth + 1)
            case cst.Call(args=[cst.Arg(value=inner, star=""), *_]) if called_name(node) in _WRAPPERS:
                return self.constructors(inner, depth + 1)
            case cst.Attribute(value=inner, attr=cst.Name(value="module")):
                return self.constructors(inner, depth + 1)
            case cst.Call(func=cst.Name() as function) if (made := self.function(function)) is not None:
                values = [Held(value) for value in self.returned(made)]
            case cst.Call():
                return (node,)
            case _:
                values = list(self.values(node))
        found: list[cst.Call] = []
        for held in values:
            # `model, optimizer = accelerator.prepare(model, optimizer)`
            value = _element(held)
            built = self.constructors(value, depth + 1) if value is not None else ()
            if not built:
                return ()
            found += built
        return tuple({id(call): call for call in found}.values())

    def annotation(self, name: cst.Name) -> cst.BaseExpression | None:
        """The annotation of the parameter that a name is."""
        scope = self.scope_of(name)
        if not isinstance(scope, cst.FunctionDef) or (id(scope), name.value) in self._assigned:
            return None
        every = (*scope.params.posonly_params, *scope.params.params, *scope.params.kwonly_params)
        found = next((each.annotation for each in every if each.name.value == name.value), None)
        return found.annotation if found is not None else None

    def function(self, name: cst.Name) -> cst.FunctionDef | None:
        """The function of this file, no method, that a name means; None where there are several."""
        found = self._functions.get(name.value, [])
        return found[0] if len(found) == 1 and not self._names.is_imported(name.value) else None

    def method(self, node: cst.Attribute) -> cst.FunctionDef | None:
        """The method of this file that `self.name` means."""
        owner = self._source.enclosing(node, cst.ClassDef)
        if owner is None or not isinstance(node.value, cst.Name) or node.value.value != "self":
            return None
        return self._attributes.method(owner, node.attr.value)

    def returned(self, function: cst.FunctionDef) -> tuple[cst.BaseExpression, ...]:
        """What the `return` statements of a function give; nothing where one gives nothing."""
        found = self._returns.get(id(function), [])
        return tuple(value for value in found if value is not None) if None not in found else ()

    def _values_of_name(self, node: cst.Name) -> tuple[Held, ...]:
        definition = self._source.fact(Flow).definition_of(node)
        if definition is not None:
            return (Held(definition.value),)
        scope = self.scope_of(node)
        if scope is None:
            return ()
        above = {id(each) for each in self._source.ancestors(node)}
        values: list[Held | None] = [
            held
            for held in self._assigned.get((id(scope), node.value), ())
            # In `model = model.to(device)` the second `model` is what it was before.
            if held is None or not (_is_none(held.value) or id(held.value) in above)
        ]
        if isinstance(scope, cst.FunctionDef) and node.value in _parameters(scope.params):
            values += [*map(Held, self._passed(scope, node.value))] or [None]
        return tuple(held for held in values if held is not None) if None not in values else ()

    def scope_of(self, node: cst.Name) -> cst.CSTNode | None:
        """The innermost function around a name that binds it, or the module."""
        name = node.value
        below: cst.CSTNode = node
        for above in self._source.ancestors(node):
            match above:
                case cst.BaseComp() if _binds(above, name):
                    return None
                case cst.Lambda(params=params) if name in _parameters(params):
                    return None
                case cst.FunctionDef(body=body, params=params) if body is below:
                    if (id(above), name) in self._assigned or name in _parameters(params):
                        return above
            below = above
        return self._source.module

    def _passed(self, function: cst.FunctionDef, name: str) -> Iterator[cst.BaseExpression]:
        """What calls in this file pass for a parameter, as far as their arguments have certain places."""
        is_method = isinstance(self._source.parent(self._source.parent(function) or function), cst.ClassDef)
        parameters = _parameters(function.params)
        if is_method and not any(called_name(each.decorator) == "staticmethod" for each in function.decorators):
            parameters = parameters[1:]
        if name not in parameters:
            return
        position = parameters.index(name)
        for call in self._calls_of(function, is_method=is_method):
            for index, argument in enumerate(call.args):
                if argument.star:
                    break
                if argument.keyword.value == name if argument.keyword is not None else index == position:
                    yield argument.value
                    break

    def _calls_of(self, function: cst.FunctionDef, *, is_method: bool) -> Iterator[cst.Call]:
        """The calls in this file that are sure to run a function; for `__init__` those of its class."""
        name = function.name.value
        owner = self._source.enclosing(function, cst.ClassDef)
        if is_method and name == "__init__" and owner is not None:
            yield from (call for call in self._calls.get(owner.name.value, []) if isinstance(call.func, cst.Name))
            return
        for call in self._calls.get(name, []):
            match call.func:
                case cst.Attribute() as attribute if is_method and self.method(attribute) is function:
                    yield call
                case cst.Name() as called if not is_method and self.function(called) is function:
                    yield call

    def _collect(self) -> None:
        source = self._source
        for function in source.nodes(cst.FunctionDef):
            if not isinstance(source.parent(source.parent(function) or function), cst.ClassDef):
                self._functions[function.name.value].append(function)
        for call in source.nodes(cst.Call):
            self._calls[called_name(call)].append(call)
        for statement in source.nodes(cst.Return):
            self._returns[id(source.function_of(statement))].append(statement.value)
        for target in source.nodes(cst.AssignTarget):
            assign = source.parent(target)
            self._note(target.target, assign.value if isinstance(assign, cst.Assign) else None, target)
        for annotated in source.nodes(cst.AnnAssign):
            if annotated.value is not None:
                self._note(annotated.target, annotated.value, annotated)
        for walrus in source.nodes(cst.NamedExpr):
            self._note(walrus.target, walrus.value, walrus)
        for augmented in source.nodes(cst.AugAssign):
            self._note(augmented.target, None, augmented)
        for loop in source.nodes(cst.For):
            self._note(loop.target, None, loop)
        for item in source.nodes(cst.AsName):
            if not isinstance(source.parent(item), cst.ImportAlias):
                self._note(item.name, None, item)
        for shared in source.nodes(cst.Global):
            self._note_shared(shared)
        for nonlocal_shared in source.nodes(cst.Nonlocal):
            self._note_shared(nonlocal_shared)

    def _note_shared(self, statement: cst.Global | cst.Nonlocal) -> None:
        for named in statement.names:
            for scope in (self._source.module, *self._source.ancestors(statement)):
                self._assigned[id(scope), named.name.value].append(None)

    def _note(self, target: cst.BaseExpression, value: cst.BaseExpression | None, at: cst.CSTNode) -> None:
        match target:
            case cst.Name(value=name):
                self._add(name, Held(value) if value is not None else None, at)
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                for index, element in enumerate(elements):
                    if isinstance(element.value, cst.Name):
                        is_plain = value is not None and isinstance(element, cst.Element)
                        self._add(element.value.value, Held(value, index) if value and is_plain else None, at)
                    else:
                        self._note(element.value, None, at)

    def _add(self, name: str, held: Held | None, at: cst.CSTNode) -> None:
        scope = self._source.enclosing(at, cst.FunctionDef, cst.ClassDef) or self._source.module
        self._assigned[id(scope), name].append(held)


def element(node: cst.BaseExpression, key: Key) -> cst.BaseExpression | None:
    """The element of a tuple, list or dict that is written out."""
    match node:
        case cst.Tuple(elements=elements) | cst.List(elements=elements) if isinstance(key, int):
            is_plain = all(isinstance(each, cst.Element) for each in elements)
            return elements[key].value if is_plain and -len(elements) <= key < len(elements) else None
        case cst.Dict(elements=elements) if isinstance(key, str):
            for entry in elements:
                match entry:
                    case cst.DictElement(key=cst.SimpleString() as text, value=value) if text.evaluated_value == key:
                        return value
    return None


def _element(held: Held) -> cst.BaseExpression | None:
    """What is held, or the element of it that is written out; of `prepare(a, b)` the argument of that place."""
    if held.key is None:
        return held.value
    if isinstance(held.value, cst.Call) and called_name(held.value) == "prepare" and isinstance(held.key, int):
        arguments = held.value.args
        if not any(argument.star or argument.keyword for argument in arguments) and held.key < len(arguments):
            return arguments[held.key].value
    return element(held.value, held.key)


def _is_none(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.Name) and node.value == "None"


def _parameters(parameters: cst.Parameters) -> list[str]:
    every = (*parameters.posonly_params, *parameters.params, *parameters.kwonly_params)
    return [parameter.name.value for parameter in every]


def _binds(comprehension: cst.BaseComp, name: str) -> bool:
    clause: cst.CompFor | None = comprehension.for_in
    while clause is not None:
        match clause.target:
            case cst.Name(value=bound) if bound == name:
                return True
            case cst.Tuple(elements=elements) if any(
                isinstance(each.value, cst.Name) and each.value.value == name for each in elements
            ):
                return True
        clause = clause.inner_for_in
    return False
