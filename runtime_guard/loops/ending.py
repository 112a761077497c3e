"""An error that ended the loop body: whether a number that is not finite made it, and which."""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

from torch import Tensor

from runtime_guard import ranks
from runtime_guard.device.finiteness import Level, has_only_negative_infinity, level_of
from runtime_guard.incidents.incident import Place
from runtime_guard.loops.body import Body, OtherPlaceError, body_around, body_of, loop_frame
from runtime_guard.loops.source import NoBodyError
from runtime_guard.loops.step import Suspicion
from runtime_guard.loops.watcher import Left, Watcher
from runtime_guard.replay.made_finite import MadeFinite
from runtime_guard.replay.places import is_own_file, is_user_file, place_of
from runtime_guard.replay.session import ReplaySession, Target, batch_tensors

_OF_NUMBERS = re.compile(r"\b(nan|inf|(non-?|in)?finite|infinity|infinities)s?\b", re.IGNORECASE)
_OF_TRAINING = {"backward", "step"}
_DISPATCHING = ("_compile.py", "eval_frame.py", "_python_dispatch.py", "_ops.py")
"""Torch's files between an operation and a mode that watches it."""
_MAX_ITEMS = 64
_MAX_TEXT = 300


@dataclass(frozen=True, slots=True)
class Ending:
    """How a bad step ended: by an error that would not have come if all numbers had been finite, for the most part."""

    suspicion: Suspicion
    session: ReplaySession | None
    error: str | None
    """None for a step without a guarded loop around it, which no error has ended."""
    place: Place | None
    """The user's line nearest to the error."""
    note: str | None
    """Why the step was not run again."""
    hint: str | None = None
    """What would help where the verdict is not sure."""
    obstacle: str | None = None
    """Why the step cannot be run again from its bundle."""


def ending_of(error: BaseException, left: Left, watcher: Watcher) -> Ending | None:
    """What made an error that left the loop in the midst of its body; None when it is the loop's own business.

    With something at hand that is not finite, the body is run again twice: once with all numbers made finite, which
    shows whether they are to blame at all, and once under diagnosis. Where that is impossible, they are to blame when
    the line that raised speaks of them. Restores everything if they are not.
    """
    entry = _loop_entry(error, left)
    if entry is None or not isinstance(error, (Exception, SystemExit)) or _is_success(error):
        return None
    named = list(_bad_values(entry))
    if not named and left.suspicion is None and not _is_bad_before(left, watcher) and not _speaks_of_numbers(error):
        return None
    suspicion = left.suspicion or _suspicion(named, left)
    session: ReplaySession | None = None
    note: str | None = None
    try:
        if ranks.num_ranks() > 1:
            raise NoBodyError("the other processes would have to run it as well")
        session = _diagnosed(error, left, suspicion, watcher, entry)
    except OtherPlaceError:
        return None
    except NoBodyError as reason:
        note = f"the loop body was not run again: {reason}"
        if left.suspicion is None and not any(is_named for _, _, is_named in named):
            return None
    if note is None and session is None:
        return None
    return Ending(suspicion, session, in_words(error), place_of_error(error), note)


def _loop_entry(error: BaseException, left: Left) -> TracebackType | None:
    """Where the loop stands in the error's traceback: the guarded one, or else the innermost."""
    if left.surroundings is not None:
        return loop_frame(error.__traceback__, left.surroundings)
    if left.body is not None:
        return _innermost_file(error)
    entries = list(_entries(error.__traceback__))
    try:
        around = body_around((entry.tb_frame, entry.tb_lineno) for entry in reversed(entries))
    except NoBodyError:
        return None
    number = next(i for i, entry in reversed(list(enumerate(entries))) if entry.tb_frame is around.frame)
    # Any other loop must not run again: it may send mails.
    names = around.names.union(*(entry.tb_frame.f_code.co_names for entry in entries[number + 1 :]))
    return entries[number] if names & _OF_TRAINING else None


