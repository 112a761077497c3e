"""Which folder a group of files is written under: where its journal goes, and where the next run looks for one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline_lint.config import FILE_NAMES
from pipeline_lint.engine.cache import FOLDER_NAME

_MARKERS = (".git", "pyproject.toml", *FILE_NAMES)


def project_root(paths: Iterable[str]) -> Path:
    """The nearest folder above all of these files that looks like a project's, else the deepest that holds them all.

    Links are followed, because the files that they point to are the ones that are written.
    """
    folders = sorted({Path(path).resolve().parent for path in paths})
    try:
        common = Path(os.path.commonpath(folders))
    except ValueError:
        # Different drives: the files outside the first one's are refused where they are written.
        common = folders[0]
    for folder in (common, *common.parents):
        if any((folder / marker).exists() for marker in _MARKERS):
            return folder
    return common


def interrupted_roots(paths: Iterable[str]) -> Iterator[Path]:
    """The folders at and above these paths where a run of ours has written, each once, the highest first."""
    candidates: set[Path] = set()
    for path in paths:
        start = Path(path).resolve()
        if start not in candidates:
            candidates.update((start, *start.parents))
    for folder in sorted(candidates):
        if (folder / FOLDER_NAME / "journal").is_dir():
            yield folder
