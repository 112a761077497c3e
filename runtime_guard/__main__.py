"""The command `runtime-guard`, also `python -m runtime_guard`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from runtime_guard import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runtime-guard")
def main() -> None:
    """Watches over PyTorch training runs."""


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the field names of the Python class.")
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The folder whose git state counts; the current one by default.",
)
def environment(*, as_json: bool, directory: Path) -> None:
    """Describes what a training run depends on besides its code.

    Python, torch and its build, CUDA, driver and GPUs, threads, the environment variables that steer them, the
    versions of the libraries around torch, and the git commit. Values that look secret are not printed.

    \b
    Examples:
      runtime-guard environment                 to read, or to paste into a bug report
      runtime-guard environment --json > e.json to keep beside a run's results
    """
    from runtime_guard.environment import Environment

    collected = Environment.collect(directory)
    if as_json:
        click.echo(json.dumps(collected.as_dict(), indent=2))
    else:
        click.echo(collected.describe())


if __name__ == "__main__":
    main(prog_name="runtime-guard")
