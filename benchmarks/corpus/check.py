"""Runs the checker over one package, as a user would, and reads its JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.corpus.download import FOLDER, Package, fetch, source_files

_REPOSITORY = Path(__file__).parents[2]
CHECKER = (sys.executable, "-m", "pipeline_lint")

_FINDINGS = (0, 1)
"""Exit codes of a run that the tool came through."""


@dataclass(frozen=True, slots=True)
class PackageResult:
    """What the checker said of one package."""

    package: Package
    num_files: int
    num_lines: int
    findings: tuple[dict[str, Any], ...]
    seconds: float
    trouble: str = ""
    """Standard error and exit code of a run in which the tool itself failed."""

    @property
    def counts(self) -> Counter[str]:
        return Counter(finding["code"] for finding in self.findings)


def check_package(package: Package, options: Sequence[str]) -> PackageResult:
    """Downloads if need be, and checks. `options` go to the checker."""
    folder = fetch(package)
    files = source_files(folder)
    num_lines = sum(path.read_bytes().count(b"\n") for path in files)
    start = time.perf_counter()
    done = run_checker("check", str(folder), "--output-format", "json", *options)
    seconds = time.perf_counter() - start
    trouble = "" if done.returncode in _FINDINGS else f"exit code {done.returncode}\n{done.stderr[-4000:]}"
    findings: list[dict[str, Any]] = []
    try:
        findings = json.loads(done.stdout)
    except ValueError as error:
        trouble = trouble or f"no JSON on standard output ({error})\n{done.stderr[-4000:]}"
    return PackageResult(package, len(files), num_lines, tuple(findings), seconds, trouble)


def default_codes() -> list[str]:
    """Codes of the rules that run when nothing is selected."""
    done = subprocess.run(
        [*CHECKER, "rules", "--output-format", "json"], cwd=_REPOSITORY, capture_output=True, text=True, check=True
    )
    return [rule["code"] for rule in json.loads(done.stdout) if rule["default"]]


def run_checker(*args: str) -> subprocess.CompletedProcess[str]:
    """The command line tool, with no configuration but its defaults.

    It runs in the folder of the packages, which this repository's git ignores.
    """
    environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), "NO_COLOR": "1"}
    command = [*CHECKER, *args, "--isolated", "--no-respect-gitignore"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        command, cwd=FOLDER, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
