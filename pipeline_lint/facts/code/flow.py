"""Which expression gave a name its value: the one definition that can reach a use, where simple rules prove it.

A definition reaches a use when it stands before it in the same block or in one around it, and nothing in between, nor
in a loop around the use alone, may bind the name again or change its value in place. Everything less plain has no
answer: names bound in branches, closures, generators, `global`. Functions that change an argument in place without a
name that ends in `_` are not seen.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.code.events import (
    EVERY_NAME,
    EVERY_PARAMETER,
    VIEW_NAMES,
    Definition,
    Events,
    Point,
    bound_names,
    called_name,
    paths_read,
    sharing,
)
from pipeline_lint.source import Source

__all__ = ["Definition", "Flow"]


class Flow:
    """The definitions of one file, each scope looked at when first asked about: `source.fact(Flow)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._scopes: dict[int, Events] = {}

    def definition_of(self, use: cst.Name) -> Definition | None:
        """The definition that gave the name its value at this use, or None where that is not plain."""
        place = self._place(use)
        if any(use.value in bound_names(clause) for clause in self._comprehension_clauses(use)):
            return None
        return _reaching(place[0], use.value, place[1]) if place is not None else None

    def value_of(self, use: cst.Name) -> cst.BaseExpression | None:
        """The expression that gave the name its value at this use, or None where that is not plain."""
        definition = self.definition_of(use)
        return definition.value if definition is not None else None

    def has_same_value(self, expression: cst.CSTNode, *, at: cst.CSTNode) -> bool:
        """Whether evaluating `expression` once more at a later node of the same function reads the same values.

        Calls in the expression are not asked whether they give the same result twice.
        """
        first, second = self._place(expression), self._place(at)
        if first is None or second is None or first[0] is not second[0]:
            return False
        hidden = {name for clause in self._comprehension_clauses(at) for name in bound_names(clause)}
        return not any(
            path.partition(".")[0] in hidden or _may_change(first[0], path, first[1], second[1], is_prefix=is_prefix)
            for path, is_prefix in paths_read(expression)
        )

    def has_same_modes(self, first: cst.CSTNode, second: cst.CSTNode) -> bool:
        """Whether the same `with` blocks (no_grad, autocast) surround both nodes."""
        return self._modes(first) == self._modes(second)

    def is_changed_later(self, value: cst.BaseExpression, *, after: cst.CSTNode) -> bool:
        """Whether the tensor that `value` is, or one that shares its memory, may be changed in place after `after`.

        Autograd keeps tensors for the backward pass, which fails when one of them has been changed.
        """
        place = self._place(after)
        paths = {*sharing(value)}
        for clause in self._comprehension_clauses(value):
            if not paths.isdisjoint(bound_names(clause)):
                paths.update(path for path, _ in paths_read(clause.iter))
        return bool(paths) and (place is None or any(_may_be_changed_after(*place, path) for path in paths))

    def is_result_changed_later(self, node: cst.BaseExpression) -> bool:
        """Whether the tensor that `node` gives may be changed in place, directly, through a view or by its name."""
        while True:
            above = self._source.parent(node)
            match above:
                case cst.Attribute(attr=cst.Name(value=name)) if name in VIEW_NAMES or _is_inplace(name):
                    call = self._source.parent(above)
                    is_method = isinstance(call, cst.Call) and call.func is above
                    if is_method and _is_inplace(name):
                        return True
                    node = call if isinstance(call, cst.Call) and is_method else above
                case cst.Subscript(value=value) if value is node:
                    node = above
                case cst.Arg():
                    call = self._source.parent(above)
                    return isinstance(call, cst.Call) and _is_inplace(called_name(call))
                case cst.Assign(targets=targets):
                    return any(self.is_changed_later(target.target, after=above) for target in targets)
                case cst.AnnAssign(target=target):
                    return self.is_changed_later(target, after=above)
                case _:
                    return False

    def num_uses(self, name: str, *, within: cst.CSTNode) -> int:
        """How often the text of a function names a variable other than to assign to it; inner functions count."""
        return len(self.uses(name, within=within))

    def uses(self, name: str, *, within: cst.CSTNode) -> list[cst.Name]:
        """Where the text of a function names a variable other than to assign to it; inner functions count."""
        return [
            node
            for node in self._names.get(name, ())
            if not self._is_label(node) and within in self._source.ancestors(node)
        ]

    @functools.cached_property
    def _names(self) -> dict[str, list[cst.Name]]:
        """The names of the file by their text."""
        found: dict[str, list[cst.Name]] = {}
        for node in self._source.nodes(cst.Name):
            found.setdefault(node.value, []).append(node)
        return found

    def num_bindings(self, name: str, *, at: cst.CSTNode) -> int:
        """How often the function around `at` binds or changes a variable."""
        place = self._place(at)
        return len(place[0].of.get(name, ())) if place is not None else 0

    def _modes(self, node: cst.CSTNode) -> list[int]:
        return [id(above) for above in self._source.ancestors(node) if isinstance(above, cst.With)]

    def _is_label(self, node: cst.Name) -> bool:
        """Whether a name is an attribute's, a keyword's or what is assigned to, so that it reads no variable."""
        match self._source.parent(node):
            case cst.Attribute(attr=attr):
                return attr is node
            case cst.Arg(keyword=keyword):
                return keyword is node
            case cst.AssignTarget():
                return True
            case cst.Param(name=name):
                return name is node
            case cst.AnnAssign(target=target):
                return target is node
        return False

    def _comprehension_clauses(self, node: cst.CSTNode) -> Iterator[cst.CompFor]:
        """The loops of the comprehensions around a node."""
        for above in self._source.ancestors(node):
            clause = above.for_in if isinstance(above, cst.BaseComp) else None
            while clause is not None:
                yield clause
                clause = clause.inner_for_in

    def _place(self, node: cst.CSTNode) -> tuple[Events, Point] | None:
        """The scope that evaluates `node`, and when it does."""
        scope = self._scope(node)
        if scope is None:
            return None
        events = self._scopes.get(id(scope))
        if events is None:
            events = self._scopes[id(scope)] = Events(self._source, scope)
        for each in (node, *self._source.ancestors(node)):
            point = events.points.get(id(each))
            if point is not None:
                return events, point
        return None

    def _scope(self, node: cst.CSTNode) -> cst.FunctionDef | cst.Module | None:
        """The function or module around `node`; None where another scope, or code that runs later, lies between."""
        below = node
        for above in self._source.ancestors(node):
            match above:
                case cst.Module():
                    return above
                case cst.FunctionDef(body=body) if body is below:
                    return above
                case cst.ClassDef(body=body) if body is below:
                    return None
                case cst.Lambda() | cst.GeneratorExp():
                    return None
                case cst.ExceptHandler(body=body) | cst.ExceptStarHandler(body=body) if body is not below:
                    return None
            below = above
        return None


def _reaching(events: Events, name: str, use: Point) -> Definition | None:
    before = [e for e in events.of.get(name, ()) if e.definition is not None and e.point.order < use.order]
    if not before or name in events.volatile:
        return None
    # Events come in the order of execution, also those of one statement: `p, p = 1, 2` gives `p` the 2.
    last = before[-1]
    if last.point.blocks[-1] not in use.blocks or _is_disturbed(events, name, last.point, use):
        return None
    return last.definition


def _may_change(events: Events, path: str, first: Point, second: Point, *, is_prefix: bool) -> bool:
    """Whether what `path` reads may differ between two points; `is_prefix` for a name that is only looked into."""
    if path.partition(".")[0] in events.volatile:
        return True
    if second.order < first.order or first.blocks[-1] not in second.blocks:
        return True
    inside = () if is_prefix else (known for known in events.of if known.startswith(path + "."))
    return any(
        _is_disturbed(events, each, first, second, is_own_statement_between=True)
        for each in (path, EVERY_PARAMETER, *inside)
    )


def _is_inplace(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__")


def _may_be_changed_after(events: Events, point: Point, path: str) -> bool:
    known = [known for known in events.of if known == path or known.startswith(path + ".")]
    return any(
        not event.is_binding and (event.point.order >= point.order or set(event.point.loops) & set(point.loops))
        for name in {*known, *events.aliases.get(path, ())}
        for event in events.of.get(name, ())
    )


def _is_disturbed(
    events: Events, path: str, first: Point, second: Point, *, is_own_statement_between: bool = False
) -> bool:
    """Whether an event stands between two points, or in a loop around the second alone.

    `is_own_statement_between`: what the first point's statement binds counts, as it is bound after the evaluation.
    """
    loops = set(second.loops) - set(first.loops)
    for name in {path, EVERY_NAME} | events.aliases.get(path, set()):
        for event in events.of.get(name, ()):
            if name != path and event.definition is not None:
                # Another name that shared the value is bound to something else, which leaves this one alone.
                continue
            order = event.point.order
            if first.order < order < second.order or not loops.isdisjoint(event.point.loops):
                return True
            if order == second.order and event.is_during:
                return True
            if order == first.order and is_own_statement_between and order != second.order:
                return True
    return False
