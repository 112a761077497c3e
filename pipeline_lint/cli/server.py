"""`pipeline-lint server`: findings and fixes in an editor."""

from __future__ import annotations

import click

from pipeline_lint.cli.settings import HELP


@click.command(context_settings=HELP)
def server() -> None:
    """Run the language server on standard input and output; editors start it themselves.

    Needs the extra: pip install 'pipeline-lint[server]'
    """
    try:
        from pipeline_lint.server import serve
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"the language server needs {error.name}: pip install 'pipeline-lint[server]'"
        ) from None
    serve()
