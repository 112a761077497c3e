"""Where journals lie, and the lock that goes with them."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline_lint.engine.cache import FOLDER_NAME, make_cache_folder
from pipeline_lint.engine.replacement import sync_folders


def journal_folder(root: Path) -> Path | None:
    """Where journals lie below a resolved root; None when a link leads elsewhere, as a stranger's repository could."""
    folder = root / FOLDER_NAME / "journal"
    return folder if folder.resolve() == folder else None


def lock_path(folder: Path) -> Path:
    """The lock that the writer of a journal in this folder holds."""
    return folder.with_name("writing.lock")


def has_journals(root: Path) -> bool:
    """Whether there is anything to recover."""
    try:
        names = os.listdir(root / FOLDER_NAME / "journal")  # noqa: PTH208 - every run does this
    except OSError:
        return False
    return any(not name.startswith(".") for name in names)


def make_journal_folder(folder: Path) -> None:
    """Makes the folder, safe on the disk."""
    if not folder.is_dir():
        make_cache_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folders([folder.parent.parent, folder.parent])
