"""Settings: what `[tool.pipeline-lint]`, `pipeline-lint.toml` and the command line ask for.

The nearest configuration above a file counts for that file, as with ruff; configurations are not merged. What the
command line says overrides it. Whether a selector names a rule is decided where the rules are known, in
`engine/catalog.py`, because reading the settings must not load them.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lint.diagnostic import Confidence

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OptionValue = bool | int | float | str | tuple[str, ...]

FILE_NAMES = ("pipeline-lint.toml", ".pipeline-lint.toml")
TABLE = "tool.pipeline-lint"


class ConfigError(Exception):
    """A setting that cannot be used; the text names the file, the key, what was found and what is expected."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one configuration. Field names are the keys, with `-` for `_`."""

    select: tuple[str, ...] = ()
    """Rules to run: codes, prefixes of codes, names, topics or ALL. Empty: the default rules."""
    extend_select: tuple[str, ...] = ()
    """Rules to run besides those of `select`."""
    ignore: tuple[str, ...] = ()
    """Rules not to run."""
    unfixable: tuple[str, ...] = ()
    """Rules whose fixes are never applied."""
    min_confidence: Confidence = Confidence.LIKELY
    """Findings below this confidence are not reported: certain, likely or possible."""
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Rules not to report in files that match a pattern."""
    exclude: tuple[str, ...] = ()
    """Files and folders to leave out, as patterns of a .gitignore."""
    respect_gitignore: bool = True
    """Whether to leave out what git ignores."""
    force_exclude: bool = False
    """Whether `exclude` counts for files that are named on the command line, too."""
    local_rules: tuple[str, ...] = ()
    """Folders or files that hold rules of your own."""
    baseline: str | None = None
    """File of known findings that are not reported again."""
    output_format: str = "text"
    """How findings are printed."""
    unsafe_fixes: bool = False
    """Whether `fix` applies fixes that may change results or interfaces."""
    cache_dir: str | None = None
    """Folder of the cache; `.pipeline_lint_cache` beside the configuration by default."""
    rule_options: tuple[tuple[str, tuple[tuple[str, OptionValue], ...]], ...] = ()
    """Options of single rules: the tables `[tool.pipeline-lint.RULE-NAME]`."""
    root: Path = Path()
    """Folder of the configuration: what its patterns and paths are relative to."""
    origin: Path | None = None
    """The configuration file; None when there is none."""

    def options_of(self, rule_name: str) -> Mapping[str, OptionValue]:
        """The options given for one rule."""
        return dict(dict(self.rule_options).get(rule_name, ()))

    def with_overrides(self, overrides: Mapping[str, Any]) -> Settings:
        """These settings with what the command line says: lists of rules and patterns to ignore are added to."""
        changes = dict(overrides)
        for key in ("ignore", "extend_select", "exclude", "per_file_ignores"):
            if key in changes:
                changes[key] = (*getattr(self, key), *changes[key])
        return dataclasses.replace(self, **changes)


SETTING_NAMES = tuple(
    field.name.replace("_", "-")
    for field in dataclasses.fields(Settings)
    if field.name not in ("rule_options", "root", "origin")
)


class SettingsResolver:
    """Finds the settings for each file."""

    def __init__(
        self, *, config: Path | None = None, isolated: bool = False, overrides: Mapping[str, Any] | None = None
    ) -> None:
        self._config = config
        self._isolated = isolated
        self._overrides = dict(overrides or {})
        self._by_folder: dict[Path, Settings] = {}

    def for_path(self, path: str | Path) -> Settings:
        """The settings for a file or folder: those of the nearest configuration above it."""
        absolute = Path(path).absolute()
        return self.for_file_in(absolute if absolute.is_dir() else absolute.parent)

    def for_file_in(self, folder: Path) -> Settings:
        """The settings for the files of an absolute folder; asks the disk only once a folder."""
        known = self._by_folder.get(folder)
        if known is None:
            known = self._by_folder[folder] = self._find(folder)
        return known

    def overridden(self, overrides: Mapping[str, Any]) -> SettingsResolver:
        """Another one, in which these settings count before what the command line says."""
        return SettingsResolver(
            config=self._config, isolated=self._isolated, overrides={**self._overrides, **overrides}
        )

    def forget(self) -> None:
        """Reads configuration files anew from now on."""
        self._by_folder.clear()
        load_settings.cache_clear()
        _read_toml.cache_clear()

    def _find(self, folder: Path) -> Settings:
        if self._isolated:
            return Settings(root=Path.cwd()).with_overrides(self._overrides)
        config = self._config or find_config(folder)
        if config is not None:
            return load_settings(config).with_overrides(self._overrides)
        if folder.parent == folder:
            return Settings(root=Path.cwd()).with_overrides(self._overrides)
        return self.for_file_in(folder.parent)


class FixedSettings(SettingsResolver):
    """The same settings for every path."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def _find(self, folder: Path) -> Settings:
        return self._settings


