"""Runs the fault matrix and writes faults.md. `python -m benchmarks.faults [--seeds N] [--only FAULT]`."""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections import defaultdict
from pathlib import Path

import torch

from benchmarks.faults.table import Tally, write
from benchmarks.faults.tools import available
from tests.runtime_guard.faults.architectures import ARCHITECTURES
from tests.runtime_guard.faults.injection import FAULTS, final_truth, first_bad_step, inject
from tests.runtime_guard.faults.scoring import score

PAGE = Path(__file__).parents[1] / "faults.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="places of each fault in each architecture")
    parser.add_argument("--only", action="append", help="a fault, several times for several")
    parser.add_argument("--dry", action="store_true", help="print, do not write the page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    tools = available()
    tallies: dict[str, Tally] = defaultdict(Tally)
    wrong: list[str] = []
    start = time.perf_counter()
    for fault in arguments.only or FAULTS:
        for architecture in ARCHITECTURES:
            for seed in range(arguments.seeds):
                torch._dynamo.reset()
                found = score(fault, architecture, seed)
                if not found.is_all_right:
                    wrong.append(f"{fault} in {architecture}, place {seed}: {found.incident}")
                if found.truth.step is None:
                    continue
                for name, tool in tools.items():
                    case = inject(fault, architecture, seed)
                    named = tool(case)
                    truth = final_truth(case)
                    if truth.step == -1:
                        truth.step = first_bad_step(fault, architecture, seed)
                    tallies[name].add(fault, named, truth)
        print(f"{fault}: {time.perf_counter() - start:.0f} s", flush=True)
    page = write(tallies, wrong, FAULTS if not arguments.only else tuple(arguments.only), arguments.seeds)
    if arguments.dry:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
