"""The folder of the project that files belong to.

It holds the journal of what is written, and what is read for the users of a model or dataset.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from pipeline_lint.config import FILE_NAMES
from pipeline_lint.engine.cache import FOLDER_NAME

MARKERS = (".git", "pyproject.toml", "setup.py", "setup.cfg", *FILE_NAMES)


def project_root(paths: Collection[str]) -> Path:
    """The nearest folder above all of these files that looks like a project's, else the deepest that holds them all.

    Links are followed, because the files that they point to are the ones that are written.
    """
    common = deepest_folder(paths)
    for folder in (common, *common.parents):
        if any((folder / marker).exists() for marker in MARKERS):
            return folder
    return common


def deepest_folder(paths: Collection[str]) -> Path:
    """The deepest folder that holds all of these files."""
    folders = sorted({Path(path).resolve().parent for path in paths})
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:
        # Different drives: the files outside the first one's are refused where they are written.
        return folders[0]


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
