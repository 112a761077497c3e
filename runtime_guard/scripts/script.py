"""How this process was started, and how to start the like of it again."""

from __future__ import annotations

import linecache
import runpy
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

STDIN = "-"
_STDIN_FILE = "<stdin>"

_running: list[Script] = []


@dataclass(frozen=True, slots=True)
class Script:
    """A script or module with its arguments."""

    path: str | None
    module: str | None
    arguments: tuple[str, ...] | list[str]
    folder: str
    """The current folder at its start."""
    is_attached: bool = False
    """Whether `runtime-guard run` started it."""

    @classmethod
    def of_this_process(cls) -> Script | None:
        """None when Python was started without a script: a notebook, a prompt, a test runner."""
        if _running:
            return _running[-1]
        main = sys.modules.get("__main__")
        path = getattr(main, "__file__", None)
        if main is None or path is None or not Path(path).is_file():
            return None
        spec = getattr(main, "__spec__", None)
        if spec is not None and spec.name:
            name = spec.name.removesuffix(".__main__")
            return None if name.partition(".")[0] in _NO_TRAININGS else cls(None, name, sys.argv[1:], str(Path.cwd()))
        if Path(path).name in _NO_TRAININGS:
            return None
        return cls(str(Path(path).absolute()), None, sys.argv[1:], str(Path.cwd()))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @contextmanager
    def running(self) -> Iterator[None]:
        """While this lasts, it is what this process runs."""
        _running.append(self)
        try:
            yield
        finally:
            _running.remove(self)

    def run(self) -> None:
        """Runs it in this process as `__main__`."""
        argv = [self.path or self.module or "", *self.arguments]
        with self.running(), _arguments(argv, self._import_folder()):
            if self.path == STDIN:
                _run_text(sys.stdin.read())
            elif self.path is not None:
                runpy.run_path(self.path, run_name="__main__")
            else:
                assert self.module is not None
                runpy.run_module(self.module, run_name="__main__", alter_sys=True)

    def _import_folder(self) -> str:
        """Where Python would look first for the script's imports."""
        if self.path == STDIN:
            return ""
        if self.path is None:
            return str(Path.cwd())
        path = Path(self.path).absolute()
        return str(path if path.is_dir() else path.parent)


def _run_text(text: str) -> None:
    """As Python runs what comes by standard input, with its lines kept for tracebacks."""
    linecache.cache[_STDIN_FILE] = (len(text), None, text.splitlines(keepends=True), _STDIN_FILE)
    module = types.ModuleType("__main__")
    module.__file__ = _STDIN_FILE
    before = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        exec(compile(text, _STDIN_FILE, "exec"), module.__dict__)  # noqa: S102 - it is what was asked for
    finally:
        sys.modules["__main__"] = before


_NO_TRAININGS = {
    "pytest",
    "unittest",
    "ipykernel_launcher",
    "ipykernel",
    "IPython",
    "py.test",
    "runtime_guard",
    "xdist",
}


@contextmanager
def _arguments(argv: list[str], folder: str) -> Iterator[None]:
    before, path = sys.argv, list(sys.path)
    sys.argv = argv
    sys.path[:] = [folder, *sys.path]
    try:
        yield
    finally:
        sys.argv, sys.path[:] = before, path
