"""The body of a `for` loop that an error has ended, taken from the frame that it stood in, to be run once more."""

from __future__ import annotations
import __future__ as features

import ast
import linecache
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, TracebackType
from typing import Any

from runtime_guard.surroundings import Surroundings

_FUTURES = sum({getattr(features, name).compiler_flag for name in features.all_feature_names})
_PASSES_ON = ("tqdm", "trange", "track", "progress", "alive")
"""Names of functions and files that hand on the items of a loader untouched start with these."""
_NUMBER, _BATCH = "_guarded_number", "_guarded_batch"


class NoBodyError(Exception):
    """The body cannot be run again; the text says why."""


class OtherPlaceError(Exception):
    """The error was raised outside of the loop's body."""


Body = Callable[[int, Any], None]
"""Runs with the number of a batch and the batch."""


def loop_frame(traceback: TracebackType | None, surroundings: Surroundings) -> TracebackType | None:
    """Where in an error's traceback the loop stands; None when the error came from somewhere else."""
    entries = list(_entries(traceback))
    for code, _ in surroundings.callers:
        for entry in reversed(entries):
            if entry.tb_frame.f_code is code:
                return entry
    return None


def body_of(traceback: TracebackType | None, surroundings: Surroundings) -> Body:
    """The body, with the local variables as the error left them, in the same modes.

    Raises `NoBodyError` where there is none that could be run, `OtherPlaceError` for an error from outside of it.
    """
    entry = loop_frame(traceback, surroundings)
    if entry is None:
        raise OtherPlaceError
    frame = entry.tb_frame
    for between, _ in surroundings.callers[: _index(surroundings, frame.f_code)]:
        if not any(part.startswith(_PASSES_ON) for part in between.co_filename.replace("\\", "/").split("/")):
            raise NoBodyError(f"{between.co_name} stands between the guard and the loop, and may change the batches")
    header = surroundings.callers[_index(surroundings, frame.f_code)][1]
    tree = _parsed(frame)
    found = _Finder(header, entry.tb_lineno, frame.f_code.co_name)
    found.visit(tree)
    if found.loop is None and found.has_header:
        raise OtherPlaceError
    if found.loop is None:
        raise NoBodyError("the loop that takes the batches is no `for` statement")
    _check(found.loop, found.function)
    run = _compiled(found, frame)

    def body(number: int, batch: Any) -> None:
        with surroundings.again():
            run(number, batch)

    return body


def _index(surroundings: Surroundings, code: CodeType) -> int:
    return next(i for i, (known, _) in enumerate(surroundings.callers) if known is code)


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _parsed(frame: FrameType) -> ast.Module:
    """The file of the frame's code. Raises `NoBodyError` when it is no longer what runs."""
    code = frame.f_code
    text = "".join(linecache.getlines(code.co_filename, frame.f_globals))
    if not text:
        raise NoBodyError(f"there is no source of {code.co_filename}")
    try:
        tree = ast.parse(text)
        whole = compile(text, code.co_filename, "exec", flags=code.co_flags & _FUTURES, dont_inherit=True)
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


class _Finder(ast.NodeVisitor):
    """The loop whose header has one line and whose body another, and the function around it."""

    def __init__(self, header: int, inside: int, function: str) -> None:
        self.loop: ast.For | None = None
        self.has_header = False
        self.function: ast.FunctionDef | None = None
        self._header, self._inside, self._name = header, inside, function
        self._stack: list[ast.AST] = []

    def visit(self, node: ast.AST) -> None:
        is_scope = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef))
        if is_scope:
            self._stack.append(node)
        if isinstance(node, ast.For) and self._is_wanted(node):
            self.loop = node
            scope = self._stack[-1] if self._stack else None
            self.function = scope if isinstance(scope, ast.FunctionDef) else None
        self.generic_visit(node)
        if is_scope:
            self._stack.pop()

    def _is_wanted(self, node: ast.For) -> bool:
        last = node.body[-1].end_lineno or 0
        name = getattr(self._stack[-1], "name", "") if self._stack else "<module>"
        first = node.body[0].lineno
        if name != self._name or not node.lineno <= self._header <= first:
            return False
        self.has_header = True
        return first <= self._inside <= last


