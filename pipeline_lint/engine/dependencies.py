"""Files that a cached outcome depends on besides the ones that were checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Dependency:
    """What was seen of a path: the digest of the file's bytes, None for none, or just whether something is there."""

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


def _state_like(dependency: Dependency) -> str | bool | None:
    if isinstance(dependency.state, bool):
        return os.path.exists(dependency.path)  # noqa: PTH110 - pathlib is slower
    return file_digest(dependency.path)
