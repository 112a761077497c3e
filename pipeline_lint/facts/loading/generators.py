"""Random generators that a dataset or a transform makes once and draws from for every sample.

Workers get copies of the dataset with the generator as it stood, so all of them draw the same numbers, in every epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.modules import ClassView, Modules
from pipeline_lint.facts.ranges.attributes import Attributes
from pipeline_lint.source import Source

GENERATORS = frozenset({"numpy.random.default_rng", "numpy.random.RandomState", "random.Random", "torch.Generator"})
_RESETS = frozenset({"bit_generator", "get_state", "getstate", "manual_seed", "seed", "set_state", "setstate", "spawn"})
_TRANSFORM = re.compile(
    r"augment|transform|perturb|jitter|crop|flip|rotat|noise|distort|deform|mixup|cutout|random|blur|warp|mask|aug$",
    re.IGNORECASE,
)
_MOST_CALLS = 4


@dataclass(frozen=True, slots=True, eq=False)
class OwnGenerator:
    """A generator that a class makes in its `__init__` or its body, or a module at its top."""

    owner: ClassView
    name: str
    """Of the attribute, or of the module's variable."""
    is_attribute: bool
    made_by: cst.Call
    path: str
    """`numpy.random.RandomState`."""
    use: cst.CSTNode
    """The first draw, in what a worker runs for a sample."""


def own_generators(source: Source) -> Iterator[OwnGenerator]:
    """The generators that datasets and transforms of a file draw from for every sample, and never seed again."""
    names = source.fact(Names)
    if not any(names.resolve(call.func) in GENERATORS for call in source.nodes(cst.Call)):
        return
    for view in source.fact(Modules).classes:
        entry = _entry(view)
        if entry is not None:
            yield from _Reader(source, view, entry).generators()


def reached(source: Source, view: ClassView, entry: cst.FunctionDef) -> Iterator[cst.FunctionDef]:
    """A method and those of the same object that it calls, directly or not."""
    attributes = source.fact(Attributes)
    waiting, seen = [(entry, 0)], set[int]()
    while waiting:
        function, depth = waiting.pop(0)
        if id(function) in seen:
            continue
        seen.add(id(function))
        yield function
        for call in source.nodes(cst.Call) if depth < _MOST_CALLS else ():
            match call.func:
                case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
                    callee = attributes.method(view.node, name)
                    if callee is not None and function in source.ancestors(call):
                        waiting.append((callee, depth + 1))


def _entry(view: ClassView) -> cst.FunctionDef | None:
    """What a worker calls for each sample: `__getitem__` of a dataset, `__call__` of a transform."""
    bases = " ".join(view.bases)
    if "__getitem__" in view.methods and (view.is_dataset or "Dataset" in f"{view.name} {bases}"):
        return view.methods["__getitem__"]
    if "__call__" in view.methods and _TRANSFORM.search(f"{view.name} {bases}"):
        return view.methods["__call__"]
    return None


class _Reader:
    def __init__(self, source: Source, view: ClassView, entry: cst.FunctionDef) -> None:
        self._source = source
        self._view = view
        self._names = source.fact(Names)
        self._methods = list(reached(source, view, entry))

    def generators(self) -> Iterator[OwnGenerator]:
        for (name, is_attribute), uses in self._uses().items():
            made_by = self._made_once(self._attribute(name) if is_attribute else self._variable(name))
            if made_by is not None and not any(self._is_reset(use) for use in uses):
                path = self._names.resolve(made_by.func) or ""
                yield OwnGenerator(self._view, name, is_attribute, made_by, path, uses[0])

    def _uses(self) -> dict[tuple[str, bool], list[cst.BaseExpression]]:
        """The attributes of the object, and the variables, that the methods name; by name, and whether it is the one
        or the other."""
        found: dict[tuple[str, bool], list[cst.BaseExpression]] = {}
        methods = {id(method) for method in self._methods}
        for node in self._source.nodes(cst.Attribute):
            match node:
                case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
                    if self._is_within(node, methods):
                        found.setdefault((name, True), []).append(node)
        for variable in self._source.nodes(cst.Name):
            if self._is_within(variable, methods) and not self._is_label(variable):
                found.setdefault((variable.value, False), []).append(variable)
        return found

    def _is_within(self, node: cst.CSTNode, functions: set[int]) -> bool:
        return any(id(above) in functions for above in self._source.ancestors(node))

    def _attribute(self, name: str) -> list[cst.BaseExpression | None]:
        """What `__init__` or the class's body assigns to an attribute; nothing where other methods assign to it."""
        values = self._source.fact(Attributes).assigned(self._view.node, name)
        return values if all(value is not None and self._is_in_init(value) for value in values) else []

    def _variable(self, name: str) -> list[cst.BaseExpression | None]:
        """What the module's own code assigns to a variable; nothing where a method binds the name itself."""
        found: list[cst.BaseExpression | None] = []
        for target in self._source.nodes(cst.AssignTarget):
            match target.target:
                case cst.Name(value=assigned) if assigned == name:
                    assign = self._source.parent(target)
                    if self._source.enclosing(target, cst.FunctionDef, cst.ClassDef) is not None:
                        return []
                    found.append(assign.value if isinstance(assign, cst.Assign) else None)
        return found

    def _made_once(self, values: list[cst.BaseExpression | None]) -> cst.Call | None:
        """The one call that makes a generator; `torch.Generator().manual_seed(0)` gives one, too."""
        match values:
            case [cst.Call(func=cst.Attribute(value=cst.Call() as inner, attr=cst.Name(value="manual_seed")))]:
                return self._made_once([inner])
            case [cst.IfExp(body=one, orelse=other)]:
                # Also `Random() if rng is None else rng`: a caller that makes one makes it once.
                return self._made_once([one]) or self._made_once([other])
            case [cst.Call() as call] if self._names.resolve(call.func) in GENERATORS:
                return call
        return None

    def _is_in_init(self, node: cst.CSTNode) -> bool:
        function = self._source.function_of(node)
        return not isinstance(function, cst.FunctionDef) or function.name.value == "__init__"

    def _is_label(self, node: cst.Name) -> bool:
        match self._source.parent(node):
            case cst.Attribute(attr=attr):
                return attr is node
            case cst.Arg(keyword=keyword):
                return keyword is node
            case cst.Param():
                return True
        return False

    def _is_reset(self, use: cst.BaseExpression) -> bool:
        """Whether a use seeds the generator, or gives it another state."""
        match self._source.parent(use):
            case cst.Attribute(attr=cst.Name(value=name)):
                return name in _RESETS
            case cst.AssignTarget() | cst.Arg(keyword=None) as above:
                call = self._source.parent(above)
                return isinstance(above, cst.AssignTarget) or (
                    isinstance(call, cst.Call) and "seed" in called_name(call)
                )
        return False
