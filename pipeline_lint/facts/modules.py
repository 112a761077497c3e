"""The classes of a file: what they inherit, what their attributes are made by, and what their methods give back.

`Modules` holds nodes, for rules that look at one file; `summarize_classes` makes of it plain data, for rules that
follow classes across files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import libcst as cst

from pipeline_lint.facts import torch_api
from pipeline_lint.facts.code.names import Names, dotted_name, imported_module
from pipeline_lint.facts.outputs.returns import MethodOutputs, Outputs
from pipeline_lint.source import Source

LOCAL = ":"
"""Begins the path of a class that is defined in the same file: `:Net`, `:Outer.Inner`."""

OUTPUT_METHODS = ("forward", "__getitem__", "__getitems__", "__iter__")


@dataclass(frozen=True, slots=True)
class Attribute:
    """`self.name` of a class's instances."""

    name: str
    values: tuple[cst.BaseExpression, ...]
    """What is assigned to it anywhere in the class."""
    constructor: str | None
    """Path of the class or function whose call is the one value: `torch.nn.Sigmoid`."""


@dataclass(frozen=True, slots=True, eq=False)
class ClassView:
    """A class of the file."""

    node: cst.ClassDef
    name: str
    """With the classes and functions around it: `Outer.Inner`."""
    bases: tuple[str, ...]
    """Paths; `:Base` for one of the same file, empty for one that is computed."""
    methods: Mapping[str, cst.FunctionDef]
    """The last definition of each name that is no overload."""
    attributes: Mapping[str, Attribute]

    @property
    def is_module(self) -> bool:
        """Whether a direct base is an `nn.Module` of torch or Lightning."""
        return not torch_api.MODULE_ROOTS.isdisjoint(self.bases)

    @property
    def is_dataset(self) -> bool:
        """Whether a direct base is a dataset of torch, map-style or iterable."""
        return not (torch_api.MAP_DATASET_ROOTS | torch_api.ITERABLE_DATASET_ROOTS).isdisjoint(self.bases)


class Modules:
    """The classes of one file; ask for it by `source.fact(Modules)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._names = source.fact(Names)
        nodes = source.nodes(cst.ClassDef)
        self._qualified = {id(node): _qualified_name(source, node) for node in nodes}
        known = frozenset(self._qualified.values())
        assigned = self._assigned() if nodes else {}
        self.classes = [self._view(node, known, assigned.get(id(node), {})) for node in nodes]
        self._by_node = {id(view.node): view for view in self.classes}

    def class_of(self, node: cst.CSTNode) -> ClassView | None:
        """The innermost class around a node."""
        found = self._source.enclosing(node, cst.ClassDef)
        return self._by_node.get(id(found))

    def _view(
        self, node: cst.ClassDef, known: frozenset[str], assigned: Mapping[str, list[cst.BaseExpression]]
    ) -> ClassView:
        name = self._qualified[id(node)]
        bases = tuple(
            base
            for argument in node.bases
            if argument.keyword is None and not argument.star
            for base in self._base(argument.value, name, known)
        )
        attributes = {
            attribute: Attribute(attribute, tuple(values), self._constructor(values))
            for attribute, values in assigned.items()
        }
        return ClassView(node, name, bases, _methods(node), attributes)

    def _base(self, expression: cst.BaseExpression, inside: str, known: frozenset[str]) -> tuple[str, ...]:
        """The path of a base; several where it depends on which import succeeds."""
        while isinstance(expression, cst.Subscript):
            expression = expression.value
        paths = self._names.alternatives(expression)
        dotted = dotted_name(expression)
        if paths or not dotted:
            return paths or ("",)
        scope = inside
        while scope:
            scope = scope.rpartition(".")[0]
            candidate = f"{scope}.{dotted}" if scope else dotted
            if candidate in known and candidate != inside:
                return (LOCAL + candidate,)
        if self._names.is_imported(dotted.partition(".")[0]):
            return ("",)
        # It may be the alias of a class, or come from a star import.
        return (LOCAL + dotted,)

    def _constructor(self, values: list[cst.BaseExpression]) -> str | None:
        match values:
            case [cst.Call(func=function)]:
                return self._names.resolve(function)
        return None

    def _assigned(self) -> dict[int, dict[str, list[cst.BaseExpression]]]:
        """Values of `self.name = value`, by the class's id."""
        found: dict[int, dict[str, list[cst.BaseExpression]]] = defaultdict(lambda: defaultdict(list))
        source = self._source
        for target in source.nodes(cst.AssignTarget):
            assign = source.parent(target)
            if isinstance(assign, cst.Assign):
                self._note(found, target.target, assign.value)
        for annotated in source.nodes(cst.AnnAssign):
            if annotated.value is not None:
                self._note(found, annotated.target, annotated.value)
        return found

    def _note(
        self,
        found: dict[int, dict[str, list[cst.BaseExpression]]],
        target: cst.BaseExpression,
        value: cst.BaseExpression,
    ) -> None:
        match target:
            case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
                holder = self._source.enclosing(target, cst.ClassDef)
                if holder is not None:
                    found[id(holder)][name].append(value)


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """A class as other files and project rules see it."""

    path: str
    name: str
    bases: tuple[str, ...]
    outputs: Mapping[str, MethodOutputs]
    """Of `forward`, `__getitem__`, `__getitems__` and `__iter__`, as far as the class defines them."""
    constructors: Mapping[str, str]
    """What attributes are made by: `act` is `torch.nn.Sigmoid`."""
    methods: frozenset[str]