def _innermost_file(error: BaseException) -> TracebackType | None:
    """Where the traceback comes to the file of the user's line nearest to the error, for the last time."""
    found: TracebackType | None = None
    path = ""
    for entry in _entries(error.__traceback__):
        file = entry.tb_frame.f_code.co_filename
        if is_user_file(file) and file != path:
            found, path = entry, file
    return found


def _is_success(error: BaseException) -> bool:
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _speaks_of_numbers(error: BaseException) -> bool:
    return _OF_NUMBERS.search(str(error)) is not None


def _is_bad_before(left: Left, watcher: Watcher) -> bool:
    """Whether the step began with something that is not finite, or came to a loss that is not."""
    inputs = [tensor for m in left.window.micro_batches for _, tensor in batch_tensors(m.batch)]
    losses = [loss.value for loss in left.window.losses]
    return any(map(_is_bad, [*inputs, *losses, *watcher.tracked.parameters, *watcher.tracked.buffers]))


def _is_bad(tensor: Tensor) -> bool:
    return level_of(tensor) is not Level.FINITE and not has_only_negative_infinity(tensor)


def _suspicion(named: list[tuple[str, Level, bool]], left: Left) -> Suspicion:
    # What the line speaks of that raised is nearest to the error.
    chosen = [item for item in named if item[2]] or named
    found = tuple(f"{name}: {level}" for name, level, _ in chosen)
    last = len(left.window.micro_batches) - 1
    return Suspicion("error", found, "", last, left.window, True, len(left.window.snapshots))


# Running again


def _diagnosed(
    error: BaseException, left: Left, suspicion: Suspicion, watcher: Watcher, entry: TracebackType
) -> ReplaySession | None:
    """The replay; None when the error comes all the same with finite numbers. Raises `NoBodyError`."""
    if left.surroundings is not None:
        body = body_of(error.__traceback__, left.surroundings)
    else:
        body = left.body or body_around([(entry.tb_frame, entry.tb_lineno)]).body
    gradients = [(p, p.grad) for p in watcher.tracked.parameters]
    watcher.restoration.keep_after()
    tensors = [tensor for m in left.window.micro_batches for _, tensor in batch_tensors(m.batch)]
    finite = MadeFinite([*watcher.tracked.parameters, *watcher.tracked.buffers, *tensors])
    frame = entry.tb_frame
    _, with_finite = _run_again(left, suspicion, watcher, body, frame, finite)
    path = frame.f_code.co_filename
    if with_finite is not None and _is_same_error(error, with_finite, path):
        watcher.restoration.after_step()
        for parameter, gradient in gradients:
            parameter.grad = gradient
        return None
    session, again = _run_again(left, suspicion, watcher, body, frame, contextlib.nullcontext())
    if again is None or not _is_same_error(error, again, path):
        came = "no error" if again is None else f"another error, {in_words(again)}"
        raise NoBodyError(f"it was, and came to {came}")
    blame(session, again, path)
    return session


def _run_again(
    left: Left, suspicion: Suspicion, watcher: Watcher, body: Body, frame: FrameType, mode: Any
) -> tuple[ReplaySession, BaseException | None]:
    """All of the window's turns up to an error."""
    with watcher.replaying(suspicion) as session, mode, contextlib.redirect_stdout(io.StringIO()):
        for index, micro_batch in enumerate(left.window.micro_batches):
            micro_batch.rng.restore()
            session.begin_micro_batch(index, micro_batch.batch)
            if left.surroundings is None:
                session.name_variables(frame)
            try:
                body(micro_batch.number, micro_batch.batch)
            except (Exception, SystemExit) as again:
                return session, again
    return session, None


def blame(session: ReplaySession, error: BaseException, path: str) -> None:
    """Finds what the replay is to be asked about: what was at hand where the error was raised.

    `path` is the file of the loop; only frames from there on count.
    """
    for entry in reversed(_script_part(error, path)):
        for name, value in _values(entry.tb_frame):
            if isinstance(value, Tensor) and _is_bad(value):
                event = session.births.event_of(value)
                if event is not None:
                    session.suspects.append(Target("error", name, event, session.births.micro_batch))
        if session.suspects:
            return
    event = session.births.scalar or next(iter(reversed(session.births.events)), None)
    if event is not None:
        session.suspects.append(Target("error", "", event, session.births.micro_batch))


