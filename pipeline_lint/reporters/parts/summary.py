"""The end of a report for people: what failed, how much was found, what can be fixed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline_lint.diagnostic import Applicability, Diagnostic, Failure, Report
from pipeline_lint.reporter import ReportOptions
from pipeline_lint.reporters.parts.cells import visible
from pipeline_lint.reporters.parts.palette import Palette


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many findings of a rule there are, and how many of them have a safe fix."""

    code: str
    name: str
    found: int
    fixable: int


def counted(number: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def has_safe_fix(diagnostic: Diagnostic) -> bool:
    """Whether `pipeline-lint fix` fixes the finding without being asked for more."""
    return diagnostic.fix is not None and diagnostic.fix.applicability is Applicability.SAFE


def summary_lines(report: Report, options: ReportOptions) -> Iterator[str]:
    """How much was found and fixed, and the command that fixes more."""
    palette = Palette(options.color)
    found, fixed = len(report.diagnostics), report.num_fixed.total()
    if fixed:
        yield f"Found {counted(found + fixed, 'problem')} ({fixed} fixed, {found} remaining)."
    elif found:
        yield f"Found {counted(found, 'problem')}."
    elif report.failures:
        yield "Found no problems in what could be checked."
    elif report.num_files == 0:
        yield "No files to check."
    else:
        yield palette.paint("success", "All checks passed!")
    if options.show_fixes:
        yield from _ways_to_fix(report.num_fixable, report.num_fixable_unsafe, palette)
    if report.failures:
        errors = palette.paint("error", f"{counted(len(report.failures), 'error')}:")
        yield f"{errors} pipeline-lint could not do all of its work, see above."


def failure_lines(failures: Iterable[Failure], palette: Palette) -> Iterator[str]:
    """What the tool could not do; unlike a finding it has no code, no row and the word `error` in front."""
    for failure in failures:
        first, *rest = failure.message.splitlines() or [""]
        path = palette.paint("strong", visible(failure.path))
        yield f"{palette.paint('error', 'error:')} {path}: {visible(first)}"
        yield from (f"    {visible(line)}".rstrip() for line in rest)


def rule_counts(diagnostics: Iterable[Diagnostic]) -> list[RuleCount]:
    """How often each rule found something, most often first."""
    found, fixable = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for diagnostic in diagnostics:
        found[diagnostic.code, diagnostic.name] += 1
        fixable[diagnostic.code, diagnostic.name] += has_safe_fix(diagnostic)
    order = sorted(found, key=lambda rule: (-found[rule], rule))
    return [RuleCount(*rule, found[rule], fixable[rule]) for rule in order]


def statistics_lines(diagnostics: Iterable[Diagnostic], palette: Palette) -> Iterator[str]:
    """A line for each rule; `[*]` where all that it found can be fixed safely, `[-]` where some can."""
    counts = rule_counts(diagnostics)
    number_width = max((len(str(count.found)) for count in counts), default=0)
    code_width = max((len(count.code) for count in counts), default=0)
    for count in counts:
        number = palette.paint("strong", f"{count.found:>{number_width}}")
        code = palette.paint("code", f"{count.code:<{code_width}}")
        mark = "*" if count.fixable == count.found else "-" if count.fixable else " "
        yield f"{number}  {code}  [{palette.paint('mark', mark)}] {count.name}"


def _ways_to_fix(safe: int, unsafe: int, palette: Palette) -> Iterator[str]:
    mark = f"[{palette.paint('mark', '*')}]"
    if safe and unsafe:
        yield f"{mark} {safe} fixable with `pipeline-lint fix`, {unsafe} more with `--unsafe-fixes`."
    elif safe:
        yield f"{mark} {safe} fixable with `pipeline-lint fix`."
    elif unsafe:
        yield f"{unsafe} fixable with `pipeline-lint fix --unsafe-fixes`."
