"""What the code of one function or module binds and changes, in the order in which it runs; `flow.py` reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.source import Source

Statement = cst.BaseSmallStatement | cst.BaseCompoundStatement

EVERY_NAME = "*"
"""What `from x import *` may bind, and an assignment to who knows what may change."""
EVERY_PARAMETER = "**"
"""What `optimizer.step()` changes."""

_VIEWS = """
H T as_tensor atleast_1d atleast_2d atleast_3d bfloat16 broadcast_to chunk contiguous cpu cuda data detach diagonal
double dsplit expand expand_as flatten float from_numpy half hsplit imag items mH mT movedim named_parameters narrow
numpy parameters permute ravel real requires_grad_ reshape select split squeeze swapaxes swapdims t tensor_split to
transpose type type_as unbind unflatten unfold unsqueeze values view view_as vsplit
"""
VIEW_NAMES = frozenset(_VIEWS.split())
"""Methods, functions and attributes whose result may share memory with what they are given."""
_SWALLOWING = frozenset({"suppress", "raises", "assertRaises", "assertRaisesRegex", "ignored"})
_STEPS = frozenset({"step", "load_state_dict"})


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """`name = value` in a statement."""

    name: str
    value: cst.BaseExpression
    statement: Statement
    is_alone: bool
    """Whether the statement binds nothing else."""


@dataclass(frozen=True, slots=True)
class Point:
    """When an expression is evaluated."""

    order: int
    blocks: tuple[int, ...]
    """The blocks around it, from the scope's body inwards; a `with` is no block of its own."""
    loops: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """A name or attribute path gets another value, or its value is changed."""

    point: Point
    is_during: bool = False
    """Whether it happens while the statement's expressions are evaluated, not after."""
    definition: Definition | None = None
    """None where the new value has no expression of its own."""
    is_binding: bool = False
    """Whether the name gets another value; what it had before stays as it was."""


