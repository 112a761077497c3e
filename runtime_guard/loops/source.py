"""The source of a loop that is running: found by its lines, and looked at for what keeps it from running again."""

from __future__ import annotations
import __future__ as features

import ast
import linecache
from collections.abc import Iterator
from types import CodeType, FrameType

FUTURES = sum({getattr(features, name).compiler_flag for name in features.all_feature_names})


class NoBodyError(Exception):
    """The body cannot be run again; the text says why."""


def parsed(frame: FrameType) -> ast.Module:
    """The file of the frame's code. Raises `NoBodyError` when it is no longer what runs."""
    code = frame.f_code
    text = "".join(linecache.getlines(code.co_filename, frame.f_globals))
    if not text:
        raise NoBodyError(f"there is no source of {code.co_filename}")
    try:
        tree = ast.parse(text)
        whole = compile(text, code.co_filename, "exec", flags=code.co_flags & FUTURES, dont_inherit=True)
    except SyntaxError:
        raise NoBodyError(f"{code.co_filename} has changed since it was loaded") from None
    if not any(_is_same(code, known) for known in _codes(whole)):
        raise NoBodyError(f"{code.co_filename} has changed since it was loaded")
    return tree


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_same(a: CodeType, b: CodeType) -> bool:
    return (a.co_name, a.co_firstlineno, a.co_code, a.co_names) == (b.co_name, b.co_firstlineno, b.co_code, b.co_names)


class LoopFinder(ast.NodeVisitor):
    """The innermost loop of a function whose body has a line, and, if one is given, whose header has another."""

    def __init__(self, inside: int, function: str, *, header: int | None = None) -> None:
        self.loop: ast.For | ast.While | None = None
        self.has_header = False
        self.function: ast.FunctionDef | None = None
        self._inside, self._name, self._header = inside, function, header
        self._stack: list[ast.AST] = []

    def visit(self, node: ast.AST) -> None:
        is_scope = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef))
        if is_scope:
            self._stack.append(node)
        if isinstance(node, (ast.For, ast.While)) and self._is_wanted(node):
            self.loop = node
            scope = self._stack[-1] if self._stack else None
            self.function = scope if isinstance(scope, ast.FunctionDef) else None
        self.generic_visit(node)
        if is_scope:
            self._stack.pop()

    def _is_wanted(self, node: ast.For | ast.While) -> bool:
        last = node.body[-1].end_lineno or 0
        name = getattr(self._stack[-1], "name", "") if self._stack else "<module>"
        first = node.body[0].lineno
        if name != self._name:
            return False
        if self._header is not None and not (isinstance(node, ast.For) and node.lineno <= self._header <= first):
            return False
        self.has_header = True
        return first <= self._inside <= last


def check(loop: ast.For | ast.While, function: ast.FunctionDef | None) -> None:
    """Raises `NoBodyError` for what a function made of the body would do differently."""
    inside = [node for statement in loop.body for node in ast.walk(statement)]
    for node in inside:
        if isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith)):
            raise NoBodyError("the loop's body yields or awaits")
        if isinstance(node, ast.Name) and node.id in ("super", "__class__", "locals", "eval", "exec"):
            raise NoBodyError(f"the loop's body uses {node.id}")
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name.startswith("__") and not name.endswith("__"):
            raise NoBodyError(f"the loop's body uses the private name {name}")
    if function is None:
        return
    known = {id(node) for node in inside}
    stored = {node.id for node in inside if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    for node in ast.walk(function):
        if isinstance(node, ast.Nonlocal) and id(node) not in known and stored & set(node.names):
            raise NoBodyError(f"the loop's body assigns a variable of the function around it, {node.names[0]}")
        is_inner = isinstance(node, (ast.FunctionDef, ast.Lambda)) and node is not function and id(node) not in known
        if is_inner and (seen := stored & {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}):
            raise NoBodyError(f"a function outside of the loop's body reads a variable of it, {sorted(seen)[0]}")
