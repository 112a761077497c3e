"""What earlier runs found, by content: a SQLite file that several runs may share, and that never fails a run.

Values are pickles that may hold nothing but this package's own plain data, so that a cache file that came with a
stranger's repository can make wrong findings at worst, and run no code.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import pickle
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline_lint import __version__
from pipeline_lint.config import Settings
from pipeline_lint.engine.local_rules import local_rules_digest

FOLDER_NAME = ".pipeline_lint_cache"

_KEPT_DAYS = 30
_BUSY_SECONDS = 5.0
_PLAIN = {("builtins", "frozenset"), ("builtins", "set"), ("collections", "Counter")}
_BACKUP_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n"
_IGNORE_ALL = "# The cache of pipeline-lint; safe to delete.\n*\n"


class Cache:
    """A table of values by key. Every failure of the disk or the database is a miss."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "results.sqlite3"
        self._connection: sqlite3.Connection | None = None
        self.problem: str | None = None
        """Why there is no cache, for `--verbose`."""

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values that are there."""
        wanted = list(keys)
        found: dict[str, Any] = {}
        try:
            connection = self._open()
            for start in range(0, len(wanted), 500):
                part = wanted[start : start + 500]
                marks = ",".join("?" * len(part))
                query = f"SELECT key, value FROM results WHERE key IN ({marks})"  # noqa: S608
                for key, value in connection.execute(query, part):
                    found[key] = _load(value)
        except _MISSES as error:
            self._give_up(error)
        return found

    def put(self, values: Mapping[str, Any]) -> None:
        """Keeps values, and forgets what has not been written anew for a month."""
        if not values:
            return
        today = int(time.time() // 86400)
        try:
            connection = self._open()
            rows = [(key, pickle.dumps(value, pickle.HIGHEST_PROTOCOL), today) for key, value in values.items()]
            with connection:
                connection.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows)
                connection.execute("DELETE FROM results WHERE day < ?", (today - _KEPT_DAYS,))
        except _MISSES as error:
            self._give_up(error)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self.problem is not None:
            raise _NoCacheError
        if self._connection is None:
            make_cache_folder(self._path.parent)
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS)
            self._connection = connection
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, value BLOB, day INTEGER) WITHOUT ROWID"
            )
        return self._connection

    def _give_up(self, error: BaseException) -> None:
        """Goes on without; a file that is no database is taken away, so that the next run has one again."""
        if isinstance(error, _NoCacheError):
            return
        self.problem = f"{self._path}: {type(error).__name__}: {error}"
        self.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            self._path.unlink(missing_ok=True)


class _NoCacheError(Exception):
    """The cache has failed before in this run."""


# What unpickling foreign bytes can raise is open-ended, by its documentation; AttributeError and the like among them.
_MISSES = (
    sqlite3.Error,
    OSError,
    pickle.PickleError,
    EOFError,
    AttributeError,
    ImportError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    _NoCacheError,
)


def make_cache_folder(folder: Path) -> None:
    """Makes a folder that git and backups pass over."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("CACHEDIR.TAG", _BACKUP_TAG), (".gitignore", _IGNORE_ALL)):
        # Never opened when it is there: a link of that name could lead anywhere.
        with contextlib.suppress(FileExistsError), (folder / name).open("x", encoding="ascii") as file:
            file.write(text)


def cache_folder(settings: Settings) -> Path:
    """Where the cache for these settings lives."""
    return settings.root / (settings.cache_dir or FOLDER_NAME)


def settings_key(settings: Settings) -> str:
    """Changes with whatever can change findings: settings, rules, the tool."""
    parts = (
        settings.select,
        settings.extend_select,
        settings.ignore,
        settings.min_confidence,
        settings.per_file_ignores,
        settings.rule_options,
        str(settings.root),
        local_rules_digest(settings),
        _tool_digest(),
    )
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def content_key(settings_digest: str, path: str, data: bytes) -> str:
    """The key of one file's result."""
    digest = hashlib.blake2b(data, digest_size=20)
    digest.update(f"\0{path}\0{settings_digest}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@functools.cache
def _tool_digest() -> str:
    """The version; in a checkout, for those who work on the tool itself, also the state of its files.

    An installed package is not looked at, so that a cache restored on a fresh machine counts.
    """
    digest = hashlib.blake2b(__version__.encode(), digest_size=16)
    package = Path(__file__).parent.parent
    if not (package.parent / "pyproject.toml").exists():
        return digest.hexdigest()
    for folder, folders, files in os.walk(package):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(files):
            if name.endswith(".py"):
                status = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118
                digest.update(f"{folder}/{name}:{status.st_mtime_ns}:{status.st_size}".encode())
    return digest.hexdigest()


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        # A dotted name would reach through a module of ours into what it imports.
        if module.startswith("pipeline_lint.") and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and found.__module__ == module:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no plain data of this package")


def _load(value: bytes) -> Any:
    return _PlainUnpickler(io.BytesIO(value)).load()
