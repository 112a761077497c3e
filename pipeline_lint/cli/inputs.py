"""From the paths of the command line to the files to check, interrupted fixes recovered on the way."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from pipeline_lint.cli.settings import Common
from pipeline_lint.diagnostic import Failure
from pipeline_lint.engine.files import FileOptions, discover
from pipeline_lint.engine.find_files import file_options, find_files
from pipeline_lint.engine.roots import interrupted_roots


@dataclass(slots=True)
class Inputs:
    """What to check."""

    files: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=dict)
    """Standard input, under the name it is to have."""


def find_inputs(common: Common) -> Inputs:
    """The files below the given paths (this folder by default), or standard input for `-`."""
    if common.stdin_filename is not None or common.paths == ("-",):
        return _standard_input(common)
    paths = common.paths or (".",)
    inputs = Inputs(*find_files(paths, common.resolver))
    _recover(common, paths, inputs)
    if not inputs.files and not inputs.failures:
        common.say(f"{click.style('warning', fg='yellow', bold=True)}: no Python files below {', '.join(paths)}")
    return inputs


def _standard_input(common: Common) -> Inputs:
    name = common.stdin_filename or "<stdin>"
    if common.paths not in ((), ("-",)):
        raise click.UsageError("--stdin-filename reads standard input; give no other paths than `-`")
    if common.watch:
        raise click.UsageError("--watch needs files; standard input does not change")
    inputs = Inputs(contents={name: sys.stdin.buffer.read()})
    options = file_options(common.resolver.for_path(name))
    if common.stdin_filename is None or not options.force_exclude or _is_included(name, options):
        inputs.files.append(name)
    return inputs


def _is_included(name: str, options: FileOptions) -> bool:
    return not Path(name).exists() or bool(discover([name], options).files)


def _recover(common: Common, paths: Sequence[str], inputs: Inputs) -> None:
    """Finishes or rolls back what a killed run left between two files of a group."""
    folders = {os.path.dirname(file) for file in inputs.files}  # noqa: PTH120 - pathlib is slower
    for root in interrupted_roots({*paths, *folders}):
        from pipeline_lint.engine.recovery import Outcome, recover

        for recovery in recover(root):
            if recovery.outcome is Outcome.FAILED:
                inputs.failures.append(Failure(str(root), str(recovery)))
            else:
                label = "warning" if recovery.outcome is Outcome.REFUSED else "recovered"
                common.say(f"{click.style(label, fg='yellow', bold=True)}: {recovery}")
