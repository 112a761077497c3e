"""What calling a function of the file changes besides what it returns: its arguments, and attributes of `self`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import libcst as cst

from pipeline_lint.facts.ranges.memory import forget, is_inplace_name
from pipeline_lint.facts.ranges.state import State
from pipeline_lint.facts.ranges.syntax import path_of, target_names
from pipeline_lint.source import Source

if TYPE_CHECKING:
    from pipeline_lint.facts.ranges.run import Run

_DEEPEST = 3
_Binder = type[cst.AssignTarget | cst.AugAssign | cst.AnnAssign | cst.For | cst.NamedExpr]
_BINDERS: tuple[_Binder, ...] = (cst.AssignTarget, cst.AugAssign, cst.AnnAssign, cst.For, cst.NamedExpr)


class SideEffects:
    """Of all functions of a file, those inside them included: `source.fact(SideEffects)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.bound: dict[int, Counter[str]] = defaultdict(Counter)
        """How often a function binds or changes a path, by the function's id."""
        self.changed: dict[int, set[str]] = defaultdict(set)
        """The paths that it changes in place."""
        self.methods: dict[int, set[str]] = defaultdict(set)
        """The methods of `self` that it calls."""
        for kind in _BINDERS:
            for node in source.nodes(kind):
                self._note(node, self.bound, target_names(node.target))
        for name in source.nodes(cst.AsName):
            self._note(name, self.bound, target_names(name.name))
        for augmented in source.nodes(cst.AugAssign):
            self._note(augmented, self.changed, target_names(augmented.target))
        for target in source.nodes(cst.AssignTarget):
            if isinstance(target.target, cst.Subscript):
                self._note(target, self.changed, target_names(target.target))
        for call in source.nodes(cst.Call):
            self._note_call(call)

    def _note_call(self, call: cst.Call) -> None:
        match call.func:
            case cst.Attribute(value=receiver, attr=cst.Name(value=name)) if is_inplace_name(name):
                self._note(call, self.changed, target_names(_base(receiver)))
                if call.args:
                    self._note(call, self.changed, target_names(_base(call.args[0].value)))
            case cst.Name(value=name) if call.args and is_inplace_name(name):
                self._note(call, self.changed, target_names(_base(call.args[0].value)))
            case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
                self._note(call, self.methods, (name,))

    def _note(
        self, node: cst.CSTNode, found: dict[int, set[str]] | dict[int, Counter[str]], names: Iterable[str]
    ) -> None:
        paths = tuple(names)
        for above in self._source.ancestors(node) if paths else ():
            if isinstance(above, cst.FunctionDef):
                found[id(above)].update(paths)

    def attributes_bound(self, run: Run, function: cst.FunctionDef, depth: int = 0) -> set[str]:
        """The attributes of `self` that a method gives other values, itself or through methods that it calls."""
        key = id(function)
        found = {path for path in (*self.bound[key], *self.changed[key]) if path.startswith("self.")}
        if depth < _DEEPEST and run.owner is not None:
            for name in self.methods[key]:
                method = run.attributes.method(run.owner, name)
                if method is not None and method is not function:
                    found |= self.attributes_bound(run, method, depth + 1)
        return found

    def rebound(self, function: cst.FunctionDef) -> list[str]:
        """The names that have several values in a function, of which a function inside it sees the last."""
        parameters = function.params
        every = (*parameters.posonly_params, *parameters.params, *parameters.kwonly_params)
        names = Counter(each.name.value for each in every)
        return [name for name, count in (names + self.bound[id(function)]).items() if count > 1]


def apply_side_effects(run: Run, function: cst.FunctionDef, node: cst.Call, state: State) -> None:
    """Forgets what a call may have changed."""
    effects = run.source.fact(SideEffects)
    if isinstance(node.func, cst.Attribute) and run.owner is not None:
        for path in effects.attributes_bound(run, function):
            state.names.pop(path, None)
    changed = effects.changed.get(id(function))
    if not changed:
        return
    for name, argument in _arguments(function, node):
        held = path_of(_base(argument))
        if name in changed and held is not None:
            forget(held, state)


def _arguments(function: cst.FunctionDef, node: cst.Call) -> list[tuple[str, cst.BaseExpression]]:
    """The arguments of a call by the parameters' names, as far as that is plain."""
    parameters = [each.name.value for each in (*function.params.posonly_params, *function.params.params)]
    if isinstance(node.func, cst.Attribute) and parameters[:1] in (["self"], ["cls"]):
        parameters = parameters[1:]
    found = []
    positional = iter(parameters)
    for argument in node.args:
        if argument.star:
            break
        name = argument.keyword.value if argument.keyword is not None else next(positional, "")
        found.append((name, argument.value))
    return found


def _base(node: cst.BaseExpression) -> cst.BaseExpression:
    """`x` of `x.data[0].view(-1)`."""
    while True:
        match node:
            case cst.Call(func=cst.Attribute(value=inner)) | cst.Subscript(value=inner):
                node = inner
            case cst.Attribute(value=inner, attr=cst.Name(value="data" | "T")):
                node = inner
            case _:
                return node
