"""`pipeline-lint rules`: list the rules, write a new one, run its cases."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline_lint.cli.settings import HELP, reporting_errors
from pipeline_lint.config import SettingsResolver

if TYPE_CHECKING:
    from pipeline_lint.cases import Case


@click.group(invoke_without_command=True, context_settings=HELP)
@click.option("--output-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
@reporting_errors
def rules(context: click.Context, output_format: str) -> None:
    """List all rules: code, name, whether they run by default, what their fix is.

    \b
    Examples:
      pipeline-lint rules
      pipeline-lint rules --output-format json
      pipeline-lint rules new numerics log-of-relu    the skeleton of a rule of your own
      pipeline-lint rules test lint/cases.md          run its cases
    """
    if context.invoked_subcommand is not None:
        return
    from pipeline_lint.engine.catalog import all_rules
    from pipeline_lint.explain import page

    pages = [page(rule) for rule in all_rules(SettingsResolver().for_path(Path.cwd()))]
    if output_format == "json":
        rows = [
            {
                "code": p.code,
                "name": p.name,
                "topic": p.topic,
                "default": p.is_default,
                "fix": list(p.fix_kinds),
                "summary": p.summary,
                "options": {key: list(v) if isinstance(v, tuple) else v for key, v in p.options.items()},
            }
            for p in pages
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    width = max(len(p.name) for p in pages)
    for p in pages:
        default = "default" if p.is_default else "off    "
        click.echo(f"{p.code}  {p.name:{width}}  {default}  fix: {'/'.join(p.fix_kinds):12}  {p.summary}")


@rules.command(context_settings=HELP)
@click.argument("topic")
@click.argument("name")
@click.option("--code", help="The rule's code.  [default: the next free one of the topic]")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("lint"),
    show_default=True,
    help="Where to write, for `local-rules`.",
)
@reporting_errors
def new(topic: str, name: str, code: str | None, folder: Path) -> None:
    """Write the skeleton of a rule of your own and of its cases.

    \b
    Example:
      pipeline-lint rules new numerics log-of-relu
    """
    from pipeline_lint.cli.skeleton import write_skeleton

    settings = SettingsResolver().for_path(Path.cwd())
    rule_file, case_file = write_skeleton(topic, name, code=code, folder=folder, settings=settings)
    click.echo(f"wrote {rule_file}\nwrote {case_file}")
    click.echo(f'next: `local-rules = ["{folder.as_posix()}"]` in [tool.pipeline-lint], then')
    click.echo(f"      pipeline-lint rules test {case_file}")


@rules.command(context_settings=HELP)
@click.argument("cases", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@reporting_errors
def test(cases: tuple[Path, ...]) -> None:
    """Run literate cases: Markdown files, or folders of them.

    \b
    Example:
      pipeline-lint rules test lint/
    """
    from pipeline_lint.testing import run_case

    settings = SettingsResolver().for_path(Path.cwd())
    local_rules = [settings.root / entry for entry in settings.local_rules]
    num_passed, failures = 0, []
    files = [file for path in cases for file in (sorted(path.rglob("*.md")) if path.is_dir() else [path])]
    for file in files:
        for case in _cases_of(file):
            try:
                run_case(case, local_rules=local_rules)
                num_passed += 1
            except AssertionError as error:
                failures.append(str(error))
    for failure in failures:
        click.echo(failure + "\n", err=True)
    click.echo(f"{num_passed} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


def _cases_of(file: Path) -> list[Case]:
    from pipeline_lint.cases import CaseError, load_cases

    try:
        return list(load_cases(file))
    except CaseError as error:
        raise click.ClickException(str(error)) from None
