"""The command line: `pipeline-lint check`, `fix`, `explain`, `rules`, `server`."""

from __future__ import annotations

import importlib

import click

from pipeline_lint import __version__
from pipeline_lint.cli.settings import HELP
from pipeline_lint.config import suggestion

_COMMANDS = ("check", "fix", "explain", "rules", "server")


class _Commands(click.Group):
    """Imports a command's module when the command is asked for, so that none pays for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            ctx.fail(f"no command `{cmd_name}`{suggestion(cmd_name, _COMMANDS)}")
        module = importlib.import_module(f"pipeline_lint.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Commands, context_settings=HELP)
@click.version_option(__version__, prog_name="pipeline-lint")
def main() -> None:
    """Finds and fixes what makes PyTorch training code fragile.

    \b
    Start with:
      pipeline-lint check            findings below this folder
      pipeline-lint fix --diff       what the safe fixes would change
      pipeline-lint explain TRN201   why a finding matters, with code

    \b
    Shell completion (bash; zsh and fish likewise):
      eval "$(_PIPELINE_LINT_COMPLETE=bash_source pipeline-lint)"
    """