def find_config(folder: Path) -> Path | None:
    """The configuration file of exactly this folder; a pyproject.toml without our table is none."""
    for name in FILE_NAMES:
        candidate = folder / name
        if candidate.is_file():
            return candidate
    candidate = folder / "pyproject.toml"
    if candidate.is_file() and TABLE.split(".")[1] in _read_toml(candidate).get("tool", {}):
        return candidate
    return None


@functools.lru_cache(maxsize=256)
def load_settings(path: Path) -> Settings:
    """Reads one configuration file.

    Raises `ConfigError` for a file that cannot be read, an unknown key or a value of the wrong kind.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file")
    tables = _read_toml(path)
    if path.name == "pyproject.toml":
        table = tables.get("tool", {}).get("pipeline-lint", {})
        prefix = TABLE + "."
    else:
        table, prefix = tables, ""
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: `{TABLE}` must be a table, found {_kind(table)}")
    values: dict[str, Any] = {}
    rule_options: dict[str, tuple[tuple[str, OptionValue], ...]] = {}
    for key, value in table.items():
        if isinstance(value, dict) and key != "per-file-ignores":
            rule_options[key] = tuple((name, _option(path, f"{key}.{name}", option)) for name, option in value.items())
            continue
        if key not in SETTING_NAMES:
            raise ConfigError(f"{path}: unknown key `{prefix}{key}`{suggestion(key, SETTING_NAMES)}")
        values[key.replace("-", "_")] = _READERS[key](f"{path}: `{prefix}{key}`", value)
    return Settings(**values, rule_options=tuple(rule_options.items()), root=path.parent.absolute(), origin=path)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` with the nearest known word, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean `{close[0]}`?" if close else ""


@functools.lru_cache(maxsize=256)
def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None


def _read_strings(where: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{where} must be a list of strings, found {_kind(value)}")
    return tuple(value)


def _read_bool(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{where} must be true or false, found {_kind(value)}")
    return value


def _read_string(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{where} must be a string, found {_kind(value)}")
    return value


def _read_confidence(where: str, value: object) -> Confidence:
    labels = [confidence.label for confidence in reversed(Confidence)]
    if value not in labels:
        raise ConfigError(f"{where} must be one of {', '.join(labels)}, found {value!r}")
    return Confidence[str(value).upper()]


def _read_per_file_ignores(where: str, value: object) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} must be a table of pattern = [rules], found {_kind(value)}")
    return tuple((pattern, _read_strings(f"{where}, pattern `{pattern}`,", rules)) for pattern, rules in value.items())


def _read_output_format(where: str, value: object) -> str:
    from pipeline_lint.reporter import reporter_names

    name = _read_string(where, value)
    if name not in reporter_names():
        known = ", ".join(reporter_names())
        raise ConfigError(f"{where} must be one of {known}, found {name!r}{suggestion(name, reporter_names())}")
    return name


def _option(path: Path, key: str, value: object) -> OptionValue:
    if isinstance(value, list):
        return _read_strings(f"{path}: `{key}`", value)
    if isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"{path}: `{key}` must be a string, a number, true, false or a list, found {_kind(value)}")


def _kind(value: object) -> str:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a table"}
    return kinds.get(type(value), type(value).__name__)


_READERS: dict[str, Callable[[str, object], Any]] = {
    "select": _read_strings,
    "extend-select": _read_strings,
    "ignore": _read_strings,
    "unfixable": _read_strings,
    "min-confidence": _read_confidence,
    "per-file-ignores": _read_per_file_ignores,
    "exclude": _read_strings,
    "respect-gitignore": _read_bool,
    "force-exclude": _read_bool,
    "local-rules": _read_strings,
    "baseline": _read_string,
    "output-format": _read_output_format,
    "unsafe-fixes": _read_bool,
    "cache-dir": _read_string,
}
