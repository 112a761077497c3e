"""Results that have names already: which models return them, and what they are called."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.outputs import Target, locate
from pipeline_lint.refactor.program import ClassInfo, ModuleCode
from pipeline_lint.refactor.tokens import NOTHING, Box, Instance, ModuleToken, Text, Token, Value
from pipeline_lint.refactor.uses import Use


@dataclass(frozen=True, slots=True)
class NamedResult:
    """A dict, named tuple, dataclass or the like that a `forward` returns."""

    token: Token
    kind: str
    """`dict`, `dataclass`, `tuple`, or `both`: by name and by position."""
    names: tuple[str, ...]
    model: ClassInfo
    keys: tuple[ast.expr | None, ...] = ()
    """Of a dict that is written out: the keys as they stand there; None for those that are keywords."""

    @property
    def has_positions(self) -> bool:
        """Whether the values can be had by position, too."""
        return self.kind in ("tuple", "both")

    @property
    def has_attributes(self) -> bool:
        """Whether the values are attributes."""
        return self.kind != "dict"


@dataclass(frozen=True, slots=True)
class NamedUse:
    """A use of results that all have the same names in the same order."""

    use: Use
    results: tuple[NamedResult, ...]

    @property
    def first(self) -> NamedResult:
        return self.results[0]

    @property
    def models(self) -> list[str]:
        """The classes whose `forward` gives them."""
        return sorted({result.model.name.rpartition(".")[2] for result in self.results})


def named_results(machine: Machine, targets: Sequence[Target]) -> dict[Token, list[NamedResult]]:
    """What the methods return that has names."""
    found: dict[Token, list[NamedResult]] = {}
    for target in targets:
        producer = locate(machine.codes, target)
        if producer is None or producer.problem is not None:
            continue
        for token in machine.peek(("return", producer.function)):
            result = _result(machine, token, producer.info)
            if result is not None:
                found.setdefault(token, []).append(result)
    return found


def named_uses(machine: Machine, results: dict[Token, list[NamedResult]]) -> Iterator[NamedUse]:
    """The uses of which nothing else than such results can be used there, in the order of the files and their text."""
    uses = sorted(machine.uses.named.values(), key=lambda use: (use.code.path, *_position(use.node)))
    for use in uses:
        value = _without_nothing(use.value)
        if value and all(token in results for token in value):
            found = [result for token in value for result in results[token]]
            found.sort(key=lambda result: (result.model.code.path, result.model.name))
            if len({(result.names, result.kind) for result in found}) == 1:
                yield NamedUse(use, tuple(found))


def _without_nothing(value: Value) -> Value:
    return frozenset(token for token in value if token is not NOTHING)


def _position(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _result(machine: Machine, token: Token, model: ClassInfo) -> NamedResult | None:
    match token:
        case Box(kind="record", names=names):
            return NamedResult(token, "tuple", names, model)
        case Box(kind="dict", node=ast.Dict(keys=keys), code=code):
            texts = [_text(machine, code, key) for key in keys]
            names = tuple(text for text in texts if text is not None)
            is_whole = len(names) == len(texts) == len(set(names)) > 0
            return NamedResult(token, "dict", names, model, tuple(keys)) if is_whole else None
        case Box(kind="dict", node=ast.Call(args=[], keywords=keywords)):
            names = tuple(each.arg for each in keywords if each.arg is not None)
            is_whole = len(names) == len(keywords) > 0
            return NamedResult(token, "dict", names, model, (None,) * len(names)) if is_whole else None
        case Instance(info) if info.record is not None:
            return NamedResult(token, info.record.kind, info.record.names, model)
    return None


def _text(machine: Machine, code: ModuleCode, key: ast.expr | None) -> str | None:
    """The text of a key: written there, or the constant of a module."""
    match key:
        case ast.Constant(value=str() as text):
            return text
        case ast.Name(id=name):
            return _constant(machine, code, name)
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            modules = [each.code for each in machine.peek(("global", code, module)) if isinstance(each, ModuleToken)]
            return _constant(machine, modules[0], name) if len(modules) == 1 else None
    return None


def _constant(machine: Machine, code: ModuleCode, name: str) -> str | None:
    value = machine.peek(("global", code, name))
    texts = [token.text for token in value if isinstance(token, Text)]
    return texts[0] if len(texts) == len(value) == 1 else None
