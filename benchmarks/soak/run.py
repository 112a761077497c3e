"""Checks and fixes a folder again and again, and says what a tool that works would not do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.soak.installed import SUFFIXES

_REPOSITORY = Path(__file__).parents[2]
_UNPARSABLE = "TRN901"
_VERBOSE_LINE = re.compile(r"^(\d+) files", re.MULTILINE)


@dataclass(slots=True)
class Soak:
    """What came of it."""

    num_files: int = 0
    num_checked: int = 0
    """Files that the checker took; it leaves out folders such as `build` unless they are named."""
    counts: Counter[str] = field(default_factory=Counter)
    num_changed: dict[str, int] = field(default_factory=dict)
    """Files that `fix` changed, by kind of fix."""
    problems: list[str] = field(default_factory=list)


def soak(folder: Path, *, jobs: int = 0) -> Soak:
    """Checks and fixes the files below `folder`, which are a copy: they are changed."""
    result = Soak()
    contents = _contents(folder)
    result.num_files = len(contents)
    runner = _Runner(folder, jobs, result)
    findings = runner.check("--no-cache", "--verbose")
    result.counts = Counter(finding["code"] for finding in findings)
    result.problems += _wrongly_unparsable(findings)
    runner.check()
    if runner.check() != findings:
        result.problems.append("check with a filled cache reports other findings than without a cache")
    for kind, options in (("safe", ()), ("unsafe", ("--unsafe-fixes",))):
        contents = _fix(runner, contents, kind, options)
        fixed = runner.check()
        result.problems += _multiplied(findings, fixed, kind)
        findings = fixed
    return result


def _fix(runner: _Runner, before: dict[Path, bytes], kind: str, options: tuple[str, ...]) -> dict[Path, bytes]:
    """`fix --diff` must change nothing; `fix` must leave code that parses, and nothing for a second `fix`."""
    problems = runner.result.problems
    runner.run("fix", "--diff", *options)
    if _changed(before, _contents(runner.folder)):
        problems.append(f"fix --diff ({kind}) changed files")
    runner.run("fix", *options)
    after = _contents(runner.folder)
    changed = _changed(before, after)
    runner.result.num_changed[kind] = len(changed)
    for path in changed:
        error = syntax_error(after[path], path)
        if error is not None and syntax_error(before[path], path) is None:
            problems.append(f"{path}: no longer parses after {kind} fixes: {error}")
    runner.run("fix", *options)
    again = _contents(runner.folder)
    problems += [f"{path}: changed again by a second fix ({kind})" for path in _changed(after, again)]
    return again


@dataclass(slots=True)
class _Runner:
    folder: Path
    jobs: int
    result: Soak

    def check(self, *options: str) -> list[dict[str, Any]]:
        done = self.run("check", "--output-format", "json", *options)
        counted = _VERBOSE_LINE.search(done.stderr)
        if counted is not None:
            self.result.num_checked = int(counted[1])
        try:
            findings: list[dict[str, Any]] = json.loads(done.stdout)
        except ValueError as error:
            self.result.problems.append(f"check: no JSON on standard output: {error}")
            return []
        return findings

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        options = ("--isolated", "--no-respect-gitignore", "--jobs", str(self.jobs))
        cache = ("--cache-dir", str(self.folder.parent / "cache"))
        command = [sys.executable, "-m", "pipeline_lint", args[0], ".", *args[1:], *options, *cache]
        environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), "NO_COLOR": "1"}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
        if done.returncode not in (0, 1):
            self.result.problems.append(f"{' '.join(args)}: exit code {done.returncode}\n{done.stderr[-4000:]}")
        elif "Traceback" in done.stderr:
            self.result.problems.append(f"{' '.join(args)}: a traceback on standard error\n{done.stderr[-4000:]}")
        return done


def syntax_error(data: bytes, path: Path) -> str | None:
    """What the running Python has against a file; None for a file that it compiles or that is a notebook."""
    if path.suffix == ".ipynb":
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(data, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _wrongly_unparsable(findings: list[dict[str, Any]]) -> list[str]:
    paths = [Path(finding["filename"]) for finding in findings if finding["code"] == _UNPARSABLE]
    return [
        f"{path}: {_UNPARSABLE}, but Python compiles it"
        for path in paths
        if path.suffix != ".ipynb" and syntax_error(path.read_bytes(), path) is None
    ]


def _multiplied(before: list[dict[str, Any]], after: list[dict[str, Any]], kind: str) -> list[str]:
    """Files that have more findings of a rule after fixes than before, where no other rule has fewer for it."""
    counts, fixed_counts = (
        Counter((finding["filename"], finding["code"]) for finding in findings) for findings in (before, after)
    )
    totals, fixed_totals = (Counter(finding["filename"] for finding in findings) for findings in (before, after))
    return [
        f"{path}: {code} {counts[path, code]} times before {kind} fixes, {number} times after them"
        for (path, code), number in sorted(fixed_counts.items())
        if number > counts[path, code] and fixed_totals[path] >= totals[path]
    ]


def _contents(folder: Path) -> dict[Path, bytes]:
    # Caches and journals of the tool itself do not count.
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES and path.is_file()}


def _changed(before: dict[Path, bytes], after: dict[Path, bytes]) -> list[Path]:
    """Files that differ, appeared or went."""
    return [path for path in {**before, **after} if before.get(path) != after.get(path)]
