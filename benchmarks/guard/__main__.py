"""Measures what the guard costs and writes guard.md and its plot. `python -m benchmarks.guard [--rounds N]`."""

from __future__ import annotations

import argparse
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.guard.plot import chart
from benchmarks.guard.timing import Times, take_turns
from benchmarks.guard.tools import TOOLS, bare, guard
from benchmarks.guard.workloads import WORKLOADS, Workload, elements, tensors
from benchmarks.machine import machine_in_words

FOLDER = Path(__file__).parents[1]
_COUNTS = (16, 64, 256, 1024)
_NUMELS = (10_000, 100_000, 1_000_000, 10_000_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="rounds of ten steps for each tool")
    parser.add_argument("--dry", action="store_true", help="print, do not write")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tools = dict(TOOLS)
    if importlib.util.find_spec("transformers") is None:
        del tools["transformers DebugUnderflowOverflow"]
    results = {name: take_turns(make, tools, arguments.rounds) for name, make in WORKLOADS.items()}
    lines = {
        "with the number of parameter tensors": [
            (n, _added_ms(lambda n=n: tensors(n), arguments.rounds)) for n in _COUNTS
        ],
        "with the number of elements, in 9 tensors": [
            (n, _added_ms(lambda n=n: elements(n), arguments.rounds)) for n in _NUMELS
        ],
    }
    page = _page(results, lines)
    print(page)
    if not arguments.dry:
        (FOLDER / "guard.md").write_text(page, encoding="utf-8")
        plot = chart(
            lines, title="What the guard adds to a step", x_label="tensors, or elements", y_label="ms per step"
        )
        (FOLDER / "guard.svg").write_text(plot, encoding="utf-8")


def _added_ms(make: Callable[[], Workload], num_rounds: int) -> float:
    """Mean step of a round with the guard, less that without."""
    times = take_turns(make, {"bare": bare, "guard": guard}, num_rounds)
    return max(times["guard"].median_of_rounds_ms - times["bare"].median_of_rounds_ms, 1e-3)


def _page(results: dict[str, dict[str, Times]], lines: dict[str, list[tuple[float, float]]]) -> str:
    workloads = ", ".join(f"{name} {times['nothing'].median_ms:.1f} ms" for name, times in results.items())
    rows = [
        "# What the guard costs",
        "",
        "Written by `make bench-guard`. All tools run in one process and take turns, ten steps at a time, in an",
        "order that is drawn anew each round. A cell is the median over rounds of the time of ten steps beside that of",
        "ten steps with nothing in the same round, in CPU time of one thread. Steps with nothing take, in the median:",
        f"{workloads}.",
        "",
        f"Measured with torch {torch.__version__}, one thread, on {machine_in_words()}.",
        "",
        f"| tool | {' | '.join(results)} |",
        f"| --- |{' ---: |' * len(results)}",
    ]
    names = [name for name in next(iter(results.values())) if name != "nothing"]
    rows += [
        f"| {name} | {' | '.join(f'{times[name].ratio - 1:+.1%}' for times in results.values())} |" for name in names
    ]
    rows += ["", "![What the guard adds to a step, in ms](guard.svg)", "", "| | |", "| --- | ---: |"]
    for name, line in lines.items():
        rows += [f"| {name}: {count:,} | {added:.2f} ms |" for count, added in line]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    main()
