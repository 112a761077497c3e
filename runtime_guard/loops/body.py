"""The body of a `for` loop that an error has ended, taken from the frame that it stood in, to be run once more."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, FrameType, TracebackType
from typing import Any

from runtime_guard.loops.source import FUTURES, LoopFinder, NoBodyError, check, parsed
from runtime_guard.loops.surroundings import Surroundings
from runtime_guard.replay.places import is_user_file

_PASSES_ON = ("tqdm", "trange", "track", "progress", "alive")
"""Names of functions and files that hand on the items of a loader untouched start with these."""
_NUMBER, _BATCH = "_guarded_number", "_guarded_batch"


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
    tree = parsed(frame)
    found = LoopFinder(entry.tb_lineno, frame.f_code.co_name, header=header)
    found.visit(tree)
    if found.loop is None and found.has_header:
        raise OtherPlaceError
    if found.loop is None:
        raise NoBodyError("the loop that takes the batches is no `for` statement")
    check(found.loop, found.function)
    assert isinstance(found.loop, ast.For)
    run = _compiled(found, frame, _bindings(found.loop.target, found.loop.iter))

    def body(number: int, batch: Any) -> None:
        with surroundings.again():
            run(number, batch)

    return body


@dataclass(frozen=True, slots=True)
class Around:
    """A loop that knows nothing of the guard, around a line that is running."""

    body: Body
    """Runs with the loop's variables as they are; number and batch are not asked for."""
    header: str
    """The loop's first line as the script has it."""
    guarded: str | None
    """How that line would hand its batches to a guard; None where there is nothing to hand over."""
    names: frozenset[str]
    """Names of attributes in its body."""
    frame: FrameType


def body_around(stack: Iterable[tuple[FrameType, int]]) -> Around:
    """The body of the innermost loop, of the first of these frames (with the line each stands on) that is in one.

    Raises `NoBodyError`.
    """
    for frame, line in stack:
        if not is_user_file(frame.f_code.co_filename):
            continue
        found = LoopFinder(line, frame.f_code.co_name)
        found.visit(parsed(frame))
        if found.loop is not None:
            check(found.loop, found.function)
            nodes = [node for statement in found.loop.body for node in ast.walk(statement)]
            names = frozenset(node.attr for node in nodes if isinstance(node, ast.Attribute))
            return Around(_compiled(found, frame, []), *_headers(found.loop), names, frame)
    raise NoBodyError("the step stands in no loop")


def _headers(loop: ast.For | ast.While) -> tuple[str, str | None]:
    if isinstance(loop, ast.While):
        return f"while {ast.unparse(loop.test)}:", None
    target, source = ast.unparse(loop.target), ast.unparse(loop.iter)
    return f"for {target} in {source}:", f"for {target} in guard.watch({source}):"


def _index(surroundings: Surroundings, code: CodeType) -> int:
    return next(i for i, (known, _) in enumerate(surroundings.callers) if known is code)


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _compiled(found: LoopFinder, frame: FrameType, bindings: list[ast.stmt]) -> Body:
    loop, code = found.loop, frame.f_code
    assert loop is not None
    once = ast.For(
        target=ast.Name("_guarded_turn", ast.Store()),
        iter=ast.Tuple([ast.Constant(None)], ast.Load()),
        body=[*bindings, *loop.body],
        orelse=[],
    )
    flags = (code.co_flags & FUTURES) | ast.PyCF_ONLY_AST
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
    program = compile(module, code.co_filename, "exec", flags=code.co_flags & FUTURES, dont_inherit=True)
    if found.function is None:
        return _as_module(program, frame.f_globals)
    return _as_function(program, code.co_name, frame, set(names) - {_NUMBER, _BATCH})


def _as_module(program: CodeType, variables: dict[str, Any]) -> Body:
    def run(number: int, batch: Any) -> None:
        before = dict(variables)
        variables.update({_NUMBER: number, _BATCH: batch})
        try:
            exec(program, variables)  # noqa: S102 - the script's own code
        finally:
            for name in set(variables) - set(before):
                del variables[name]
            variables.update(before)

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
