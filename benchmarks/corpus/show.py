"""Findings with the code around them, for a person who judges whether they are right."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.corpus.check import PackageResult
from benchmarks.corpus.download import FOLDER

_LONGEST_FINDING_ROWS = 12


def sample_findings(results: Sequence[PackageResult], *, size: int, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """Findings drawn by chance, at most a fair share from each package while others have some; with package names."""
    chance = random.Random(seed)
    shuffled = [
        [(result.package.name, finding) for finding in chance.sample(result.findings, len(result.findings))]
        for result in results
    ]
    drawn: list[tuple[str, dict[str, Any]]] = []
    while any(shuffled) and len(drawn) < size:
        chance.shuffle(shuffled)
        drawn.extend(findings.pop() for findings in shuffled if findings)
    return sorted(drawn[:size], key=lambda item: (item[0], item[1]["filename"], item[1]["location"]["row"]))


def render_finding(finding: dict[str, Any], *, context: int) -> Iterator[str]:
    """Lines that show one finding: place, message, witness, the rows around it with the first ones marked, the fix."""
    path = Path(finding["filename"])
    path = path if path.is_absolute() else FOLDER / path
    shown = path.relative_to(FOLDER) if path.is_relative_to(FOLDER) else path
    row, end_row = finding["location"]["row"], finding["end_location"]["row"]
    cell = f" cell {finding['cell']}" if finding.get("cell") else ""
    yield f"{shown}{cell}:{row}:{finding['location']['column']}: {finding['code']} [{finding.get('confidence')}]"
    yield f"    {finding['message']}"
    if finding.get("witness"):
        yield f"    witness: {finding['witness']}"
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if not cell else []
    last = min(end_row, row + _LONGEST_FINDING_ROWS)
    for number in range(max(row - context, 1), min(last + context, len(lines)) + 1):
        yield f"    {'>' if row <= number <= last else ' '} {number:5} {lines[number - 1]}"
    if finding.get("fix"):
        yield f"    fix ({finding['fix']['applicability']}): {finding['fix']['message']}"
        for edit in finding["fix"]["edits"]:
            yield f"      {edit['location']['row']}:{edit['location']['column']} -> {edit['content']!r}"
