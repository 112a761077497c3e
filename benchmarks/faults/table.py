"""Counts what tools name right, and writes the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import torch

from benchmarks.faults.results import Cell, Result
from benchmarks.faults.tools import Named
from benchmarks.machine import machine_in_words
from tests.runtime_guard.faults.architectures import ARCHITECTURES
from tests.runtime_guard.faults.injection import Truth

ASPECTS = ("step", "module", "operation", "line")


_INTRODUCTION = """\
Written by `make faults`. {num_faults} kinds of fault in {num_architectures} architectures ({architectures}), each at
{num_seeds} that {are} drawn: {num_cases} cases with exact step, module, operation and line known. {peers} A cell
says how many cases a tool names right, and in brackets how many it names wrong; a module, operation or line counts only
when the step is right. The faults are in `tests/runtime_guard/faults/`."""

_SAMPLED = """\
Its peers are tried on {num_shared} of them, in
architectures that are drawn for each fault by a fixed seed."""

_REMARKS = """\
Anomaly mode sees NaN only, and only in backward: of a NaN from the forward pass it names a victim. Forward hooks see
nothing of backward, and nothing outside of modules. The learning rate that explodes has no line; there the step
counts, and that the history shows the jump."""


class Tally:
    """Right, wrong and possible answers of one tool."""

    def __init__(self) -> None:
        self.right: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.possible: Counter[str] = Counter()
        self.early = 0
        self.right_by_fault: Counter[tuple[str, str]] = Counter()
        self.possible_by_fault: Counter[tuple[str, str]] = Counter()

    def add(self, fault: str, named: Named | None, truth: Truth) -> None:
        asked = {
            "step": True,
            "module": truth.module is not None,
            "operation": bool(truth.operations) and truth.kind == "operation",
            "line": truth.line is not None,
        }
        is_on_step = named is not None and named.step == truth.step
        self.early += named is not None and truth.step is not None and named.step < truth.step
        for aspect in ASPECTS:
            if not asked[aspect]:
                continue
            self.possible[aspect] += 1
            self.possible_by_fault[fault, aspect] += 1
            answer = named is not None and _is_right(aspect, named, truth) and is_on_step
            said = named is not None and (aspect == "step" or _said(aspect, named))
            self.right[aspect] += answer
            self.right_by_fault[fault, aspect] += answer
            self.wrong[aspect] += said and not answer


def _said(aspect: str, named: Named) -> bool:
    return {"module": named.modules, "operation": named.operation, "line": named.line}[aspect] is not None


def _is_right(aspect: str, named: Named, truth: Truth) -> bool:
    match aspect:
        case "step":
            return named.step == truth.step
        case "module":
            return named.modules is not None and truth.module in named.modules
        case "operation":
            return named.operation is not None and named.operation.strip("_") in truth.operations
        case _:
            return named.line == (truth.path, truth.line)


def write(
    results: Sequence[Result],
    faults: Sequence[str],
    cells: Collection[Cell],
    shared: Collection[Cell],
    tools: list[str],
) -> str:
    """The page as Markdown. `cells` are all that were asked for, `shared` those that every tool was tried on."""
    # Where a fault does nothing in an architecture, there is nothing to find.
    results = [result for result in results if result.cell in cells and result.truth.step is not None]
    of_guard = [result for result in results if result.tool == tools[0]]
    guard = _tally(of_guard)
    wrong = [result for result in of_guard if result.complaint]
    num_shared = sum(result.cell in shared for result in of_guard)
    is_whole = num_shared == len(of_guard)
    num_seeds = len({seed for _, _, seed in cells})
    lines = [
        "# Injected faults",
        "",
        _INTRODUCTION.format(
            num_faults=len(faults),
            num_architectures=len(ARCHITECTURES),
            architectures=", ".join(ARCHITECTURES),
            num_seeds="one place" if num_seeds == 1 else f"{num_seeds} places",
            are="is" if num_seeds == 1 else "are",
            num_cases=guard.possible["step"],
            peers="Its peers are tried on the same." if is_whole else _SAMPLED.format(num_shared=num_shared),
        ),
        "",
        f"Measured with torch {torch.__version__} on {machine_in_words()}.",
        "",
        "| tool | step | module | operation | line | before anything was wrong |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        _row(tools[0] if is_whole else f"{tools[0]}, all cases", guard),
    ]
    for tool in tools[is_whole:]:
        rows = [result for result in results if result.tool == tool and result.cell in shared]
        lines.append(_row(tool, _tally(rows)))
    lines += [
        "",
        "The guard, by fault:",
        "",
        "| fault | step | module | operation | line |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for fault in faults:
        cells = [
            f"{guard.right_by_fault[fault, a]} of {guard.possible_by_fault[fault, a]}"
            if guard.possible_by_fault[fault, a]
            else ""
            for a in ASPECTS
        ]
        lines.append(f"| {fault} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Verdicts of the guard in which anything was wrong (also rule, phase, samples, history): {len(wrong)}.",
        "",
        *[
            f"- {fault} in {architecture}, place {seed}: {r.complaint}"
            for r in wrong
            for fault, architecture, seed in [r.cell]
        ],
        "",
        _REMARKS,
    ]
    return "\n".join(lines).rstrip() + "\n"


def _tally(results: Iterable[Result]) -> Tally:
    tally = Tally()
    for result in results:
        tally.add(result.cell[0], result.named, result.truth)
    return tally


def _row(name: str, tally: Tally) -> str:
    cells = [f"{tally.right[a]} of {tally.possible[a]} ({tally.wrong[a]})" for a in ASPECTS]
    return f"| {name} | {' | '.join(cells)} | {tally.early} |"
