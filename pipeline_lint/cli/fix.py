"""`pipeline-lint fix`: apply fixes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from pipeline_lint.cli.incident import propose, read_culprit
from pipeline_lint.cli.inputs import Inputs, find_inputs
from pipeline_lint.cli.output import print_failures, print_report, progress_on_terminal, wants_color
from pipeline_lint.cli.settings import HELP, Common, with_common_options
from pipeline_lint.cli.watch import watch
from pipeline_lint.diagnostic import Diagnostic
from pipeline_lint.engine.fix import apply_fixes
from pipeline_lint.engine.fix_files import Accept, Fixed, fix_files, write_fixed
from pipeline_lint.engine.patch import unified_diff
from pipeline_lint.engine.run import RunOptions


@click.command(context_settings=HELP)
@click.option("--unsafe-fixes/--no-unsafe-fixes", default=None, help="Apply fixes that may change results, too.")
@click.option("--diff", is_flag=True, help="Print what would change, as a patch for `git apply`; change nothing.")
@click.option(
    "--incident",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR",
    help="Fix the line that made the first bad number of an incident which runtime-guard kept there, and nothing else.",
)
@click.option("-i", "--interactive", is_flag=True, help="Show each fix and ask.")
@click.option("--exit-non-zero-on-fix", is_flag=True, help="Exit with 1 when a file was changed, as pre-commit wants.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even when findings remain.")
@with_common_options
def fix(  # noqa: PLR0913 - one for each option
    common: Common,
    *,
    unsafe_fixes: bool | None,
    diff: bool,
    incident: Path | None,
    interactive: bool,
    exit_non_zero_on_fix: bool,
    exit_zero: bool,
) -> None:
    """Apply safe fixes, then report what remains.

    A safe fix leaves every finite result as it was. Files are written whole or not at all, and the files of one fix
    together.

    \b
    Examples:
      pipeline-lint fix --diff                  look first
      pipeline-lint fix                         then apply
      pipeline-lint fix --unsafe-fixes --interactive
      pipeline-lint fix --select TRN201 losses/
      pipeline-lint fix --diff --unsafe-fixes > lint.patch && git apply lint.patch
      pipeline-lint fix --incident runs/1/incidents/step-00000003 --diff

    Exit code: 0 nothing remains, 1 findings remain (with --diff: files would change), 2 the tool failed.
    """
    if diff and interactive:
        raise click.UsageError("--diff and --interactive exclude one another")
    if incident is not None:
        sys.exit(_fix_incident(common, incident, unsafe=bool(unsafe_fixes), diff=diff, is_plain=not interactive))
    if interactive and not sys.stdin.isatty() and "-" in common.paths:
        raise click.UsageError("--interactive asks on standard input, which holds the code here")

    def run() -> int:
        inputs = find_inputs(common)
        accept = _ask(common) if interactive else None
        with progress_on_terminal(common, len(inputs.files) if not interactive else 0) as progress:
            options = RunOptions(jobs=common.jobs, use_cache=common.use_cache, progress=progress)
            fixed = fix_files(
                inputs.files,
                common.resolver,
                options=options,
                unsafe=unsafe_fixes,
                accept=accept,
                contents=inputs.contents,
            )
        fixed.report.failures.extend(inputs.failures)
        if diff:
            return _print_diff(common, fixed)
        return _write(common, inputs, fixed, exit_non_zero_on_fix=exit_non_zero_on_fix, exit_zero=exit_zero)

    if common.watch:
        watch(common, run)
        return
    sys.exit(run())


def _fix_incident(common: Common, folder: Path, *, unsafe: bool, diff: bool, is_plain: bool) -> int:
    """The fix of one line. An unsafe one is shown, and applied only when asked for."""
    if common.paths or common.watch or not is_plain:
        raise click.UsageError("--incident names the file itself; give it no paths, --watch or --interactive")
    culprit = read_culprit(folder)
    proposal = propose(culprit, common.resolver)
    for diagnostic in proposal.diagnostics:
        common.say(f"{diagnostic.place}: {diagnostic.code} {diagnostic.message}")
        if diagnostic.fix is not None:
            common.say(f"{diagnostic.fix.applicability.value} fix: {diagnostic.fix.message}")
    if not proposal.fixed.after:
        print_failures(proposal.fixed.report)
        known = "a rule knows of it but has no fix" if proposal.diagnostics else "no rule finds anything there"
        common.say(f"Nothing to apply at {culprit}: {known}. {_sentence(culprit.advice)}".rstrip())
        return 2 if proposal.fixed.report.failures else 1
    if diff:
        return _print_diff(common, proposal.fixed)
    if not unsafe and any(d.fix is not None and d.fix.applicability.value == "unsafe" for d in proposal.diagnostics):
        common.say("Not applied, because results may change: look at it with --diff, apply it with --unsafe-fixes.")
        return 1
    failures = write_fixed(proposal.fixed)
    for failure in failures:
        common.say(f"{failure.path}: {failure.message}")
    for note in proposal.fixed.notes:
        common.say(f"note: {note}")
    if failures:
        return 2
    common.say(f"Fixed {', '.join(sorted(proposal.fixed.after))}. Try the step again: runtime-guard replay {folder}")
    return 0


def _sentence(advice: str | None) -> str:
    return f"Advice: {advice}." if advice else ""


def _print_diff(common: Common, fixed: Fixed) -> int:
    for path in sorted(fixed.after):
        patch = unified_diff(path, fixed.before[path], fixed.after[path])
        if wants_color(common):
            patch = "".join(_colored(line) for line in patch.splitlines(keepends=True))
        sys.stdout.buffer.write(patch.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()
    print_failures(fixed.report)
    count = sum(fixed.report.num_fixed.values())
    common.say(f"Would fix {_counted(count, 'problem')} in {_counted(len(fixed.after), 'file')}.")
    return 2 if fixed.report.failures else 1 if fixed.after else 0


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _write(common: Common, inputs: Inputs, fixed: Fixed, *, exit_non_zero_on_fix: bool, exit_zero: bool) -> int:
    report = fixed.report
    if inputs.contents:
        (name, original), *_ = inputs.contents.items()
        sys.stdout.buffer.write(fixed.after.get(name, original))
        sys.stdout.buffer.flush()
        print_failures(report)
    else:
        report.failures.extend(write_fixed(fixed))
        for note in fixed.notes:
            common.say(f"{click.style('note', fg='yellow', bold=True)}: {note}")
        print_report(common, report, show_fixes=False)
    if report.failures:
        return 2
    if report.diagnostics and not exit_zero:
        return 1
    return 1 if exit_non_zero_on_fix and fixed.after else 0


def _ask(common: Common) -> Accept:
    """Shows each fix as a patch and asks; `a` takes this and all others, `q` none of those that follow."""
    answers: dict[Diagnostic, bool] = {}
    rest: list[bool] = []

    def accept(diagnostic: Diagnostic, contents: Mapping[str, bytes]) -> bool:
        if rest:
            return rest[0]
        if diagnostic not in answers:
            _show(common, diagnostic, contents)
            answer = click.prompt("Apply?", type=click.Choice(["y", "n", "a", "q"]), default="y", err=True)
            if answer in "aq":
                rest.append(answer == "a")
            answers[diagnostic] = answer in "ya"
        return answers[diagnostic]

    return accept


def _show(common: Common, diagnostic: Diagnostic, contents: Mapping[str, bytes]) -> None:
    assert diagnostic.fix is not None
    kind = diagnostic.fix.applicability.value
    click.echo(
        f"\n{diagnostic.place}: {click.style(diagnostic.code, fg='red', bold=True)} {diagnostic.message}", err=True
    )
    click.echo(f"{kind} fix: {diagnostic.fix.message}", err=True)
    old = {path: contents[path] if path in contents else Path(path).read_bytes() for path in diagnostic.fix.paths}
    new = apply_fixes(old, [diagnostic], unsafe=True).contents
    for path, data in sorted(new.items()):
        for line in unified_diff(path, old[path], data).splitlines(keepends=True)[2:]:
            click.echo(_colored(line), nl=False, err=True, color=wants_color(common))


def _colored(line: str) -> str:
    colors = {"+": "green", "-": "red", "@": "cyan"}
    return click.style(line, fg=colors[line[0]]) if line[:1] in colors else line