def _is_same_error(a: BaseException, b: BaseException, path: str) -> bool:
    ends = [_script_part(error, path)[-1:] for error in (a, b)]
    places = [[(e.tb_frame.f_code.co_filename, e.tb_lineno) for e in end] for end in ends]
    return type(a) is type(b) and places[0] == places[1]


def _script_part(error: BaseException, path: str) -> list[TracebackType]:
    """The traceback from the loop's file inwards, up to where a replay watches."""
    found: list[TracebackType] = []
    for entry in _entries(error.__traceback__):
        file = entry.tb_frame.f_code.co_filename
        if not found and file != path:
            continue
        if is_own_file(file) and not file.endswith("gate.py"):  # The gate only hands on to an optimizer's closure.
            break
        found.append(entry)
    while found and found[-1].tb_frame.f_code.co_filename.endswith(_DISPATCHING):
        found.pop()
    return found


# What was at hand


def _bad_values(start: TracebackType) -> Iterator[tuple[str, Level, bool]]:
    """Tensors and numbers that are not finite, from the loop's frame inwards; the innermost frame's first.

    With each goes whether the line that the frame stands on speaks of it.
    """
    for entry in reversed(list(_entries(start))):
        frame = entry.tb_frame
        words: set[str] | None = None
        for name, value in _values(frame):
            level = _level(value)
            if level is Level.FINITE:
                continue
            words = _spoken_of(frame, entry.tb_lineno) if words is None else words
            # The smallest loss so far begins with inf.
            if isinstance(value, float) and name not in words:
                continue
            where = "" if frame is start.tb_frame else f" in {frame.f_code.co_name}"
            # The innermost only: a call higher up hands on many things.
            yield f"{name}{where}", level, entry.tb_next is None and name.partition("[")[0] in words


def _level(value: Any) -> Level:
    if isinstance(value, Tensor):
        return level_of(value) if _is_bad(value) else Level.FINITE
    if isinstance(value, float) and not math.isfinite(value):
        return Level.NAN if math.isnan(value) else Level.INF
    return Level.FINITE


def _values(frame: FrameType) -> Iterator[tuple[str, Any]]:
    """Local variables and what their lists, tuples and dicts hold; of a module's globals all."""
    for name, value in list(frame.f_locals.items()):
        yield name, value
        if isinstance(value, (list, tuple)):
            yield from ((f"{name}[{index}]", item) for index, item in enumerate(value[:_MAX_ITEMS]))
        elif isinstance(value, dict) and frame.f_locals is not value:
            yield from ((f"{name}[{key!r}]", item) for key, item in list(value.items())[:_MAX_ITEMS])


def _spoken_of(frame: FrameType, line: int) -> set[str]:
    """Names in the statement on this line, and in the conditions under which it is reached."""
    text = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return set()
    parts: list[ast.AST] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or 0):
            continue
        if isinstance(node, (ast.If, ast.While)):
            parts.append(node.test)
        elif not hasattr(node, "body"):
            parts.append(node)
    return {name.id for part in parts for name in ast.walk(part) if isinstance(name, ast.Name)}


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def in_words(error: BaseException) -> str:
    """Its type and the first line of its text."""
    text = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    return f"{name}: {text}"[:_MAX_TEXT] if text else name


def place_of_error(error: BaseException) -> Place | None:
    """The user's line nearest to where it was raised."""
    entries = [e for e in _entries(error.__traceback__) if is_user_file(e.tb_frame.f_code.co_filename)]
    if not entries:
        return None
    code = entries[-1].tb_frame.f_code
    return place_of((code.co_filename, entries[-1].tb_lineno, code.co_name))
