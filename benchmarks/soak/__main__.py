"""`python -m benchmarks.soak`: all of the environment, or a sample; fails on whatever a working tool would not do."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.corpus.download import FOLDER
from benchmarks.soak.installed import copy_files, copy_tree, files_below, installed_files, sample_of
from benchmarks.soak.run import Soak, soak


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--jobs", default=0, help="Processes of the checker; 0: one for each processor.")
@click.option("--sample", default=0, help="Take only so many files; 0: all.")
@click.option("--seed", default=0, help="Which ones.")
@click.option("--corpus", is_flag=True, help="Take the packages that `make corpus` has downloaded instead.")
def main(*, jobs: int, sample: int, seed: int, corpus: bool) -> None:
    """Check and fix a copy of the standard library and of everything installed."""
    if corpus and not FOLDER.is_dir():
        raise click.ClickException(f"{FOLDER}: not there; `make corpus` downloads the packages")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        folder = Path(temporary) / "code"
        files = files_below(FOLDER) if corpus else installed_files()
        if sample:
            files = sample_of(files, size=sample, seed=seed)
        if corpus:
            copy_tree(FOLDER, folder, files)
        else:
            copy_files(files, folder)
        result = soak(folder, jobs=jobs)
    _print(result, time.perf_counter() - start)
    sys.exit(1 if result.problems else 0)


def _print(result: Soak, seconds: float) -> None:
    click.echo(f"{result.num_files} files, {result.num_checked} of them checked, {seconds:.0f} s")
    click.echo("findings: " + ", ".join(f"{code} {count}" for code, count in sorted(result.counts.items())))
    click.echo("files changed: " + ", ".join(f"{kind} fixes {count}" for kind, count in result.num_changed.items()))
    for problem in result.problems:
        click.echo(f"PROBLEM: {problem}", err=True)
    click.echo(f"{len(result.problems)} problems")


if __name__ == "__main__":
    main()
