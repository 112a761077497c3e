"""Runs the fault matrix and writes faults.md. `python -m benchmarks.faults [--seeds N] [--peers N] [--only FAULT]`.

The guard is tried in every architecture. With `--peers` below their number its peers are tried in some that are drawn
for each fault by a fixed seed, and the guard is counted on those once more. What an interrupted run has found is kept.
"""

from __future__ import annotations

import argparse
import logging
import random
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from benchmarks.faults.results import Cell, Result, Results
from benchmarks.faults.table import write
from benchmarks.faults.tools import Named, available, named_in
from tests.runtime_guard.faults.architectures import ARCHITECTURES
from tests.runtime_guard.faults.injection import FAULTS, Case, inject
from tests.runtime_guard.faults.scoring import score

PAGE = Path(__file__).parents[1] / "faults.md"
KEPT = Path(__file__).parents[2] / "build" / "faults.jsonl"
GUARD = "runtime_guard"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="places of each fault in each architecture")
    parser.add_argument(
        "--peers", type=int, default=len(ARCHITECTURES), help="architectures for the peers, of each fault"
    )
    parser.add_argument("--only", action="append", help="a fault, several times for several")
    parser.add_argument("--dry", action="store_true", help="print, do not write the page, and keep what was found")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    faults = tuple(arguments.only or FAULTS)
    tools = {name: tool for name, tool in available().items() if name != GUARD}
    results = Results(KEPT)
    start = time.perf_counter()
    for fault in faults:
        for cell in _cells(fault, list(ARCHITECTURES), arguments.seeds):
            _try_guard(results, cell)
        for cell in _cells(fault, _drawn(fault, arguments.peers), arguments.seeds):
            for name, tool in tools.items():
                _try_peer(results, name, tool, cell)
        print(f"{fault}: {time.perf_counter() - start:.0f} s", flush=True)
    # An earlier run may have been asked for more.
    cells = {cell for fault in faults for cell in _cells(fault, list(ARCHITECTURES), arguments.seeds)}
    shared = {cell for fault in faults for cell in _cells(fault, _drawn(fault, arguments.peers), arguments.seeds)}
    page = write(results.found, faults, cells, shared, [GUARD, *tools])
    if arguments.dry:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")
        results.forget()


def _cells(fault: str, architectures: list[str], num_seeds: int) -> Iterator[Cell]:
    for architecture in architectures:
        for seed in range(num_seeds):
            yield fault, architecture, seed


def _drawn(fault: str, number: int) -> list[str]:
    names = list(ARCHITECTURES)
    # A string as seed draws the same in every process, whatever the hash seed.
    return sorted(random.Random(fault).sample(names, min(number, len(names))), key=names.index)


def _try_guard(results: Results, cell: Cell) -> None:
    if results.has(GUARD, cell):
        return
    torch._dynamo.reset()
    found = score(*cell)
    complaint = "" if found.is_all_right else str(found.incident)[:300]
    results.add(Result(GUARD, cell, named_in(found.incident), found.truth, complaint))


def _try_peer(results: Results, name: str, tool: Callable[[Case], Named | None], cell: Cell) -> None:
    if results.has(name, cell):
        return
    torch._dynamo.reset()
    # A peer that stops too early does not get to where the truth is known.
    results.add(Result(name, cell, tool(inject(*cell)), results.truth(cell)))


if __name__ == "__main__":
    main()
