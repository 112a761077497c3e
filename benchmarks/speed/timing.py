"""Time and memory of a command, measured from outside."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_MEBI = 2**20
# Linux counts ru_maxrss in KiB, macOS in bytes.
_RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Command:
    """A command to measure."""

    args: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    good_exit_codes: tuple[int, ...] = (0, 1)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a command took."""

    wall_s: float
    cpu_s: float
    """User and system seconds of the process and of those it waited for."""
    peak_mib: float
    exit_code: int


class CommandFailedError(Exception):
    """A command that is to be measured did not do its work, so that its time means nothing."""


def run_command(command: Command) -> Run:
    """Runs a command to its end, its output thrown away. Raises `CommandFailedError`."""
    environment = {**os.environ, **command.environment}
    start = time.perf_counter()
    process = subprocess.Popen(
        command.args,
        cwd=command.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    # The process is waited for already; Popen must not wait for its number again.
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in command.good_exit_codes:
        again = subprocess.run(
            command.args, cwd=command.folder, env=environment, capture_output=True, text=True, check=False
        )
        raise CommandFailedError(f"{' '.join(command.args)}: exit code {process.returncode}\n{again.stderr[-4000:]}")
    peak = usage.ru_maxrss * _RSS_UNIT_BYTES / _MEBI
    return Run(wall, usage.ru_utime + usage.ru_stime, peak, process.returncode)


def run_rounds(
    commands: Mapping[str, Command], rounds: int, progress: Callable[[str, Run], None]
) -> dict[str, list[Run]]:
    """Runs all commands in turn, `rounds` times, so that a slow minute of the machine falls on all of them."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            run = run_command(command)
            progress(name, run)
            runs[name].append(run)
    return runs


def wall_s(runs: Sequence[Run]) -> float:
    """Median of the wall time."""
    return statistics.median(run.wall_s for run in runs)


def cpu_s(runs: Sequence[Run]) -> float:
    """Median of the processor time."""
    return statistics.median(run.cpu_s for run in runs)


def peak_mib(runs: Sequence[Run]) -> float:
    """Median of the memory."""
    return statistics.median(run.peak_mib for run in runs)


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Median of the ratios within each round, which a machine that slows down between rounds does not distort."""
    return statistics.median(upper / lower for upper, lower in zip(over, under))  # noqa: B905 - peers run in fewer rounds


def exit_codes(runs: Sequence[Run]) -> str:
    """All exit codes that were seen."""
    return ", ".join(str(code) for code in sorted({run.exit_code for run in runs}))
