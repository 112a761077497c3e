"""What a loop or function does from beginning to end, through the functions of the file that it calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import libcst as cst

from pipeline_lint.facts.code.names import dotted_name
from pipeline_lint.facts.loops.actions import Action, Actions, Frame, Kind, parameter_mapping
from pipeline_lint.source import Source

Scope = cst.FunctionDef | cst.Module
Loop = cst.For | cst.While

_DEEPEST = 5
_LONGEST = 400


class Seen(NamedTuple):
    """A place in a trace."""

    node: cst.CSTNode
    frames: tuple[Frame, ...]

    def runs_with(self, other: Seen) -> bool:
        """Whether both stand in the same block, `with` statements apart."""
        one, another = (
            [frame for frame in place.frames if not isinstance(frame.node, cst.With)] for place in (self, other)
        )
        return len(one) == len(another) and all(a.is_same_block(b) for a, b in zip(one, another, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Happening:
    """An action as a trace meets it."""

    action: Action
    path: str
    """The action's variable as the trace's own scope names it."""
    scaler: str
    frames: tuple[Frame, ...]
    """The statements and functions around it, from the trace's root inwards."""
    calls: tuple[cst.Call, ...] = ()
    """The calls through which the trace came to it."""

    @property
    def kind(self) -> Kind:
        return self.action.kind

    @property
    def loops(self) -> tuple[Loop, ...]:
        """The loops around it, outermost first."""
        return tuple(
            frame.node for frame in self.frames if isinstance(frame.node, cst.For | cst.While) and frame.block == "body"
        )

    @property
    def conditions(self) -> tuple[Frame, ...]:
        """The branches that it stands in."""
        return tuple(frame for frame in self.frames if isinstance(frame.node, cst.If | cst.Else | cst.Try))

    def is_in(self, loop: cst.CSTNode) -> bool:
        return any(frame.node is loop for frame in self.frames)

    def inside(self, loop: cst.CSTNode) -> tuple[Frame, ...]:
        """The statements between a loop around it and itself."""
        index = next(i for i, frame in enumerate(self.frames) if frame.node is loop)
        return self.frames[index + 1 :]

    def seen_from(self, other: Happening) -> Seen:
        """Where it stands in the function of another happening: itself, or the call there that leads to it."""
        depth = len(other.calls)
        if self.calls[:depth] != other.calls or len(self.calls) <= depth:
            return Seen(self.action.node, self.frames)
        functions = [i for i, frame in enumerate(self.frames) if isinstance(frame.node, cst.FunctionDef)]
        return Seen(self.calls[depth], self.frames[: functions[depth]])

    def may_run_with(self, other: Happening) -> bool:
        """Whether no `if` decides between the two."""
        for one, another in zip(self.frames, other.frames, strict=False):
            if one.node is not another.node:
                return True
            if one.block != another.block:
                return not isinstance(one.node, cst.If)
        return True


