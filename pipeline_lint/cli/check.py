"""`pipeline-lint check`: report findings."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pipeline_lint.cli.inputs import Inputs, find_inputs
from pipeline_lint.cli.output import print_report, progress_on_terminal
from pipeline_lint.cli.settings import HELP, Common, with_common_options
from pipeline_lint.cli.watch import watch
from pipeline_lint.diagnostic import Report
from pipeline_lint.engine.baseline import Baseline
from pipeline_lint.engine.run import Checker, RunOptions


@click.command(context_settings=HELP)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even when there are findings.")
@click.option("--add-noqa", is_flag=True, help="Write a `# noqa: CODE` comment beside each finding.")
@click.option(
    "--write-baseline", type=click.Path(dir_okay=False, path_type=Path), help="Write all findings to this file."
)
@with_common_options
def check(common: Common, *, exit_zero: bool, add_noqa: bool, write_baseline: Path | None) -> None:
    """Report findings in files, folders (default: this one) and notebooks.

    \b
    Examples:
      pipeline-lint check                              everything below this folder
      pipeline-lint check train.py models/             a file and a folder
      pipeline-lint check --select TRN2 --min-confidence possible
      pipeline-lint check --write-baseline known.json  accept what is there today,
      pipeline-lint check --baseline known.json        then report only what is new
      pipeline-lint check --output-format sarif -o lint.sarif
      cat train.py | pipeline-lint check --stdin-filename train.py

    Exit code: 0 no findings, 1 findings, 2 the tool or its configuration failed.
    """
    if sum((add_noqa, write_baseline is not None, common.watch)) > 1:
        raise click.UsageError("--add-noqa, --write-baseline and --watch exclude one another")
    if common.watch:
        watch(common, lambda: _check_once(common, find_inputs(common)))
        return
    inputs = find_inputs(common)
    report = _check(common, inputs)
    if add_noqa:
        _add_noqa(common, report)
    elif write_baseline is not None:
        Baseline.of(report.diagnostics, write_baseline.absolute()).save()
        common.say(f"{write_baseline}: {len(report.diagnostics)} findings are known from now on")
    else:
        print_report(common, report)
    is_done = add_noqa or write_baseline is not None or exit_zero
    sys.exit(2 if report.failures else 1 if report.diagnostics and not is_done else 0)


def _check_once(common: Common, inputs: Inputs) -> None:
    print_report(common, _check(common, inputs))


def _check(common: Common, inputs: Inputs) -> Report:
    with progress_on_terminal(common, len(inputs.files)) as progress:
        checker = Checker(common.resolver, RunOptions(jobs=common.jobs, use_cache=common.use_cache, progress=progress))
        try:
            report = checker.check(inputs.files, contents=inputs.contents)
        finally:
            checker.close()
    report.failures.extend(inputs.failures)
    for problem in checker.cache_problems():
        common.detail(f"no cache: {problem}")
    common.detail(f"{report.num_files} files, {checker.num_parsed} parsed, {report.num_suppressed} findings suppressed")
    return report


def _add_noqa(common: Common, report: Report) -> None:
    from pipeline_lint.engine.add_noqa import add_noqa_comments

    if not report.diagnostics:
        common.say("nothing to suppress")
        return
    changed, failures = add_noqa_comments(report.diagnostics)
    report.failures.extend(failures)
    for failure in failures:
        click.echo(f"error: {failure.path}: {failure.message}", err=True)
    common.say(f"added noqa comments for {len(report.diagnostics)} findings in {len(changed)} files")
