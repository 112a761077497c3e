"""What was found so far, a line of JSON for each case and tool, so that an interrupted run goes on where it was."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.tools import Named
from tests.runtime_guard.faults.injection import Truth

Cell = tuple[str, str, int]
"""Fault, architecture and place."""


@dataclass(frozen=True)
class Result:
    """What a tool said of one case."""

    tool: str
    cell: Cell
    named: Named | None
    truth: Truth
    complaint: str = ""
    """The guard's incident, where anything in it is wrong."""


class Results:
    """All results, in the order in which they were found."""

    def __init__(self, file: Path) -> None:
        """Reads what an earlier run has left in the file; a line that it was killed in does not count."""
        self._file = file
        self.found: list[Result] = []
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        for line in lines:
            try:
                self.found.append(_read(json.loads(line)))
            except json.JSONDecodeError:
                continue
        self._known = {(result.tool, result.cell) for result in self.found}

    def has(self, tool: str, cell: Cell) -> bool:
        return (tool, cell) in self._known

    def truth(self, cell: Cell) -> Truth:
        """What is known about the case since some tool was tried on it."""
        return next(result.truth for result in self.found if result.cell == cell)

    def add(self, result: Result) -> None:
        """Is on the disk when it returns."""
        self.found.append(result)
        self._known.add((result.tool, result.cell))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dataclasses.asdict(result)) + "\n")

    def forget(self) -> None:
        """The page is written; the next run begins anew."""
        self._file.unlink(missing_ok=True)


def _read(data: dict[str, object]) -> Result:
    named, truth, cell = data["named"], data["truth"], data["cell"]
    assert isinstance(truth, dict)
    assert isinstance(cell, list)
    return Result(
        tool=str(data["tool"]),
        cell=(cell[0], cell[1], cell[2]),
        named=_named(named) if isinstance(named, dict) else None,
        truth=Truth(**{**truth, "operations": tuple(truth["operations"]), "samples": tuple(truth["samples"])}),
        complaint=str(data["complaint"]),
    )


def _named(data: dict[str, object]) -> Named:
    step, modules, operation, line = (data[key] for key in ("step", "modules", "operation", "line"))
    assert isinstance(step, int)
    return Named(
        step,
        tuple(modules) if isinstance(modules, list) else None,
        operation if isinstance(operation, str) else None,
        (line[0], line[1]) if isinstance(line, list) else None,
    )
