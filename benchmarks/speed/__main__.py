"""`python -m benchmarks.speed`: measures, prints a table, and writes it into `benchmarks/README.md`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.corpus.download import DownloadError
from benchmarks.corpus.table import markdown_table
from benchmarks.machine import machine_in_words
from benchmarks.speed.inputs import Inputs, prepare_inputs
from benchmarks.speed.peers import PeerError
from benchmarks.speed.scenarios import Figure, Runs, figures, own_commands, peer_commands, table_rows
from benchmarks.speed.timing import CommandFailedError, Run, run_rounds

README = Path(__file__).parents[1] / "README.md"

_BEGIN, _END = "<!-- figures: begin, written by `make bench` -->", "<!-- figures: end -->"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--rounds", default=5, help="Rounds of the checker and its yardsticks.")
@click.option("--peer-rounds", default=1, help="Rounds in which the peers run, too; each takes minutes. 0: no peers.")
@click.option("--write/--no-write", default=True, help="Whether to write the figures into benchmarks/README.md.")
def main(*, rounds: int, peer_rounds: int, write: bool) -> None:
    """Measure the checker beside its peers; exit with 1 when a target is missed."""
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        try:
            click.echo("preparing inputs and environments ...", err=True)
            inputs = prepare_inputs(Path(folder))
            runs = _measure(inputs, rounds=max(rounds, 1), peer_rounds=peer_rounds)
        except (DownloadError, PeerError, CommandFailedError) as error:
            raise click.ClickException(str(error)) from None
        except subprocess.CalledProcessError as error:
            raise click.ClickException(f"{error}\n{error.stderr}") from None
        block = _block(inputs, runs)
    click.echo(block)
    if write and peer_rounds:
        _write(block)
    sys.exit(0 if all(figure.is_met for figure in figures(runs)) else 1)


def _measure(inputs: Inputs, *, rounds: int, peer_rounds: int) -> Runs:
    commands = own_commands(inputs)
    peers = peer_commands(inputs) if peer_rounds else {}
    # The first round fills the disk's and the checker's caches and is not counted.
    run_rounds(commands, 1, lambda *_: None)
    runs = run_rounds(commands | peers, peer_rounds, _tell)
    for name, more in run_rounds(commands, rounds - peer_rounds, _tell).items():
        runs[name].extend(more)
    return runs


def _tell(name: str, run: Run) -> None:
    click.echo(f"{name}: {run.wall_s:.2f} s, CPU {run.cpu_s:.2f} s, {run.peak_mib:.0f} MiB", err=True)


def _block(inputs: Inputs, runs: Runs) -> str:
    parsed = len(inputs.timm_parsed.read_text(encoding="utf-8").split())
    files = list(inputs.timm.rglob("*.py"))
    lines = sum(path.read_bytes().count(b"\n") for path in files)
    head = ["command", "wall s", "CPU s", "CPU, parsing = 1", "peak MiB", "exit codes", "runs"]
    size = f"timm 1.0.20 has {len(files)} files with {lines:,} lines; the checker parses {parsed} of the files"
    text = [
        f"Measured on {machine_in_words()}. {size}.",
        "",
        *markdown_table(["target", "reached", "asked", ""], map(_target_row, figures(runs)), num_left=1),
        "",
        *markdown_table(head, table_rows(runs), num_left=1),
    ]
    return "\n".join(text)


def _target_row(figure: Figure) -> list[str]:
    sign = "at most" if figure.is_ceiling else "at least"
    verdict = "met" if figure.is_met else "**missed**"
    return [figure.what, f"{figure.value:.2f} {figure.unit}", f"{sign} {figure.limit:g} {figure.unit}", verdict]


def _write(block: str) -> None:
    text = README.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise click.ClickException(f"{README}: the lines {_BEGIN!r} and {_END!r} are not there")
    README.write_text(f"{before}{_BEGIN}\n\n{block}\n\n{_END}{after}", encoding="utf-8")
    click.echo(f"wrote {README}", err=True)


if __name__ == "__main__":
    main()
