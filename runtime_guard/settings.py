"""Settings: what `[tool.runtime-guard]`, the environment and the arguments of `Guard` ask for."""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from typing_extensions import Self

from runtime_guard.sink import known_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE = "tool.runtime-guard"
SWITCH = "RUNTIME_GUARD"
POLICIES = ("raise", "skip", "rollback", "warn")

BeforeUpdate = Literal["auto", "read", "flag", "snapshot"]

_SWITCH_WORDS = {"off": False, "0": False, "false": False, "no": False, "on": True, "1": True, "true": True, "": True}


class SettingsError(ValueError):
    """A setting that cannot be used; the text names where it stands, what was found and what is expected."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. Field names are the keys, with `-` for `_`."""

    enabled: bool = True
    """Whether the guard does anything; RUNTIME_GUARD=off in the environment turns it off."""
    policy: str = "raise"
    """What happens after an incident: raise, skip, rollback or warn."""
    max_skips: int = 3
    """How many steps in a row may be skipped before the guard raises after all."""
    max_rollbacks: int = 3
    """How many rollbacks may follow each other without a new snapshot in between before the guard raises."""
    snapshot_every: int = 50
    """With rollback: updates between two snapshots of parameters, optimizers and the rest of the state."""
    before_update: str = "auto"
    """How the update of a bad step is prevented: auto, read, flag or snapshot."""
    replay: bool = True
    """Whether the offending batches are run again to find the operation that made the first non-finite number."""
    parameters_every: int = 1
    """After every how many updates the parameters are looked at; those in float16 always are."""
    max_scale_falls: int = 25
    """How many updates in a row a GradScaler may skip before that is an incident."""
    early_warnings: bool = True
    """Whether signs of trouble are warned of before anything is not finite."""
    sample_every: int = 10
    """At every how many updates, from the second on, activations and changes of weights are sampled."""
    monitors: str = "all"
    """What is shown of a run that has a folder: all, or none."""
    sinks: tuple[str, ...] = ("tensorboard", "json-lines")
    """Where it is shown: tensorboard, json-lines, console, wandb, mlflow."""
    history: int = 256
    """How many past steps an incident can look back on."""
    bundle: bool = True
    """Whether an incident is written into the run's folder."""
    max_bundle_mib: int = 1024
    """Size in MiB above which tensors are left out of a bundle: parameters and buffers first, then batches."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name), type(field.default))
        for name in ("max_skips", "max_rollbacks", "max_bundle_mib"):
            _check_at_least(name, getattr(self, name), 0)
        for name in ("snapshot_every", "history", "parameters_every", "max_scale_falls", "sample_every"):
            _check_at_least(name, getattr(self, name), 1)
        _check_choice("policy", self.policy, POLICIES)
        _check_choice("monitors", self.monitors, ("all", "none"))
        _check_sinks(self.sinks)
        _check_choice("before_update", self.before_update, get_args(BeforeUpdate))

    @classmethod
    def load(cls, folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """The settings of the nearest pyproject.toml with our table, at or above `folder` (the current one).

        RUNTIME_GUARD in the environment has the last word on `enabled`. Raises `SettingsError`.
        """
        settings = cls.from_table(*_nearest_table(Path.cwd() if folder is None else folder.absolute()))
        word = (os.environ if environ is None else environ).get(SWITCH)
        if word is None:
            return settings
        if word.lower() not in _SWITCH_WORDS:
            raise SettingsError(f"{SWITCH}={word!r} in the environment: expected on or off")
        return dataclasses.replace(settings, enabled=_SWITCH_WORDS[word.lower()])

    @classmethod
    def from_table(cls, table: Mapping[str, Any], origin: str = f"[{TABLE}]") -> Self:
        """Settings from the keys and values of a configuration file."""
        known = {field.name.replace("_", "-"): field.name for field in dataclasses.fields(cls)}
        for key in table:
            if key not in known:
                close = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
                raise SettingsError(f"{origin}: there is no setting {key!r}; {hint}")
        try:
            return cls(**{known[key]: _plain(value) for key, value in table.items()})
        except SettingsError as error:
            raise SettingsError(f"{origin}: {error}") from None


def _plain(value: Any) -> Any:
    """TOML has lists only."""
    return tuple(value) if isinstance(value, list) else value


def _check_type(name: str, value: object, expected: type) -> None:
    if type(value) is not expected:
        wanted = "list" if expected is tuple else expected.__name__
        raise SettingsError(f"{_key(name)} = {value!r} is a {type(value).__name__}, expected a {wanted}")


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise SettingsError(f"{_key(name)} = {value} is too small, expected {least} or more")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        close = difflib.get_close_matches(value, choices, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected {', '.join(choices)}"
        raise SettingsError(f"{_key(name)} = {value!r} is unknown; {hint}")


def _check_sinks(names: tuple[str, ...]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise SettingsError(f"sinks = {names!r} holds a {type(name).__name__}, expected names")
        try:
            known_name(name)
        except ValueError as error:
            raise SettingsError(f"sinks: {error}") from None


def _key(name: str) -> str:
    return name.replace("_", "-")


def _nearest_table(folder: Path) -> tuple[dict[str, Any], str]:
    for parent in (folder, *folder.parents):
        path = parent / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path} cannot be read: {error}") from None
        table = content.get("tool", {}).get("runtime-guard")
        if isinstance(table, dict):
            return table, f"{path} [{TABLE}]"
    return {}, f"[{TABLE}]"
