"""What a name in a file stands for: dotted paths through imports and aliases, and how to write a path at a place.

Only names that an import or an alias of one binds can have a path, so only those are looked up in scopes; all others
are answered at once. Scopes follow Python: a class's names are not seen by its methods, a comprehension has its own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Edit
from pipeline_lint.facts import torch_api
from pipeline_lint.source import Source

_COMPREHENSIONS = (cst.GeneratorExp, cst.ListComp, cst.SetComp, cst.DictComp)


@dataclass(frozen=True, slots=True)
class Reference:
    """How to write a dotted path at a place, and the import that this takes."""

    code: str
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """One statement or expression that gives a name its value."""

    node: cst.CSTNode
    path: str | None = None
    """What an import brings."""
    alias: cst.BaseExpression | None = None
    """The value of `name = some.dotted.name`."""
    is_none: bool = False
    """`name = None`, as a placeholder for an optional import."""


class Names:
    """What the names of one file stand for; ask for it by `source.fact(Names)`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._bindings: dict[str, dict[int, list[Binding]]] = {}
        self._redirected: dict[tuple[int, str], cst.CSTNode] = {}
        self._star_modules: list[str] = []
        self._decided: dict[tuple[str, int], tuple[str, ...]] = {}
        self._resolved: dict[int, tuple[str, ...]] = {}
        self._collect()

    def resolve(self, expression: cst.BaseExpression) -> str | None:
        """The canonical dotted path of a name or attribute: `F.softmax` is `torch.nn.functional.softmax`.

        Relative imports keep their leading dots. Of alternatives (`try: ... except ImportError: ...`) it is the first;
        ask `alternatives` where the difference matters. None for what is computed, local, or ambiguous.
        """
        paths = self.alternatives(expression)
        return paths[0] if paths else None

    def alternatives(self, expression: cst.BaseExpression) -> tuple[str, ...]:
        """All paths that the expression can stand for, depending on which branch's import ran."""
        root = expression
        while root.__class__ is cst.Attribute:
            root = root.value
        if root.__class__ is not cst.Name or root.value not in self._bindings:
            return ()
        key = id(expression)
        known = self._resolved.get(key)
        if known is None:
            # Set first, so that `F = F` ends.
            self._resolved[key] = ()
            known = self._resolved[key] = self._resolve(expression)
        return known

    def reference(self, dotted: str, *, at: cst.CSTNode) -> Reference:
        """How to write the canonical path `dotted` at `at`: by an alias in scope there, else by adding an import."""
        from pipeline_lint.facts.code.imports import add_import, existing_reference

        code = existing_reference(self, dotted, at)
        return Reference(code) if code is not None else add_import(self, dotted, at)

    def lookup(self, name: str, at: cst.CSTNode) -> tuple[str, ...]:
        """The paths that a plain name stands for at a node."""
        scopes = self._bindings.get(name)
        if scopes is None:
            return ()
        module = self.source.module
        if len(scopes) == 1 and id(module) in scopes:
            return self._decide(name, module)
        for scope in self._scopes(at):
            target = self._redirected.get((id(scope), name), scope)
            if id(target) in scopes:
                return self._decide(name, target)
        return self._from_star(name)

    def bindings(self, name: str, scope: cst.CSTNode) -> list[Binding]:
        """What gives `name` its value in a scope: the module, a function, a class or a comprehension."""
        return self._bindings.get(name, {}).get(id(scope), [])

    @property
    def imported_names(self) -> list[str]:
        """Names that an import, or an alias of an imported name, binds somewhere in the file."""
        return list(self._bindings)

    def is_imported(self, name: str) -> bool:
        """Whether an import, or an alias of an imported name, binds the name somewhere in the file."""
        return any(self._bindings.get(name, {}).values())

    def is_free(self, name: str) -> bool:
        """Whether nothing in the file has this name, so that an import can take it."""
        return name not in self._used

    @functools.cached_property
    def _used(self) -> frozenset[str]:
        return frozenset(node.value for node in self.source.nodes(cst.Name) if not self._is_label(node))

    def _is_label(self, node: cst.Name) -> bool:
        """Whether it is an attribute's name, a keyword's or part of an imported module's, so that it binds nothing."""
        below: cst.CSTNode = node
        for above in self.source.ancestors(node):
            match above:
                case cst.Attribute(attr=attr) if attr is below:
                    return True
                case cst.Attribute():
                    below = above
                case cst.Arg(keyword=keyword):
                    return keyword is below
                case cst.ImportFrom(module=module):
                    return module is below
                case cst.ImportAlias(name=name, asname=asname):
                    return name is below and asname is not None
                case _:
                    return False
        return False

    def _resolve(self, expression: cst.BaseExpression) -> tuple[str, ...]:
        tail = ""
        root = expression
        while isinstance(root, cst.Attribute):
            tail = f".{root.attr.value}{tail}"
            root = root.value
        assert isinstance(root, cst.Name)
        return tuple(torch_api.canonical(path + tail) for path in self.lookup(root.value, root))

    def _decide(self, name: str, scope: cst.CSTNode) -> tuple[str, ...]:
        key = (name, id(scope))
        decided = self._decided.get(key)
        if decided is None:
            self._decided[key] = ()
            decided = self._decided[key] = self._weigh(self._bindings[name][id(scope)])
        return decided

    def _weigh(self, bindings: list[Binding]) -> tuple[str, ...]:
        """The paths of a name that is bound as given; none where a binding can hide another."""
        if len(bindings) > 1:
            bindings = [binding for binding in bindings if not binding.is_none] or bindings
        known = [(binding, self._paths(binding)) for binding in bindings]
        paths = tuple(dict.fromkeys(path for _, found in known for path in found))
        if len(paths) == 1 and all(found for _, found in known):
            return paths
        for index, (binding, found) in enumerate(known):
            for other, other_found in known[:index]:
                if found != other_found and not self._are_alternatives(binding, other):
                    return ()
        return paths

    def _paths(self, binding: Binding) -> tuple[str, ...]:
        if binding.path is not None:
            return (binding.path,)
        return self.alternatives(binding.alias) if binding.alias is not None else ()

    def _are_alternatives(self, one: Binding, other: Binding) -> bool:
        """Whether the two stand in branches of which one replaces the other when an import fails or is too old.

        Aliases in the branches of an `if` are a choice of behavior instead, so they are no alternatives.
        """
        below = {id(one.node): one.node}
        child = one.node
        for above in self.source.ancestors(one.node):
            below[id(above)] = child
            child = above
        child = other.node
        for above in self.source.ancestors(other.node):
            if id(above) in below:
                return _are_exclusive(above, below[id(above)], child) and not (
                    isinstance(above, cst.If) and (one.alias or other.alias)
                )
            child = above
        return False

    def _from_star(self, name: str) -> tuple[str, ...]:
        for module in reversed(self._star_modules):
            exports = torch_api.star_exports(module)
            if exports is None:
                return ()
            if name in exports:
                return (f"{module}.{name}",)
        return ()

    def _scopes(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """The scopes in which a name at `node` is looked for, innermost first."""
        below, is_innermost, is_first_iterable = node, True, False
        for above in self.source.ancestors(node):
            if isinstance(above, cst.FunctionDef | cst.Lambda):
                if below is above.body:
                    yield above
                    is_innermost = False
            elif isinstance(above, cst.ClassDef):
                if below is above.body and is_innermost:
                    yield above
                    is_innermost = False
            elif isinstance(above, cst.CompFor):
                is_first_iterable = below is above.iter and not isinstance(self.source.parent(above), cst.CompFor)
            elif isinstance(above, _COMPREHENSIONS):
                if not is_first_iterable:
                    yield above
                    is_innermost = False
                is_first_iterable = False
            below = above
        yield self.source.module

    def _collect(self) -> None:
        """Notes all bindings of the names that imports and aliases bind."""
        imports = list(_imported(self.source, self._star_modules))
        names = {name for name, _ in imports}
        for module in self._star_modules:
            names |= torch_api.star_exports(module) or frozenset()
        if not names:
            return
        aliases = self._aliases(names)
        self._bindings = {name: {} for name in names}
        for statement in self.source.nodes(cst.Global):
            self._redirect(statement)
        for nonlocal_statement in self.source.nodes(cst.Nonlocal):
            self._redirect(nonlocal_statement)
        for name, binding in imports:
            self._record(name, binding, next(self._scopes(binding.node)))
        for name, node in _bound_names(self.source, names):
            if isinstance(node, cst.Param):
                function = self.source.enclosing(node, cst.FunctionDef, cst.Lambda)
                assert function is not None
                self._record(name, Binding(node), function)
                continue
            scopes = self._scopes(node)
            scope = next(scopes)
            while isinstance(node, cst.NamedExpr) and isinstance(scope, _COMPREHENSIONS):
                scope = next(scopes)
            self._record(name, aliases.get(id(node)) or Binding(node), scope)

    def _record(self, name: str, binding: Binding, scope: cst.CSTNode) -> None:
        scope = self._redirected.get((id(scope), name), scope)
        self._bindings[name].setdefault(id(scope), []).append(binding)

    def _aliases(self, names: set[str]) -> dict[int, Binding]:
        """Bindings of `name = dotted.name` by the id of their target; the aliases' names are added to `names`."""
        found: dict[int, Binding] = {}
        for target in self.source.nodes(cst.AssignTarget):
            if not isinstance(target.target, cst.Name):
                continue
            assign = self.source.parent(target)
            assert isinstance(assign, cst.Assign)
            root = value = assign.value
            while isinstance(root, cst.Attribute):
                root = root.value
            if not isinstance(root, cst.Name):
                continue
            if root.value in names and len(assign.targets) == 1:
                names.add(target.target.value)
                found[id(target)] = Binding(target, alias=value)
            elif root is value and root.value == "None":
                found[id(target)] = Binding(target, is_none=True)
        return found

    def _redirect(self, statement: cst.Global | cst.Nonlocal) -> None:
        scopes = list(self._scopes(statement))
        for item in statement.names:
            name = item.name.value
            if name in self._bindings:
                is_global = isinstance(statement, cst.Global) or len(scopes) < 3
                self._redirected[(id(scopes[0]), name)] = scopes[-1] if is_global else scopes[1]


def dotted_name(node: cst.CSTNode) -> str:
    """`a.b.c` of names and attributes; empty for anything else."""
    match node:
        case cst.Name(value=name):
            return name
        case cst.Attribute(value=value, attr=cst.Name(value=name)):
            before = dotted_name(value)
            return f"{before}.{name}" if before else ""
    return ""


def imported_module(statement: cst.ImportFrom) -> str:
    """The module of `from module import ...`, with the dots of a relative one."""
    return "." * len(statement.relative) + (dotted_name(statement.module) if statement.module else "")


def join_path(module: str, name: str) -> str:
    """`name` of `module`, where the module may be nothing but the dots of a relative import."""
    return f"{module}{name}" if not module or module.endswith(".") else f"{module}.{name}"


def _imported(source: Source, star_modules: list[str]) -> Iterator[tuple[str, Binding]]:
    """Names that imports bind; modules imported with a star are added to `star_modules`."""
    for plain in source.nodes(cst.Import):
        for item in plain.names:
            path = dotted_name(item.name)
            if item.asname is not None:
                yield dotted_name(item.asname.name), Binding(plain, path=torch_api.canonical(path))
            else:
                root = path.partition(".")[0]
                yield root, Binding(plain, path=root)
    for statement in source.nodes(cst.ImportFrom):
        module = imported_module(statement)
        if isinstance(statement.names, cst.ImportStar):
            star_modules.append(module)
            continue
        for item in statement.names:
            name = dotted_name(item.name)
            bound = dotted_name(item.asname.name) if item.asname is not None else name
            yield bound, Binding(statement, path=torch_api.canonical(join_path(module, name)))


def _bound_names(source: Source, names: set[str]) -> Iterator[tuple[str, cst.CSTNode]]:
    """Every place, imports apart, at which one of `names` is given a value."""
    for parameter in source.nodes(cst.Param):
        if parameter.name.value in names:
            yield parameter.name.value, parameter
    for holder, target in _targets(source):
        for name in _target_names(target):
            if name in names:
                yield name, holder


def _targets(source: Source) -> Iterator[tuple[cst.CSTNode, cst.CSTNode | None]]:
    """Nodes that bind, parameters apart, each with the name or the expression of names that it binds."""
    for assign in source.nodes(cst.AssignTarget):
        yield assign, assign.target
    for function in source.nodes(cst.FunctionDef):
        yield function, function.name
    for definition in source.nodes(cst.ClassDef):
        yield definition, definition.name
    for kind in (cst.AnnAssign, cst.AugAssign, cst.For, cst.CompFor, cst.NamedExpr, cst.Del):
        for node in source.nodes(kind):
            yield node, getattr(node, "target", None)
    for as_name in source.nodes(cst.AsName):
        if not isinstance(source.parent(as_name), cst.ImportAlias):
            yield as_name, as_name.name
    for pattern in source.nodes(cst.MatchAs):
        yield pattern, pattern.name
    for star in source.nodes(cst.MatchStar):
        yield star, star.name
    for mapping in source.nodes(cst.MatchMapping):
        yield mapping, mapping.rest
    for parameter in (cst.TypeVar, cst.TypeVarTuple, cst.ParamSpec, cst.TypeAlias):
        for node in source.nodes(parameter):
            yield node, getattr(node, "name", None)


def _target_names(target: cst.CSTNode | None) -> Iterator[str]:
    if target.__class__ is cst.Name:
        yield target.value
    elif isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _target_names(element.value)


def _are_exclusive(fork: cst.CSTNode, one: cst.CSTNode, other: cst.CSTNode) -> bool:
    """Whether two children of a compound statement never both run to their end."""
    if isinstance(fork, cst.If):
        return one is not other
    if isinstance(fork, cst.Try | cst.TryStar) and one is not other:
        are_handlers = [isinstance(node, cst.ExceptHandler | cst.ExceptStarHandler) for node in (one, other)]
        return any(are_handlers) and not isinstance(one, cst.Finally) and not isinstance(other, cst.Finally)
    return False
