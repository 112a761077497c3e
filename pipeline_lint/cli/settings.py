"""The options that `check` and `fix` share, and what they make of the settings."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pipeline_lint.config import ConfigError, SettingsResolver
from pipeline_lint.diagnostic import Confidence
from pipeline_lint.reporter import reporter_names

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}

Command = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Common:
    """The shared options, as given."""

    paths: tuple[str, ...]
    resolver: SettingsResolver
    output_format: str | None
    output_file: Path | None
    statistics: bool
    show_source: bool
    jobs: int
    use_cache: bool
    stdin_filename: str | None
    watch: bool
    quiet: bool
    verbose: bool
    color: bool | None

    def say(self, message: str) -> None:
        """A remark of the tool itself, kept apart from its output."""
        if not self.quiet:
            click.echo(message, err=True)

    def detail(self, message: str) -> None:
        """A remark for `--verbose`."""
        if self.verbose:
            click.echo(message, err=True)


def with_common_options(command: Command) -> Command:
    """Adds the shared options; the command gets one `Common` instead of them."""

    @functools.wraps(command)
    def with_common(**values: Any) -> None:
        names = {*(field for field in Common.__slots__ if field not in ("resolver", "use_cache", "color"))}
        settings = {key: values.pop(key) for key in list(values) if key in _SETTING_OPTIONS}
        config, isolated = values.pop("config"), values.pop("isolated")
        no_cache, no_color = values.pop("no_cache"), values.pop("no_color")
        if config is not None and isolated:
            raise click.UsageError("--config and --isolated exclude one another")
        resolver = SettingsResolver(config=config, isolated=isolated, overrides=_overrides(settings))
        given = {key: values.pop(key) for key in list(values) if key in names}
        color = False if no_color else None
        command(Common(**given, resolver=resolver, use_cache=not no_cache, color=color), **values)

    decorated: Command = with_common
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return reporting_errors(decorated)


def reporting_errors(command: Command) -> Command:
    """Turns a `ConfigError` into a message and exit code 2, and Ctrl-C into exit code 130."""

    @functools.wraps(command)
    def reporting(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except ConfigError as error:
            click.echo(f"{click.style('error', fg='red', bold=True)}: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo("interrupted; nothing more was written", err=True)
            sys.exit(130)

    return reporting


def _split(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """`--select A,B --select C` is A, B, C."""
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def _per_file(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    pairs = []
    for value in values:
        pattern, colon, rule = value.rpartition(":")
        if not colon:
            raise click.BadParameter(f"{value!r} is not PATTERN:RULE, for example 'tests/*:TRN101'")
        pairs.append((pattern, (rule,)))
    return tuple(pairs)


_CONFIDENCES = [confidence.label for confidence in reversed(Confidence)]

_SETTING_OPTIONS = {
    "select",
    "extend_select",
    "ignore",
    "exclude",
    "per_file_ignores",
    "min_confidence",
    "respect_gitignore",
    "force_exclude",
    "baseline",
    "cache_dir",
}


def _overrides(values: dict[str, Any]) -> dict[str, Any]:
    """The settings that the command line gives; an option that was not given is None or empty."""
    overrides = {key: value for key, value in values.items() if value is not None and value != ()}
    if "min_confidence" in overrides:
        overrides["min_confidence"] = Confidence[overrides["min_confidence"].upper()]
    for key in ("baseline", "cache_dir"):
        if key in overrides:
            overrides[key] = str(Path(overrides[key]).absolute())
    return overrides


_OPTIONS = [
    click.argument("paths", nargs=-1, type=click.Path()),
    click.option(
        "--select", multiple=True, callback=_split, metavar="RULES", help="Rules to run, as codes (TRN2), names or ALL."
    ),
    click.option("--ignore", multiple=True, callback=_split, metavar="RULES", help="Rules not to run."),
    click.option(
        "--extend-select",
        multiple=True,
        callback=_split,
        metavar="RULES",
        help="Rules to run besides the default ones.",
    ),
    click.option(
        "--exclude", multiple=True, callback=_split, metavar="PATTERNS", help="Files to leave out, as in a .gitignore."
    ),
    click.option(
        "--per-file-ignores",
        multiple=True,
        callback=_per_file,
        metavar="PATTERN:RULE",
        help="A rule not to report in files that match.",
    ),
    click.option(
        "--min-confidence",
        type=click.Choice(_CONFIDENCES),
        help="Report findings of this confidence and above.  [default: likely]",
    ),
    click.option(
        "--output-format", type=click.Choice(reporter_names()), help="How to print findings.  [default: text]"
    ),
    click.option(
        "-o", "--output-file", type=click.Path(dir_okay=False, path_type=Path), help="Where to print them instead."
    ),
    click.option("--statistics", is_flag=True, help="Print the number of findings of each rule instead of them."),
    click.option("--show-source/--no-show-source", default=True, help="Whether to print the lines of code."),
    click.option(
        "-j", "--jobs", type=click.IntRange(min=0), default=0, help="Processes.  [default: one for each processor]"
    ),
    click.option("-n", "--no-cache", is_flag=True, help="Neither read nor write the cache."),
    click.option("--cache-dir", type=click.Path(file_okay=False), help="Folder of the cache."),
    click.option(
        "--config", type=click.Path(dir_okay=False, path_type=Path), help="Configuration to use instead of the nearest."
    ),
    click.option("--isolated", is_flag=True, help="Use no configuration file at all."),
    click.option("--stdin-filename", metavar="FILE", help="Read code from standard input, as if it were this file."),
    click.option("--baseline", type=click.Path(dir_okay=False), help="Report only what is not in this file."),
    click.option(
        "--respect-gitignore/--no-respect-gitignore", default=None, help="Whether to leave out ignored files."
    ),
    click.option(
        "--force-exclude/--no-force-exclude",
        default=None,
        help="Whether excluded files stay out even when named, as pre-commit does.",
    ),
    click.option("-w", "--watch", is_flag=True, help="Run again whenever a file changes."),
    click.option("-q", "--quiet", is_flag=True, help="Print findings only."),
    click.option("-v", "--verbose", is_flag=True, help="Print what is done, too."),
    click.option("--no-color", is_flag=True, help="Print without colours. NO_COLOR does the same."),
]