def _check(loop: ast.For, function: ast.FunctionDef | None) -> None:
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


def _compiled(found: _Finder, frame: FrameType) -> Body:
    loop, code = found.loop, frame.f_code
    assert loop is not None
    once = ast.For(
        target=ast.Name("_guarded_turn", ast.Store()),
        iter=ast.Tuple([ast.Constant(None)], ast.Load()),
        body=[*_bindings(loop.target, loop.iter), *loop.body],
        orelse=[],
    )
    flags = (code.co_flags & _FUTURES) | ast.PyCF_ONLY_AST
    ast.copy_location(once, loop)
    if found.function is None:
        statements: list[ast.stmt] = [once]
    else:
        names = [name for name in frame.f_locals if name.isidentifier() and name != "__class__"]
        declared = [n for n in ast.walk(found.function) if isinstance(n, ast.Global)]
        shared = {name for node in declared for name in node.names}
        names = [name for name in dict.fromkeys([*names, _NUMBER, _BATCH]) if name not in shared]
        # Whatever `ast` has in this Python: type parameters, default values.
        empty = compile(f"def {code.co_name}({', '.join(names)}): pass", "", "exec", flags=flags)
        assert isinstance(empty, ast.Module)
        definition = empty.body[0]
        assert isinstance(definition, ast.FunctionDef)
        definition.body = [*declared, once]
        statements = [definition]
    module = ast.fix_missing_locations(ast.Module(statements, []))
    program = compile(module, code.co_filename, "exec", flags=code.co_flags & _FUTURES, dont_inherit=True)
    if found.function is None:
        return _as_module(program, frame.f_globals)
    return _as_function(program, code.co_name, frame, set(names) - {_NUMBER, _BATCH})


def _as_module(program: CodeType, variables: dict[str, Any]) -> Body:
    def run(number: int, batch: Any) -> None:
        variables.update({_NUMBER: number, _BATCH: batch})
        try:
            exec(program, variables)  # noqa: S102 - the script's own code
        finally:
            for name in (_NUMBER, _BATCH, "_guarded_turn"):
                variables.pop(name, None)

    return run


def _as_function(program: CodeType, name: str, frame: FrameType, names: set[str]) -> Body:
    holder: dict[str, Any] = {}
    # The body reads the globals of its module, and its definition must not be one of them.
    exec(program, frame.f_globals, holder)  # noqa: S102 - the script's own code
    function, values = holder[name], {key: value for key, value in frame.f_locals.items() if key in names}

    def run(number: int, batch: Any) -> None:
        function(**values, **{_NUMBER: number, _BATCH: batch})

    return run


def _bindings(target: ast.expr, source: ast.expr) -> list[ast.stmt]:
    """Assignments of a turn's batch, and of its number, to the loop's variables. Raises `NoBodyError`."""
    found: list[ast.stmt] = []
    while isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id == "enumerate":
        if not isinstance(target, (ast.Tuple, ast.List)) or len(target.elts) != 2 or not source.args:
            raise NoBodyError(f"the loop takes apart what {ast.unparse(source)} gives in a way that is not known")
        start = [*source.args[1:], *(keyword.value for keyword in source.keywords)]
        number: ast.expr = ast.Name(_NUMBER, ast.Load())
        if start:
            number = ast.BinOp(number, ast.Add(), start[0])
        found.append(ast.Assign([target.elts[0]], number))
        target, source = target.elts[1], source.args[0]
    if isinstance(source, ast.Call):
        function = source.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name != "watch" and not name.startswith(_PASSES_ON):
            raise NoBodyError(f"the loop goes over {ast.unparse(source)}, which may change the batches")
    found.append(ast.Assign([target], ast.Name(_BATCH, ast.Load())))
    return [ast.copy_location(statement, target) for statement in found]
