"""What is measured: named commands, and the figures made of their runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.inputs import MEMORY_STEPS, REPOSITORY, Inputs
from benchmarks.speed.peers import REQUIREMENTS, peer_command
from benchmarks.speed.timing import Command, Run, cpu_s, exit_codes, median_ratio, peak_mib, wall_s

Runs = Mapping[str, Sequence[Run]]

PARSE, RANGES, COLD, COLD_2 = "parse", "ranges", "cold", "cold, 2 processes"
WARM, START, IMPORTS = "warm", "start", "imports"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a target speaks of."""

    what: str
    value: float
    unit: str
    limit: float
    is_ceiling: bool = True
    """Whether the value must stay below the limit; else it must reach it."""

    @property
    def is_met(self) -> bool:
        return self.value <= self.limit if self.is_ceiling else self.value >= self.limit


def own_commands(inputs: Inputs) -> dict[str, Command]:
    """The checker and its yardsticks; every round runs them all."""
    python = sys.executable
    parse = Path(__file__).with_name("parse_only.py")
    cold = ("--no-cache", "--jobs", "1")
    commands = {
        PARSE: Command((python, str(parse), str(inputs.timm_parsed)), inputs.timm.parent),
        RANGES: Command(
            (python, str(parse), str(inputs.timm_parsed), "--ranges"),
            inputs.timm.parent,
            {"PYTHONPATH": str(REPOSITORY)},
        ),
        COLD: _checker(inputs.timm, *cold),
        COLD_2: _checker(inputs.timm, "--no-cache", "--jobs", "2"),
        WARM: _checker(inputs.warm),
        IMPORTS: Command((python, "-c", "import libcst, click"), inputs.small_file.parent),
        START: _checker(inputs.small_file),
    }
    commands |= {_memory(number): _checker(folder, *cold) for number, folder in inputs.memory.items()}
    return commands


def peer_commands(inputs: Inputs, names: Sequence[str] = tuple(REQUIREMENTS)) -> dict[str, Command]:
    """The peers over timm. Makes their environments; raises `PeerError`."""
    # TorchFix and Fixit exit with other codes, too, when they have findings in files that they cannot handle.
    codes = (0, 1, 2, 3, 4)
    return {name: Command(peer_command(name, inputs.timm), inputs.timm.parent, good_exit_codes=codes) for name in names}


def figures(runs: Runs) -> list[Figure]:
    """The targets, with what was reached."""
    most, fewest = _memory(MEMORY_STEPS[-1]), _memory(MEMORY_STEPS[0])
    found = [
        Figure(
            "parsing and ranges of values, against parsing alone (CPU time)", _cpu_ratio(runs, RANGES, PARSE), "x", 2
        ),
        Figure("cold, one process, against parsing the same files (CPU time)", _cpu_ratio(runs, COLD, PARSE), "x", 2.5),
        Figure("two processes against one (wall time)", _wall_ratio(runs, COLD, COLD_2), "x", 1.7, is_ceiling=False),
        Figure("1000 files, nothing changed (wall time)", wall_s(runs[WARM]), "s", 0.5),
        Figure(
            "one cached file, against importing libcst and click (wall time)",
            _wall_ratio(runs, START, IMPORTS),
            "x",
            1.5,
        ),
        Figure(
            f"peak memory, {MEMORY_STEPS[-1]} files against {MEMORY_STEPS[0]}",
            peak_mib(runs[most]) / peak_mib(runs[fewest]),
            "x",
            1.2,
        ),
    ]
    if "TorchFix" in runs:
        faster = _cpu_ratio(runs, "TorchFix", COLD)
        found.insert(2, Figure("faster than TorchFix on timm (CPU time)", faster, "x", 10, is_ceiling=False))
    return found


def table_rows(runs: Runs) -> list[list[str]]:
    """Each command with its medians: what, wall, CPU, relative to parsing, peak memory, exit codes."""
    rows = []
    for name, of_name in runs.items():
        relative = f"{cpu_s(of_name) / cpu_s(runs[PARSE]):.2f}" if name in _OVER_TIMM else ""
        seconds = [f"{wall_s(of_name):.2f}", f"{cpu_s(of_name):.2f}"]
        memory = f"{peak_mib(of_name):.0f}"
        rows.append([_LABELS.get(name, name), *seconds, relative, memory, exit_codes(of_name), str(len(of_name))])
    return rows


def _checker(target: Path, *options: str) -> Command:
    args = (sys.executable, "-m", "pipeline_lint", "check", str(target), "--isolated", *options)
    return Command(args, target if target.is_dir() else target.parent, {"PYTHONPATH": str(REPOSITORY)})


def _cpu_ratio(runs: Runs, over: str, under: str) -> float:
    return median_ratio([run.cpu_s for run in runs[over]], [run.cpu_s for run in runs[under]])


def _wall_ratio(runs: Runs, over: str, under: str) -> float:
    return median_ratio([run.wall_s for run in runs[over]], [run.wall_s for run in runs[under]])


def _memory(number: int) -> str:
    return f"memory, {number} files"


_OVER_TIMM = {PARSE, RANGES, COLD, COLD_2, *REQUIREMENTS}
_LABELS = {
    PARSE: "`libcst.parse_module` of the files that the checker parses",
    RANGES: "the same files parsed, with the ranges of their values",
    COLD: "pipeline-lint, cold, one process",
    COLD_2: "pipeline-lint, cold, two processes",
    WARM: "pipeline-lint, 1000 files, nothing changed",
    IMPORTS: '`python -c "import libcst, click"`',
    START: "pipeline-lint, one cached file",
    **{_memory(number): f"pipeline-lint, cold, {number} files of five packages" for number in MEMORY_STEPS},
    **{name: " ".join(requirements[:1]) for name, requirements in REQUIREMENTS.items()},
}
