"""The contract of sinks: where readings go once they are on the host."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from runtime_guard.reading import Readings


class Sink(Protocol):
    """Takes readings, on a thread of its own. What it raises costs a warning and the sink, not the training.

    What it cannot show it leaves out. Those in `runtime_guard.sinks` also have a class method `of_run`, which takes the
    run's folder, or None, and makes the sink that its name stands for, or None when it can do nothing without a folder.
    """

    def write(self, readings: Readings, step: int) -> None:
        """Steps come in order, except after a rollback, which goes back to an older one."""

    def close(self) -> None:
        """Afterwards all is where it belongs; once more does nothing."""


def sink_names() -> list[str]:
    """The files of `runtime_guard.sinks`."""
    return [info.name for info in pkgutil.iter_modules(importlib.import_module("runtime_guard.sinks").__path__)]


def known_name(name: str) -> str:
    """The file that a name stands for; `tensorboard` and `json-lines` are understood. Raises ValueError."""
    known = {_letters(file): file for file in sink_names()}
    if _letters(name) in known:
        return known[_letters(name)]
    close = difflib.get_close_matches(name, sink_names(), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"expected {', '.join(sink_names())}"
    raise ValueError(f"there is no sink {name!r}; {hint}")


def sink_of_run(name: str, folder: Path | None) -> Sink | None:
    """The sink of that name; None when it can do nothing without a folder. Raises ValueError for an unknown name."""
    file = known_name(name)
    module: Any = importlib.import_module(f"runtime_guard.sinks.{file}")
    made: Sink | None = getattr(module, file.title().replace("_", "")).of_run(folder)
    return made


def imported(module: str, extra: str) -> Any:
    """A package that only some have. Raises ModuleNotFoundError that says how to get it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        text = f"{error}; install it with: pip install 'pipeline-lint[{extra}]'"
        raise ModuleNotFoundError(text, name=error.name) from None


def _letters(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
