"""The command `runtime-guard`, also `python -m runtime_guard`."""

from __future__ import annotations

import dataclasses
import json
import sys
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


@main.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def show(path: Path) -> None:
    """Prints the incidents of a run, or one incident.

    PATH is a run's folder (the logdir given to Guard, or to runtime-guard run), or the folder of an incident in it.

    \b
    Examples:
      runtime-guard show runs/1                               how the run is doing, and all that went wrong
      runtime-guard show runs/1/incidents/step-00000003       one incident
    """
    from runtime_guard.health import Health
    from runtime_guard.incidents.bundle import Bundle, BundleError, bundles_of
    from runtime_guard.incidents.verdict import describe

    if (path / "incident.json").is_file() or path.is_file():
        folders = [path]
    else:
        folders = bundles_of(path)
        health = Health.read(path)
        if health is None and not folders:
            raise click.ClickException(f"{path} holds neither incidents nor health.json; expected a run's folder")
        if health is not None:
            click.echo(health.describe())
    for folder in folders:
        try:
            click.echo(describe(Bundle.read(folder).incident))
        except BundleError as error:
            raise click.ClickException(str(error)) from None


@main.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def replay(path: Path) -> None:
    """Runs an incident's step again, in this process, and compares the verdicts.

    PATH is the incident's folder. The script that the incident happened in is started as it was then; at its first
    guarded batch the incident's parameters, buffers, batches and random numbers take the place of its own. Exits with
    0 when the verdict is the same, 1 when it is another (a repair shows itself so), 2 when the step cannot be run
    again: it was one of several processes, a notebook, or its batch held objects that are no tensors.

    It runs the script that the incident names: replay only incidents that you trust.

    \b
    Examples:
      runtime-guard replay runs/1/incidents/step-00000003     is it the same here, or after a change?
    """
    from runtime_guard.incidents.bundle import Bundle, BundleError
    from runtime_guard.incidents.reenact import is_same_verdict, reenact
    from runtime_guard.incidents.verdict import describe

    try:
        bundle = Bundle.read(path)
        incident = reenact(bundle)
    except BundleError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    click.echo(describe(incident))
    is_same = is_same_verdict(bundle.incident, incident)
    click.echo("The verdict is the same as then." if is_same else "The verdict then was another:")
    if not is_same:
        click.echo(describe(bundle.incident))
    sys.exit(0 if is_same else 1)


@main.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("-m", "is_module", is_flag=True, help="TARGET is a module, as with python -m.")
@click.option("--logdir", type=click.Path(path_type=Path), help="Folder of the run, where incidents are kept.")
@click.option(
    "--policy", type=click.Choice(["raise", "skip", "rollback", "warn"]), help="What to do after an incident."
)
@click.argument("target")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(*, is_module: bool, logdir: Path | None, policy: str | None, target: str, arguments: tuple[str, ...]) -> None:
    """Runs a training script under the guard, without a change to the script.

    Optimizers and torch DataLoaders are found as the script makes them. In a loop over anything else each update of an
    optimizer is a step, and the loop's body is run again from where it stands. A script that makes a Guard of its own
    keeps that one. Exits with 1 after an incident that stopped the training, otherwise as the script does. TARGET is
    whatever python takes: a file, a folder with a __main__.py, or - for standard input.

    \b
    Examples:
      runtime-guard run train.py --epochs 3
      runtime-guard run --policy skip --logdir runs/1 -m package.train
      torchrun --nproc-per-node 2 -m runtime_guard run train.py
    """
    from runtime_guard.incidents.incident import TrainingIncident
    from runtime_guard.scripts.attach import run_attached
    from runtime_guard.scripts.end import ScriptEnd
    from runtime_guard.scripts.script import STDIN, Script
    from runtime_guard.settings import Settings, SettingsError

    is_script = target == STDIN or Path(target).is_file() or Path(target, "__main__.py").is_file()
    if not is_module and not is_script:
        raise click.UsageError(f"there is no script {target}; a module is run with -m {target}")
    path = None if is_module else target if target == STDIN else str(Path(target).absolute())
    script = Script(path, target if is_module else None, arguments, str(Path.cwd()), is_attached=True)
    try:
        settings = Settings.load()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    if policy is not None:
        settings = dataclasses.replace(settings, policy=policy)
    end = ScriptEnd()
    try:
        end.run(lambda: run_attached(script, logdir=logdir, settings=settings))
    except TrainingIncident as error:
        click.echo(str(error), err=True)
        sys.exit(1)


@main.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="File to write, - for standard output; report.html in the run's folder by default.",
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
def export(*, output: Path | None, opens: bool, path: Path) -> None:
    """Writes a run as one HTML page, to be sent or kept: charts, pictures, texts and incidents.

    PATH is the run's folder (the logdir given to Guard). The page holds all that it needs, and opens without a network.
    A run that is still going on is shown as far as it has come.

    \b
    Examples:
      runtime-guard export runs/1                   writes runs/1/report.html
      runtime-guard export runs/1 --open            and shows it
      runtime-guard export runs/1 -o baseline.html  to another file
    """
    from runtime_guard.report.page import page_of
    from runtime_guard.report.record import Record, RecordError

    try:
        page = page_of(Record.read(path))
    except RecordError as error:
        raise click.ClickException(str(error)) from None
    if output == Path("-"):
        click.echo(page, nl=False)
        return
    file = path / "report.html" if output is None else output
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror or error}") from None
    click.echo(f"wrote {file} ({len(page.encode()) / 1024:.0f} KiB)")
    if opens:
        click.launch(str(file))


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve at; 0.0.0.0 for the network.")
@click.option("--port", default=6006, show_default=True, help="Port to serve at; 0 takes a free one.")
@click.argument("path", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def tensorboard(*, host: str, port: int, path: Path, arguments: tuple[str, ...]) -> None:
    """Shows a run, or all runs of a folder, in TensorBoard.

    PATH is the logdir given to Guard, or a folder of several. Keeps more pictures and texts than TensorBoard does by
    itself, and reads a run that was resumed. All that follows goes to TensorBoard.

    \b
    Examples:
      runtime-guard tensorboard runs/1                        one run
      runtime-guard tensorboard runs --port 0                 all of them, at a free port
      runtime-guard tensorboard runs --reload_interval 5      an option of TensorBoard's own
    """
    from runtime_guard.dashboard import DashboardError, arguments_for, has_events, serve

    if not has_events(path):
        click.echo(
            f"{path} holds nothing for TensorBoard yet; it will show what a Guard with this logdir writes", err=True
        )
    try:
        sys.exit(serve(arguments_for(path, host=host, port=port, more=arguments)))
    except DashboardError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main(prog_name="runtime-guard")
