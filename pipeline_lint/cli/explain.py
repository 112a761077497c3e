"""`pipeline-lint explain`: a rule's page."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipeline_lint.cli.settings import HELP, reporting_errors
from pipeline_lint.config import SettingsResolver


@click.command(context_settings=HELP)
@click.argument("rule")
@click.option("--output-format", type=click.Choice(["text", "markdown"]), default="text", show_default=True)
@reporting_errors
def explain(rule: str, output_format: str) -> None:
    """Print why a rule exists, with bad and good code, what is exempt and what its fix does.

    \b
    Examples:
      pipeline-lint explain TRN201
      pipeline-lint explain log-of-sigmoid
    """
    from pipeline_lint.engine.catalog import find_rule
    from pipeline_lint.explain import page, render_markdown, render_text

    found = page(find_rule(rule, SettingsResolver().for_path(Path.cwd())))
    text = render_text(found) if output_format == "text" else render_markdown(found)
    if output_format == "text" and sys.stdout.isatty():
        click.echo_via_pager(text)
    else:
        click.echo(text)
