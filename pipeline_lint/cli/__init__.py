"""The command line: `pipeline-lint check`, `fix`, `explain`, `rules`, `server`."""

from __future__ import annotations

import click

from pipeline_lint import __version__
from pipeline_lint.cli.check import check
from pipeline_lint.cli.explain import explain
from pipeline_lint.cli.fix import fix
from pipeline_lint.cli.rules import rules
from pipeline_lint.cli.server import server
from pipeline_lint.cli.settings import HELP


@click.group(context_settings=HELP)
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


for command in (check, fix, explain, rules, server):
    main.add_command(command)
