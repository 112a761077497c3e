"""`python -m benchmarks.corpus`: checks every pinned package, and fails when the tool fails on one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import click

from benchmarks.corpus.check import PackageResult, check_package, default_codes
from benchmarks.corpus.download import FOLDER, DownloadError, Package, pinned_packages
from benchmarks.corpus.show import render_finding, sample_findings
from benchmarks.corpus.table import render_page

PAGE = Path(__file__).parents[1] / "corpus.md"


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--packages", default="", help="Names, joined by commas; all of packages.txt when left out.")
@click.option("--jobs", default=0, help="Processes of the checker; 0: one for each processor.")
@click.option("--show", metavar="RULE", help="Print a sample of this rule's findings with the code around them.")
@click.option("--sample", default=30, help="How many findings --show prints.")
@click.option("--seed", default=0, help="Which ones.")
@click.option("--context", default=6, help="Lines of code around each of them.")
@click.option("--min-confidence", default="likely", help="Least confidence of the findings that --show prints.")
def main(  # noqa: PLR0913 - one parameter for each option
    *, packages: str, jobs: int, show: str | None, sample: int, seed: int, context: int, min_confidence: str
) -> None:
    """Run the checker over public PyTorch packages and write benchmarks/corpus.md."""
    try:
        wanted = pinned_packages(name.strip() for name in packages.split(",") if name.strip())
        if show is not None:
            # With a cache, because one asks again and again.
            options = ("--jobs", str(jobs), "--cache-dir", str(FOLDER / ".cache"))
            findings = _check_all(wanted, (*options, "--select", show, "--min-confidence", min_confidence))
            _show(findings, sample=sample, seed=seed, context=context)
            _exit(findings)
        results = _check_all(wanted, ("--jobs", str(jobs), "--no-cache"))
    except DownloadError as error:
        raise click.ClickException(str(error)) from None
    page = render_page(results, default_codes())
    # A run over some of the packages must not take the others out of the committed page.
    if packages:
        click.echo(page)
    else:
        PAGE.write_text(page, encoding="utf-8")
        click.echo(f"wrote {PAGE}")
    _exit(results)


def _check_all(packages: list[Package], options: tuple[str, ...]) -> list[PackageResult]:
    results = []
    for package in packages:
        result = check_package(package, options)
        click.echo(
            f"{package.name} {package.version}: {result.num_lines} lines, {len(result.findings)} findings, "
            f"{result.seconds:.1f} s{', FAILED' if result.trouble else ''}",
            err=True,
        )
        results.append(result)
    return results


def _show(results: list[PackageResult], *, sample: int, seed: int, context: int) -> None:
    for number, (package, finding) in enumerate(sample_findings(results, size=sample, seed=seed), start=1):
        click.echo(f"\n--- {number}. {package}")
        for line in render_finding(finding, context=context):
            click.echo(line)


def _exit(results: list[PackageResult]) -> NoReturn:
    failed = [result for result in results if result.trouble]
    for result in failed:
        click.echo(f"\n{result.package.name}: the tool failed: {result.trouble}", err=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