class Traces:
    """The traces of one file: `source.fact(Traces)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._actions = source.fact(Actions)
        self._active = self._active_scopes()
        self._known: dict[int, tuple[Happening, ...]] = {}
        self._aliases: dict[int, Mapping[str, str]] = {}

    def of(self, root: Loop | Scope) -> tuple[Happening, ...]:
        """All that happens in a loop or function, in the order of the text, calls followed; each in its frames."""
        if id(root) not in self._known:
            scope = root if isinstance(root, Scope) else self._source.function_of(root) or self._source.module
            assert isinstance(scope, Scope)
            found: list[Happening] = []
            self._walk(scope, root if not isinstance(root, Scope) else None, {}, (), (), found)
            self._known[id(root)] = tuple(found)
        return self._known[id(root)]

    def outermost_loops(self) -> Iterator[Loop]:
        """The loops that no loop of the same function is around, in which something happens."""
        seen: set[int] = set()
        for action in self._actions.all:
            if action.kind is Kind.CALL and id(action.callee) not in self._active:
                continue
            for frame in self._actions.frames(action):
                if isinstance(frame.node, cst.For | cst.While) and frame.block == "body":
                    if id(frame.node) not in seen:
                        seen.add(id(frame.node))
                        yield frame.node
                    break

    def scopes(self) -> Iterator[Scope]:
        """The functions in which something happens, and the module if something does there."""
        scopes: list[Scope] = [*self._source.nodes(cst.FunctionDef), self._source.module]
        yield from (scope for scope in scopes if id(scope) in self._active)

    def steps(self) -> Iterator[Action]:
        """The steps of optimizers in the file."""
        yield from (action for action in self._actions.all if action.kind is Kind.STEP and action.path)

    def is_called(self, function: cst.FunctionDef) -> bool:
        """Whether a function of the file calls it."""
        return any(action.callee is function for action in self._actions.all)

    def _walk(
        self,
        scope: Scope,
        within: Loop | None,
        names: Mapping[str, str],
        frames: tuple[Frame, ...],
        calls: tuple[cst.Call, ...],
        found: list[Happening],
    ) -> None:
        for action in self._actions.of(scope):
            own = self._actions.frames(action)
            if within is not None:
                start = next((i for i, frame in enumerate(own) if frame.node is within), None)
                if start is None:
                    continue
                own = own[start:]
            around = (*frames, *own)
            path, scaler = (self._translated(each, scope, names) for each in (action.path, action.scaler))
            found.append(Happening(action, path, scaler, around, calls))
            if len(found) > _LONGEST:
                return
            for callee in self._entered(action):
                call = action.node
                assert isinstance(call, cst.Call)
                is_new = all(frame.node is not callee for frame in around) and callee is not scope
                if is_new and len(calls) < _DEEPEST:
                    given = parameter_mapping(call, callee, self._source) if action.callee is callee else {}
                    inner = {name: self._translated(path, scope, names) for name, path in given.items()}
                    self._walk(callee, None, inner, (*around, Frame(callee, "body")), (*calls, call), found)

    def _entered(self, action: Action) -> Iterator[cst.FunctionDef]:
        """The functions that an action runs: the one called, or the closure that a step is given."""
        if action.kind is Kind.CALL and action.callee is not None and id(action.callee) in self._active:
            yield action.callee
        elif action.kind is Kind.STEP and isinstance(action.value, cst.Name):
            closure = self.closure(action)
            if closure is not None:
                yield closure

    def closure(self, action: Action) -> cst.FunctionDef | None:
        """The function of the file that a step is given to evaluate."""
        if not isinstance(action.value, cst.Name):
            return None
        named = [each for each in self._source.nodes(cst.FunctionDef) if each.name.value == action.value.value]
        scope = self._source.function_of(action.node)
        near = [each for each in named if self._source.function_of(each) is scope]
        return near[-1] if near else named[0] if len(named) == 1 else None

    def _translated(self, path: str, scope: Scope, names: Mapping[str, str]) -> str:
        head, dot, tail = path.partition(".")
        if head in names and head != "self":
            outer = names[head]
            return f"{outer}{dot}{tail}" if outer else ""
        aliases = self._aliases_of(scope)
        return f"{aliases[head]}{dot}{tail}" if head in aliases else path

    def _aliases_of(self, scope: Scope) -> Mapping[str, str]:
        """Names that are bound once in a function, to an attribute: `optimizer = self.optimizer`."""
        if id(scope) not in self._aliases:
            self._aliases[id(scope)] = _aliases(scope) if isinstance(scope, cst.FunctionDef) else {}
        return self._aliases[id(scope)]

    def _active_scopes(self) -> set[int]:
        """Functions that do something, themselves or through functions that they call."""
        active: set[int] = set()
        callers: dict[int, list[int]] = {}
        waiting: list[int] = []
        for action in self._actions.all:
            scope = id(self._source.function_of(action.node) or self._source.module)
            if action.kind is Kind.CALL:
                callers.setdefault(id(action.callee), []).append(scope)
            elif scope not in active:
                active.add(scope)
                waiting.append(scope)
        while waiting:
            for caller in callers.get(waiting.pop(), ()):
                if caller not in active:
                    active.add(caller)
                    waiting.append(caller)
        return active


def _aliases(function: cst.FunctionDef) -> dict[str, str]:
    found: dict[str, str] = {}
    twice: set[str] = set()
    for statement in function.body.body:
        if not isinstance(statement, cst.SimpleStatementLine):
            continue
        for part in statement.body:
            match part:
                case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value):
                    if name in found:
                        twice.add(name)
                    if isinstance(value, cst.Attribute) and dotted_name(value).startswith("self."):
                        found[name] = dotted_name(value)
    return {name: path for name, path in found.items() if name not in twice}
