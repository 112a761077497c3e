"""Files that a cached outcome depends on besides the ones that were checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_FOLDER = "folder:"
_SUFFIXES = (".py", ".pyi", ".ipynb")


@dataclass(frozen=True, slots=True)
class Dependency:
    """What was seen of a path: the digest of the file's bytes, None for none, or just whether something is there.

    Of a folder that was searched it is the digest of the names of the Python files below it.
    """

    path: str
    state: str | bool | None


def are_unchanged(dependencies: Iterable[Dependency]) -> bool:
    """Whether everything is as it was seen."""
    return all(_state_like(dependency) == dependency.state for dependency in dependencies)


def file_digest(path: str) -> str | None:
    """A digest of the file's bytes; None where there is no such file."""
    try:
        return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return None


def folder_digest(path: str) -> str:
    """A digest of the names of the Python files below a folder, hidden folders left out."""
    names: list[str] = []
    waiting = [path]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith((".", "__pycache__")):
                    waiting.append(entry.path)
            elif entry.name.endswith(_SUFFIXES):
                names.append(entry.path)
    return (
        _FOLDER
        + hashlib.blake2b("\0".join(sorted(names)).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    )


def _state_like(dependency: Dependency) -> str | bool | None:
    if isinstance(dependency.state, bool):
        return os.path.exists(dependency.path)  # noqa: PTH110 - pathlib is slower
    if dependency.state is not None and dependency.state.startswith(_FOLDER):
        return folder_digest(dependency.path)
    return file_digest(dependency.path)
