"""Conditions that a piece of code runs under: checks of a version, fallbacks of an import, debugging switches."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.code.names import dotted_name
from pipeline_lint.source import Source

_VERSION_CHECK = re.compile(
    r"version|hasattr|getattr|signature|\bTORCH_|torch_\w*\d|_available\b(?!\(\))|\bHAS_|\bhas_native|\bIS_TORCH",
    re.IGNORECASE,
)
_IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "AttributeError"})
_ANY_ERRORS = frozenset({"Exception", "BaseException", ""})


def is_version_dependent(source: Source, node: cst.CSTNode) -> bool:
    """Whether `node` is one of several ways to do the same with different versions of a library.

    That is: an import or look-up in a `try` that catches its failure (or what such a handler does instead), code under
    a condition that asks for a version or an attribute, and code after an early return under such a condition.
    """
    below = node
    for above in source.ancestors(node):
        match above:
            case cst.If(test=test) | cst.IfExp(test=test) if below is not test and _asks_version(source, test):
                return True
            case cst.Try() | cst.TryStar():
                errors = {name for handler in above.handlers for name in _caught(handler.type)}
                expected = _IMPORT_ERRORS | _ANY_ERRORS if _is_import(node) else _IMPORT_ERRORS
                if errors & expected and below is not above.finalbody:
                    return True
            case cst.IndentedBlock(body=body) | cst.Module(body=body):
                if any(_returns_for_version(source, statement) for statement in _before(body, below)):
                    return True
        below = above
    return False


def conditions(source: Source, node: cst.CSTNode) -> Iterator[cst.BaseExpression]:
    """The tests that must have held, or failed, for `node` to run."""
    below = node
    for above in source.ancestors(node):
        match above:
            case cst.If(test=test) | cst.IfExp(test=test) | cst.While(test=test) if below is not test:
                yield test
            case cst.BooleanOperation(left=left, right=right) if below is right:
                yield left
            case cst.MatchCase(guard=guard) if guard is not None and below is not guard:
                yield guard
            case cst.IndentedBlock(body=body):
                for statement in _before(body, below):
                    if isinstance(statement, cst.If) and _leaves(statement.body):
                        yield statement.test
        below = above


def _asks_version(source: Source, test: cst.BaseExpression) -> bool:
    return _VERSION_CHECK.search(source.code(test)) is not None


def _returns_for_version(source: Source, statement: cst.CSTNode) -> bool:
    """A `raise` in its place says that the code after it needs the version, not that it stands in for it."""
    return (
        isinstance(statement, cst.If)
        and isinstance(_last(statement.body), cst.Return)
        and _asks_version(source, statement.test)
    )


def _leaves(block: cst.BaseSuite) -> bool:
    """Whether a block ends by leaving what it stands in."""
    return isinstance(_last(block), cst.Return | cst.Raise | cst.Continue | cst.Break)


def _last(block: cst.BaseSuite) -> cst.CSTNode | None:
    last = block.body[-1] if block.body else None
    return last.body[-1] if isinstance(last, cst.SimpleStatementLine) else last


def _before(body: object, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    assert isinstance(body, list | tuple)
    for statement in body:
        if statement is node:
            return
        yield statement


def _caught(kind: cst.BaseExpression | None) -> Iterator[str]:
    """Last names of the exceptions that a handler catches; empty for a bare `except`."""
    if isinstance(kind, cst.Tuple):
        for element in kind.elements:
            yield from _caught(element.value)
    else:
        yield dotted_name(kind).rpartition(".")[2] if kind is not None else ""


def _is_import(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Import | cst.ImportFrom)