class Events:
    """The events of one scope's own code, those of functions inside it left out."""

    def __init__(self, source: Source, scope: cst.FunctionDef | cst.Module) -> None:
        self.of: dict[str, list[Event]] = {}
        """By name or path: `x`, `self.scale`, `EVERY_NAME`."""
        self.aliases: dict[str, set[str]] = {}
        """Names that may share memory."""
        self.volatile: set[str] = set()
        """Names that other functions may bind at any time."""
        self.points: dict[int, Point] = {}
        """By the id of a small statement, or of a compound one for what its head evaluates."""
        self._order = 0
        body = scope.body if isinstance(scope, cst.FunctionDef) else scope
        self._block(body, (id(body),), ())
        inner = source.nodes(cst.Global) if isinstance(scope, cst.Module) else source.nodes(cst.Nonlocal)
        for declaration in inner:
            if scope in source.ancestors(declaration):
                self.volatile.update(item.name.value for item in declaration.names)

    def _block(self, block: cst.BaseSuite | cst.Module, blocks: tuple[int, ...], loops: tuple[int, ...]) -> None:
        for statement in block.body:
            match statement:
                case cst.SimpleStatementLine(body=parts):
                    for part in parts:
                        self._small(part, self._next(blocks, loops, part))
                case cst.BaseSmallStatement():
                    self._small(statement, self._next(blocks, loops, statement))
                case cst.BaseCompoundStatement():
                    self._compound(statement, blocks, loops)

    def _next(self, blocks: tuple[int, ...], loops: tuple[int, ...], node: cst.CSTNode | None = None) -> Point:
        self._order += 1
        point = Point(self._order, blocks, loops)
        if node is not None:
            self.points[id(node)] = point
        return point

    def _compound(self, node: cst.BaseCompoundStatement, blocks: tuple[int, ...], loops: tuple[int, ...]) -> None:
        match node:
            case cst.If(test=test, body=body, orelse=orelse):
                self._during(test, self._next(blocks, loops, node))
                self._inner(body, blocks, loops)
                if isinstance(orelse, cst.If):
                    self._compound(orelse, (*blocks, id(orelse)), loops)
                else:
                    self._inner(orelse, blocks, loops)
            case cst.While(test=test, body=body, orelse=orelse):
                inside = (*loops, id(node))
                self._during(test, self._next(blocks, inside, node))
                self._inner(body, blocks, inside)
                self._inner(orelse, blocks, loops)
            case cst.For(target=target, iter=iterated, body=body, orelse=orelse):
                inside = (*loops, id(node))
                self._during(iterated, self._next(blocks, loops, node))
                self._bind(target, None, self._next(blocks, inside))
                self._share([*_bound_paths(target), *_names_in(iterated)])
                self._inner(body, blocks, inside)
                self._inner(orelse, blocks, loops)
            case cst.With(items=items, body=body):
                point = self._next(blocks, loops, node)
                for item in items:
                    self._during(item.item, point)
                    if item.asname is not None:
                        self._bind(item.asname.name, None, point, is_during=True)
                # What a `with` holds runs once, as if it stood outside, unless the manager swallows exceptions.
                swallows = any(called_name(item.item) in _SWALLOWING for item in items)
                self._block(body, (*blocks, id(body)) if swallows else blocks, loops)
            case cst.Try() | cst.TryStar():
                self._inner(node.body, blocks, loops)
                for handler in node.handlers:
                    if handler.name is not None:
                        self._bind(handler.name.name, None, self._next(blocks, loops))
                    self._inner(handler.body, blocks, loops)
                self._inner(node.orelse, blocks, loops)
                self._inner(node.finalbody, blocks, loops)
            case cst.Match(subject=subject, cases=cases):
                point = self._next(blocks, loops, node)
                self._during(subject, point)
                for case in cases:
                    for name in _pattern_names(case.pattern):
                        self._add(name, Event(point, is_during=True))
                    self._inner(case.body, blocks, loops)
            case cst.FunctionDef(name=name) | cst.ClassDef(name=name):
                self._add(name.value, Event(self._next(blocks, loops, node)))

    def _inner(
        self, block: cst.BaseSuite | cst.Else | cst.Finally | None, blocks: tuple[int, ...], loops: tuple[int, ...]
    ) -> None:
        if block is not None:
            body = block.body if isinstance(block, cst.Else | cst.Finally) else block
            self._block(body, (*blocks, id(body)), loops)

    def _small(self, node: cst.BaseSmallStatement, point: Point) -> None:
        match node:
            case cst.Assign(targets=targets, value=value):
                self._during(value, point)
                for target in targets:
                    self._bind(target.target, value, point, statement=node)
                self._share([path for target in targets for path in _bound_paths(target.target)])
            case cst.AnnAssign(target=target, value=value) if value is not None:
                self._during(value, point)
                self._bind(target, value, point, statement=node)
            case cst.AugAssign(target=target, value=value):
                self._during(value, point)
                if isinstance(target, cst.Name):
                    # `x += 1` changes a tensor in place.
                    self._add(target.value, Event(point))
                else:
                    self._bind(target, None, point)
            case cst.Del(target=target):
                self._bind(target, None, point)
            case cst.Import(names=names) | cst.ImportFrom(names=names):
                if isinstance(names, cst.ImportStar):
                    self._add(EVERY_NAME, Event(point))
                    return
                for alias in names:
                    bound = alias.asname.name if alias.asname is not None else _first_name(alias.name)
                    self._bind(bound, None, point)
            case cst.Global(names=items) | cst.Nonlocal(names=items):
                self.volatile.update(item.name.value for item in items)
            case cst.BaseSmallStatement():
                self._during(node, point)

    def _bind(
        self,
        target: cst.BaseExpression,
        value: cst.BaseExpression | None,
        point: Point,
        *,
        statement: cst.Assign | cst.AnnAssign | None = None,
        is_during: bool = False,
    ) -> None:
        """Notes what an assignment to `target` binds or changes."""
        match target:
            case cst.Name(value=name):
                definition = None
                if value is not None and statement is not None:
                    is_alone = not isinstance(statement, cst.Assign) or (
                        len(statement.targets) == 1 and statement.targets[0].target is target
                    )
                    definition = Definition(name, value, statement, is_alone)
                    self._share([name, *sharing(value)])
                self._add(name, Event(point, is_during, definition, is_binding=True))
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                for element, part in zip(elements, _parts(elements, value), strict=True):
                    self._bind(element.value, part, point, statement=statement, is_during=is_during)
                    if part is None and value is not None:
                        self._share([*_bound_paths(element.value), *sharing(value)])
            case _:
                # An item or attribute: what holds it is changed, and so is whatever shares its memory.
                for path in list(sharing(target)) or [EVERY_NAME]:
                    self._add(path, Event(point, is_during))

    def _share(self, paths: Sequence[str]) -> None:
        if len(paths) > 1:
            group = set[str]().union(*(self.aliases.get(path, {path}) for path in paths))
            self.aliases.update(dict.fromkeys(group, group))

    def _add(self, path: str, event: Event) -> None:
        self.of.setdefault(path, []).append(event)

    def _during(self, root: cst.CSTNode, point: Point) -> None:
        """Notes what evaluating an expression binds (walrus) or changes (`x.clamp_()`, `init.zeros_(x)`, `out=x`)."""
        for node in _evaluated(root):
            if isinstance(node, cst.NamedExpr):
                self._bind(node.target, None, point, is_during=True)
            elif isinstance(node, cst.Call):
                name = called_name(node)
                changed = [arg.value for arg in node.args if arg.keyword is not None and arg.keyword.value == "out"]
                if name.endswith("_") and not name.endswith("__"):
                    changed += [node.func.value] if isinstance(node.func, cst.Attribute) else []
                    changed += [arg.value for arg in node.args[:1]]
                for path in (path for each in changed for path in sharing(each)):
                    self._add(path, Event(point, is_during=True))
                if name in _STEPS:
                    self._add(EVERY_PARAMETER, Event(point, is_during=True))


