"""The files of rules that users write themselves, found without importing anything."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline_lint.config import ConfigError, Settings


def local_rule_files(settings: Settings) -> list[Path]:
    """The files that `local-rules` names, folders searched. Raises `ConfigError` for a path that does not exist."""
    files: list[Path] = []
    for entry in settings.local_rules:
        path = settings.root / entry
        if path.is_dir():
            files.extend(sorted(file for file in path.rglob("*.py") if file.name != "__init__.py"))
        elif path.is_file():
            files.append(path)
        else:
            where = settings.origin or "command line"
            raise ConfigError(f"{where}: `local-rules` names `{entry}`, which does not exist below {settings.root}")
    return files


def local_rules_digest(settings: Settings) -> str:
    """Changes whenever a file of a local rule does; part of the cache's key."""
    digest = hashlib.blake2b(digest_size=16)
    for path in local_rule_files(settings):
        digest.update(str(path).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
