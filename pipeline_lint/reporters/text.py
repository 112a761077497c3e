"""Findings for people at a terminal: each with its source lines, what goes wrong, and the fix on offer."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Applicability, Confidence, Diagnostic, Fix, Report
from pipeline_lint.reporter import ReportOptions
from pipeline_lint.reporters.parts.cells import visible
from pipeline_lint.reporters.parts.excerpt import excerpt_lines, frame_of
from pipeline_lint.reporters.parts.palette import Palette
from pipeline_lint.reporters.parts.preview import preview_lines
from pipeline_lint.reporters.parts.summary import counted, failure_lines, statistics_lines, summary_lines


def render(report: Report, options: ReportOptions) -> str:
    """Findings, or with `statistics` their numbers by rule; then failures and the summary."""
    palette = Palette(options.color)
    blocks: list[str] = []
    if options.statistics:
        blocks.append("\n".join(statistics_lines(report.diagnostics, palette)))
    else:
        blocks.extend("\n".join(_finding_lines(diagnostic, options, palette)) for diagnostic in report.diagnostics)
    blocks.append("\n".join(failure_lines(report.failures, palette)))
    blocks.append("\n".join(summary_lines(report, options)))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _finding_lines(diagnostic: Diagnostic, options: ReportOptions, palette: Palette) -> Iterator[str]:
    place, fix, paint = diagnostic.place, diagnostic.fix, palette.paint
    frame = frame_of(place, fix.edits if fix is not None else (), width=options.width, palette=palette)
    message = paint("strong", visible(diagnostic.message))
    yield f"{paint('code', diagnostic.code)} [{diagnostic.name}] {message}"
    yield frame.arrow(place)
    if options.show_source:
        yield from excerpt_lines(place, frame)
    if diagnostic.witness is not None:
        yield f"{paint('witness', 'witness:')} {visible(diagnostic.witness)}"
    for related, words in diagnostic.related:
        yield f"{paint('note', 'note:')} {visible(f'{related} {words}')}"
    if diagnostic.confidence is not Confidence.CERTAIN:
        yield f"{paint('quiet', 'confidence:')} {diagnostic.confidence.label}"
    if fix is not None:
        promise = paint("quiet", f"({_promise(fix, options)})")
        yield f"{paint('help', 'help:')} {visible(fix.message)} {promise}"
        if options.show_source:
            yield from preview_lines(place, fix.edits, frame)


def _promise(fix: Fix, options: ReportOptions) -> str:
    """`safe fix in 3 files`, `unsafe fix, needs --unsafe-fixes`."""
    words = f"{fix.applicability.value} fix"
    if len(fix.paths) > 1:
        words += f" in {counted(len(fix.paths), 'file')}"
    if fix.applicability is Applicability.UNSAFE and options.show_fixes:
        words += ", needs --unsafe-fixes"
    return words
