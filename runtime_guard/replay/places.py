"""Where in the user's code, and in which module, an operation runs."""

from __future__ import annotations

import functools
import linecache
import sys
import sysconfig
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from torch import nn
from typing_extensions import Self

import runtime_guard
from runtime_guard.incidents.incident import Place
from runtime_guard.state import join_name

_TORCH = str(Path(torch.__file__).parent)
_OWN = str(Path(runtime_guard.__file__).parent)
_STARTS = (str(Path(_OWN, "scripts", "script.py")), str(Path(_OWN, "loops", "body.py")))
_LIBRARY = sysconfig.get_path("stdlib")
_ENGINE = str(Path(_TORCH, "autograd", "graph.py"))
_CHECKPOINT = str(Path(_TORCH, "utils", "checkpoint.py"))

MAX_STACK = 24


@functools.lru_cache(maxsize=4096)
def is_user_file(path: str) -> bool:
    """Whether a file is neither torch, nor this package, nor Python itself. Other libraries count as the user's."""
    if path.startswith("<"):
        return path.startswith(("<ipython", "<stdin>"))
    if _is_in(path, _TORCH) or _is_in(path, _OWN):
        return False
    return "site-packages" in path or "dist-packages" in path or not _is_in(path, _LIBRARY)


def is_own_file(path: str) -> bool:
    """Whether it is this package's."""
    return _is_in(path, _OWN)


def _is_in(path: str, folder: str) -> bool:
    return path.startswith((folder + "/", folder + "\\"))


Line = tuple[str, int, str]
"""Path, line and function: what a frame says at no cost."""


class CallSite:
    """The user's line nearest to an operation, and how the operation was reached."""

    __slots__ = ("is_engine", "is_recomputed", "line")

    def __init__(self, frame: FrameType | None) -> None:
        self.line: Line | None = None
        self.is_engine = False
        """Whether the autograd engine ran the operation itself, with no Python code in between."""
        self.is_recomputed = False
        """Whether a checkpoint recomputed it during backward."""
        while frame is not None:
            path = frame.f_code.co_filename
            if is_user_file(path):
                if self.line is None:
                    self.line = (path, frame.f_lineno, frame.f_code.co_name)
            elif path == _ENGINE and frame.f_code.co_name == "_engine_run_backward":
                self.is_engine = self.line is None
                if self.line is not None:
                    return
            elif path == _CHECKPOINT and self.line is not None:
                self.is_recomputed = True
                return
            if self.line is not None and not _in_backward():
                return
            frame = frame.f_back


def _in_backward() -> bool:
    return torch._C._current_autograd_node() is not None


def user_stack(frame: FrameType | None) -> tuple[Line, ...]:
    """The user's lines from the outermost to the innermost, at most `MAX_STACK` of them."""
    lines: list[Line] = []
    while frame is not None and len(lines) < MAX_STACK:
        if frame.f_code.co_filename in _STARTS:
            break  # Above it is the command that started the script, or whoever runs a loop's body again.
        if is_user_file(frame.f_code.co_filename):
            lines.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return tuple(reversed(lines))


def place_of(line: Line | None) -> Place | None:
    """With the line's text, which is read from the file."""
    if line is None:
        return None
    path, number, function = line
    return Place(path, number, function, linecache.getline(path, number).strip())


class ModuleStack:
    """Which modules' `forward` is running, in each thread; as a context manager it listens to all modules.

    With hooks for all modules at once, because hooks on single modules would change the model, never fire on modules
    that are compiled already, and miss loss modules that are no part of the model.
    """

    def __init__(self, models: dict[str, nn.Module]) -> None:
        self._names: dict[int, tuple[str, ...]] = {}
        names: dict[int, list[str]] = {}
        for prefix, model in models.items():
            for name, module in model.named_modules(remove_duplicate=False):
                names.setdefault(id(module), []).append(join_name(prefix, name))
        # A wrapper (compiled, data parallel) and what it wraps both come out without a name, as the model itself.
        self._names = {key: tuple(name for name in found if name) or ("",) for key, found in names.items()}
        self._local = threading.local()
        self._handles: list[Any] = []
        self.num_entered = 0

    def __enter__(self) -> Self:
        hooks = torch.nn.modules.module
        self._handles = [
            hooks.register_module_forward_pre_hook(self._enter),
            hooks.register_module_forward_hook(self._leave, always_call=True),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    @property
    def current(self) -> tuple[nn.Module, ...]:
        return tuple(self._stack)

    @property
    def _stack(self) -> list[nn.Module]:
        stack: list[nn.Module] | None = getattr(self._local, "stack", None)
        if stack is None:
            stack = self._local.stack = []
        return stack

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._stack.append(module)
        self.num_entered += 1

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        stack = self._stack
        while stack and stack.pop() is not module:
            pass

    def names_of(self, stack: tuple[nn.Module, ...]) -> tuple[str, ...]:
        """Names of the innermost module that is a part of a model."""
        for module in reversed(stack):
            names = self._names.get(id(module))
            if names is not None:
                return names
        return ()

    def describe(self, stack: tuple[nn.Module, ...]) -> tuple[tuple[str, ...], str]:
        """Names and type of the innermost module; one outside of all models is named by its type."""
        if not stack:
            return (), ""
        innermost = stack[-1]
        kind = type(innermost).__name__
        names = self._names.get(id(innermost))
        return (names, kind) if names is not None else ((), kind)


def frame_above(depth: int) -> FrameType | None:
    """The frame `depth` calls above the caller."""
    return sys._getframe(depth + 1)
