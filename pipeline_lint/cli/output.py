"""Printing: the report in its format, the tool's own failures, progress on a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pipeline_lint import __version__
from pipeline_lint.cli.settings import Common
from pipeline_lint.diagnostic import Report
from pipeline_lint.engine.run import Progress
from pipeline_lint.reporter import ReportOptions, RulePage, load_reporter

_SECONDS_BEFORE_PROGRESS = 1.0
_FOR_PEOPLE = ("text", "concise")
"""Formats that say themselves what the tool could not do."""
_COUNTING = ("text", "concise", "json")
"""Formats that `--statistics` has a form for."""


def wants_color(common: Common) -> bool:
    """Whether to colour what goes to standard output, by --no-color, NO_COLOR, FORCE_COLOR, and a terminal."""
    if common.color is not None:
        return common.color
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty()


def print_report(common: Common, report: Report, *, show_fixes: bool = True) -> None:
    """Writes the report to standard output or to `--output-file`, and failures to standard error."""
    name = common.output_format or common.resolver.for_path(Path.cwd()).output_format
    if common.statistics and name not in _COUNTING:
        raise click.UsageError(f"--statistics has no form in {name}; it goes with {', '.join(_COUNTING)}")
    options = ReportOptions(
        color=wants_color(common) and common.output_file is None,
        show_source=common.show_source,
        show_fixes=show_fixes,
        statistics=common.statistics,
        width=shutil.get_terminal_size().columns if sys.stdout.isatty() else 120,
        version=__version__,
        pages=_pages(common) if name == "sarif" else {},
    )
    text = load_reporter(name).render(report, options)
    if common.output_file is not None:
        write_whole(common.output_file, text)
    elif not common.quiet or report.diagnostics or report.failures or name not in _FOR_PEOPLE:
        _print(text, options)
    if name not in _FOR_PEOPLE or common.output_file is not None:
        print_failures(report)


def _print(text: str, options: ReportOptions) -> None:
    # A console that cannot show a character of the source shows a question mark rather than a traceback.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    click.echo(text, nl=False, color=options.color)


def print_failures(report: Report) -> None:
    """Says on standard error what the tool itself could not do."""
    for failure in report.failures:
        click.echo(f"{click.style('error', fg='red', bold=True)}: {failure.path}: {failure.message}", err=True)


def write_whole(path: Path, text: str) -> None:
    """Writes a file that is old or new, never half."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise click.ClickException(f"{path}: cannot be written: {error.strerror}") from None


@contextmanager
def progress_on_terminal(common: Common, num_files: int) -> Iterator[Progress]:
    """A bar on standard error for runs that take longer than a second; nothing where that is no terminal."""
    if common.quiet or not sys.stderr.isatty() or num_files == 0:
        yield lambda _: None
        return
    bar = click.progressbar(length=num_files, label="Checking", file=sys.stderr, show_pos=True)
    started = time.monotonic()
    pending = 0

    def advance(count: int) -> None:
        nonlocal pending
        pending += count
        if time.monotonic() - started > _SECONDS_BEFORE_PROGRESS:
            bar.update(pending)
            pending = 0

    try:
        yield advance
    finally:
        if time.monotonic() - started > _SECONDS_BEFORE_PROGRESS:
            # The bar gives way to the findings.
            click.echo("\r\033[K", nl=False, err=True)


def _pages(common: Common) -> dict[str, RulePage]:
    from pipeline_lint.engine.catalog import all_rules
    from pipeline_lint.explain import rule_page

    settings = common.resolver.for_path(Path.cwd())
    return {rule.code: rule_page(rule) for rule in all_rules(settings)}