def paths_read(expression: cst.CSTNode) -> Iterator[tuple[str, bool]]:
    """Names and dotted paths that an expression reads; True for one that is only looked into (`self` of `self.a`)."""
    stack: list[cst.CSTNode] = [expression]
    while stack:
        node = stack.pop()
        path = _path(node)
        if path is not None:
            parts = path.split(".")
            yield from ((".".join(parts[:length]), True) for length in range(1, len(parts)))
            yield path, False
        elif isinstance(node, cst.Attribute | cst.Arg):
            stack.append(node.value)
        else:
            stack.extend(node.children)


def bound_names(clause: cst.CompFor) -> set[str]:
    """The loop variables of one `for` of a comprehension."""
    return {node.value for node in _evaluated(clause.target) if isinstance(node, cst.Name)}


def _parts(elements: Sequence[cst.BaseElement], value: cst.BaseExpression | None) -> list[cst.BaseExpression | None]:
    """The value of each target of an unpacking, where a literal tuple of the same length says it."""
    if isinstance(value, cst.Tuple | cst.List) and len(value.elements) == len(elements):
        pairs = [*elements, *value.elements]
        if not any(isinstance(element, cst.StarredElement) for element in pairs):
            return [element.value for element in value.elements]
    return [None] * len(elements)


def _evaluated(root: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The nodes of an expression, without the bodies of lambdas."""
    stack = [root]
    while stack:
        node = stack.pop()
        if not isinstance(node, cst.Lambda):
            yield node
            stack.extend(reversed(node.children))


def _names_in(expression: cst.CSTNode) -> Iterator[str]:
    return (path for path, _ in paths_read(expression))


def _bound_paths(target: cst.BaseExpression) -> Iterator[str]:
    if isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _bound_paths(element.value)
    else:
        yield from filter(None, [_path(target)])


def _path(node: cst.CSTNode) -> str | None:
    """`self.a.b` as text; None for what is more than names and dots."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        before = _path(node.value)
        return f"{before}.{node.attr.value}" if before is not None else None
    return None


def sharing(value: cst.BaseExpression) -> Iterator[str]:
    """The names and paths whose memory the expression's result may share."""
    match value:
        case cst.Name(value=name):
            yield name
        case cst.Attribute(value=inner, attr=attr):
            yield from filter(None, [_path(value)])
            if attr.value in VIEW_NAMES:
                yield from sharing(inner)
        case cst.Subscript(value=inner) | cst.NamedExpr(value=inner) | cst.Await(expression=inner):
            yield from sharing(inner)
        case cst.StarredElement(value=inner):
            yield from sharing(inner)
        case cst.IfExp(body=one, orelse=other) | cst.BooleanOperation(left=one, right=other):
            yield from sharing(one)
            yield from sharing(other)
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            for element in elements:
                yield from sharing(element.value)
        case cst.Call(func=func, args=args):
            is_own = not isinstance(func, cst.Attribute) or (_path(func) or "").partition(".")[0] in ("self", "cls")
            name = called_name(value)
            if name in VIEW_NAMES or name.endswith("_"):
                is_own = True
                if isinstance(func, cst.Attribute):
                    yield from sharing(func.value)
            # A function of the program's own may hand back what it was given.
            for arg in args if is_own else ():
                yield from sharing(arg.value)


def called_name(node: cst.BaseExpression) -> str:
    """The last name of what is called: `add_` of `x.add_(1)`; empty where it has none."""
    func = node.func if isinstance(node, cst.Call) else node
    if isinstance(func, cst.Attribute):
        return func.attr.value
    return func.value if isinstance(func, cst.Name) else ""


def _first_name(node: cst.BaseExpression) -> cst.BaseExpression:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node


def _pattern_names(pattern: cst.CSTNode) -> Iterator[str]:
    """The names that a `case` pattern binds."""
    for node in _evaluated(pattern):
        if isinstance(node, cst.MatchAs | cst.MatchStar) and node.name is not None:
            yield node.name.value
        elif isinstance(node, cst.MatchMapping) and node.rest is not None:
            yield node.rest.value
