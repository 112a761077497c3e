"""The corpus's results as a Markdown page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from benchmarks.corpus.check import PackageResult
from benchmarks.machine import machine_in_words

_INTRODUCTION = """\
# The checker over public PyTorch packages

Written by `make corpus`; the packages are pinned in `corpus/packages.txt`. Each row is one run of
`pipeline-lint check` with its defaults and without a cache; seconds are wall time of the whole command on
{machine}.
Numbers below a rule's code are findings. Read samples of them with
`python -m benchmarks.corpus --show TRN201 --sample 30 --seed 0`.
"""


def render_page(results: Sequence[PackageResult], default_codes: Iterable[str]) -> str:
    """The page that is committed as `benchmarks/corpus.md`; rules that found nothing are in it, too."""
    codes = sorted({*default_codes, *(code for result in results for code in result.counts)})
    head = ["package", "version", "files", "lines", *codes, "findings per 1000 lines", "seconds"]
    rows = [_row(result, codes) for result in results]
    total: Counter[str] = sum((result.counts for result in results), Counter())
    num_lines = sum(result.num_lines for result in results)
    seconds = sum(result.seconds for result in results)
    rows.append(
        ["**all**", "", _number(sum(result.num_files for result in results)), _number(num_lines)]
        + [_number(total[code]) for code in codes]
        + [_per_thousand(total.total(), num_lines), f"{seconds:.1f}"]
    )
    per_rule = [
        [code, _number(total[code]), f"{1000 * total[code] / max(num_lines, 1):.3f}", _files_with(results, code)]
        for code in codes
    ]
    return "\n".join(
        [
            _INTRODUCTION.format(machine=machine_in_words()),
            *markdown_table(head, rows, num_left=2),
            "",
            *markdown_table(["rule", "findings", "per 1000 lines", "packages with one"], per_rule, num_left=1),
            "",
        ]
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, num_left: int) -> list[str]:
    """Lines of a table whose first columns are text and whose others are numbers."""
    marks = ["---"] * num_left + ["---:"] * (len(head) - num_left)
    return [f"| {' | '.join(cells)} |" for cells in (head, marks, *rows)]


def _row(result: PackageResult, codes: Sequence[str]) -> list[str]:
    counts = result.counts
    return [
        result.package.name,
        result.package.version,
        _number(result.num_files),
        _number(result.num_lines),
        *(_number(counts[code]) for code in codes),
        _per_thousand(counts.total(), result.num_lines),
        f"{result.seconds:.1f}",
    ]


def _files_with(results: Sequence[PackageResult], code: str) -> str:
    return f"{sum(result.counts[code] > 0 for result in results)} of {len(results)}"


def _per_thousand(count: int, num_lines: int) -> str:
    return f"{1000 * count / max(num_lines, 1):.2f}"


def _number(value: int) -> str:
    return f"{value:,}"
