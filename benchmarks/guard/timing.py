"""Times of steps, taken in turns, so that a machine that slows down slows down everybody.

Time of this process's CPU, not of the clock on the wall: what else runs on the machine is nobody's cost.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.guard.tools import Steps
from benchmarks.guard.workloads import Workload

_ROUND = 10
"""Steps in a row: as many as lie between two samples of the guard's early warnings."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of one tool."""

    median_ms: float
    """Median over all steps."""
    median_of_rounds_ms: float
    """Median over rounds of the mean step of a round, which a step that costs more now and then raises."""
    ratio: float
    """Median over rounds of the round's mean beside that of the first tool in the same round."""


def take_turns(
    make: Callable[[], Workload], tools: Mapping[str, Callable[[Workload], Steps]], num_rounds: int
) -> dict[str, Times]:
    """Times of each tool. The first one is what the others are compared with."""
    steps = {name: tool(make()) for name, tool in tools.items()}
    for running in steps.values():
        for _ in range(12):
            next(running)
    single: dict[str, list[float]] = {name: [] for name in steps}
    means: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for _ in range(num_rounds):
        random.shuffle(order)
        for name in order:
            taken = [_timed(steps[name]) for _ in range(_ROUND)]
            single[name] += taken
            means[name].append(statistics.mean(taken))
    first = means[next(iter(steps))]
    return {
        name: Times(
            statistics.median(single[name]),
            statistics.median(means[name]),
            statistics.median(own / base for own, base in zip(means[name], first, strict=True)),
        )
        for name in steps
    }


def _timed(steps: Steps) -> float:
    start = time.process_time()
    next(steps)
    return (time.process_time() - start) * 1000
