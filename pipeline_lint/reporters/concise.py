"""One line for each finding, as compilers write them; `[*]` marks those with a safe fix."""

from __future__ import annotations

from pipeline_lint.diagnostic import Diagnostic, Report
from pipeline_lint.reporter import ReportOptions
from pipeline_lint.reporters.parts.cells import visible
from pipeline_lint.reporters.parts.palette import Palette
from pipeline_lint.reporters.parts.summary import failure_lines, has_safe_fix, statistics_lines, summary_lines


def render(report: Report, options: ReportOptions) -> str:
    """Findings, or with `statistics` their numbers by rule; then failures and the summary."""
    palette = Palette(options.color)
    lines = (
        statistics_lines(report.diagnostics, palette)
        if options.statistics
        else (_line(diagnostic, palette) for diagnostic in report.diagnostics)
    )
    failures = failure_lines(report.failures, palette)
    return "".join(f"{line}\n" for line in (*lines, *failures, *summary_lines(report, options)))


def _line(diagnostic: Diagnostic, palette: Palette) -> str:
    place, paint = diagnostic.place, palette.paint
    path, position = visible(place.path), str(place)[len(place.path) :]
    colon = paint("mark", ":")
    where = f"{paint('strong', path)}{position.replace(':', colon)}{colon}"
    mark = f" [{paint('mark', '*')}]" if has_safe_fix(diagnostic) else ""
    return f"{where} {paint('code', diagnostic.code)}{mark} {visible(diagnostic.message)}"