class Imported(NamedTuple):
    """Where a module has a name from."""

    module: str
    """As the import names it, with the dots of a relative one; empty for another name of the same file."""
    name: str
    """What is imported from the module; empty for the module itself."""


@dataclass(frozen=True, slots=True)
class FileClasses:
    """What one file defines and passes on."""

    classes: tuple[ClassSummary, ...] = ()
    imports: Mapping[str, Imported] = field(default_factory=dict)
    """Names of the module that come from elsewhere."""
    stars: tuple[str, ...] = ()
    """Modules imported with a star."""

    def find(self, name: str) -> ClassSummary | None:
        """The class of that name; of several definitions the last one."""
        return next((each for each in reversed(self.classes) if each.name == name), None)


def summarize_classes(source: Source) -> FileClasses:
    """The classes of a file and the names it imports, for `Project`."""
    modules = source.fact(Modules)
    outputs = source.fact(Outputs)
    classes = []
    for view in modules.classes:
        found = {}
        for name in OUTPUT_METHODS:
            method = view.methods.get(name)
            if method is not None and (view.bases or view.name.endswith("Dataset")):
                found[name] = outputs.of(method)
        constructors = {
            attribute.name: attribute.constructor
            for attribute in view.attributes.values()
            if attribute.constructor is not None
        }
        classes.append(ClassSummary(source.path, view.name, view.bases, found, constructors, frozenset(view.methods)))
    imports, stars = _imports(source)
    return FileClasses(tuple(classes), imports, stars)


def _imports(source: Source) -> tuple[dict[str, Imported], tuple[str, ...]]:
    """Names that the module has from elsewhere; where branches import it from two places, from the first."""
    found: dict[str, Imported] = {}
    stars: list[str] = []
    for statement in source.nodes(cst.ImportFrom):
        if source.function_of(statement) is not None:
            continue
        module = imported_module(statement)
        if isinstance(statement.names, cst.ImportStar):
            stars.append(module)
            continue
        for item in statement.names:
            name = dotted_name(item.name)
            found.setdefault(dotted_name(item.asname.name) if item.asname else name, Imported(module, name))
    for plain in source.nodes(cst.Import):
        for item in plain.names:
            module = dotted_name(item.name)
            root = module.partition(".")[0]
            if item.asname is not None:
                found.setdefault(dotted_name(item.asname.name), Imported(module, ""))
            else:
                found.setdefault(root, Imported(root, ""))
    for target in source.nodes(cst.AssignTarget):
        match source.parent(target), target.target:
            case cst.Assign(value=cst.Name(value=value)), cst.Name(value=name) if name != value:
                if source.function_of(target) is None and source.enclosing(target, cst.ClassDef) is None:
                    found.setdefault(name, Imported("", value))
    return found, tuple(stars)


def _methods(node: cst.ClassDef) -> dict[str, cst.FunctionDef]:
    found: dict[str, cst.FunctionDef] = {}
    body = list(node.body.body)
    while body:
        statement = body.pop(0)
        match statement:
            case cst.FunctionDef():
                if not any(_is_overload(decorator) for decorator in statement.decorators):
                    found[statement.name.value] = statement
            case cst.If():
                orelse = [statement.orelse] if statement.orelse is not None else []
                body = [*statement.body.body, *orelse, *body]
            case cst.Else():
                body = [*statement.body.body, *body]
    return found


def _is_overload(decorator: cst.Decorator) -> bool:
    return dotted_name(decorator.decorator).rpartition(".")[2] in ("overload", "_overload_method")


def _qualified_name(source: Source, node: cst.ClassDef) -> str:
    outer = [above.name.value for above in source.ancestors(node) if isinstance(above, cst.ClassDef | cst.FunctionDef)]
    return ".".join([*reversed(outer), node.name.value])
