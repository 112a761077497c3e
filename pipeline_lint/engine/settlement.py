"""How a group of files whose temporaries stand ready becomes all new, or all old again."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pipeline_lint.engine.journal import Entry, Journal, digest
from pipeline_lint.engine.replacement import read_regular, sync_folders, write_temporary


class ObstacleError(Exception):
    """One of a committed group's files cannot be replaced; `error` is None when somebody has changed it."""

    def __init__(self, target: Path, error: OSError | None = None) -> None:
        super().__init__(str(target))
        self.target = target
        self.error = error


def replace_all(journal: Journal) -> None:
    """Puts all temporaries in place, of which some may be there already.

    Raises `ObstacleError` when a file has neither its old nor its new contents, or cannot be replaced.
    """
    contents = [current_digest(entry) for entry in journal.entries]
    if _are_replaced(journal, contents):
        return
    pairs = list(zip(journal.entries, journal.temporaries, strict=True))
    for (entry, temporary), content in zip(pairs, contents, strict=True):
        is_ready = content == entry.old_digest and digest(read_regular(temporary)) == entry.new_digest
        if content != entry.new_digest and not is_ready:
            raise ObstacleError(entry.target)
    for entry, temporary in pairs:
        try:
            content = current_digest(entry)
            if content == entry.new_digest:
                temporary.unlink(missing_ok=True)
            elif content == entry.old_digest:
                os.replace(temporary, entry.target)  # noqa: PTH105 - one way of renaming throughout
            else:
                raise ObstacleError(entry.target)
        except OSError as error:
            raise ObstacleError(entry.target, error) from error


def conclude(journal: Journal) -> None:
    """Makes what was done safe on the disk, and forgets the group."""
    sync_folders(folder for folder in journal.target_folders if folder.is_dir())
    journal.remove()


def roll_back(journal: Journal) -> list[Entry]:
    """Gives the old contents back to each file that has the new ones; returns the files that have neither.

    The journal must be in state `ROLLBACK`, in which missing temporaries do not mean that their targets are replaced.
    """
    remove_temporaries(journal)
    foreign = []
    for entry, temporary in zip(journal.entries, journal.temporaries, strict=True):
        content = current_digest(entry)
        if content == entry.new_digest and entry.old is not None:
            write_temporary(temporary, entry.old, like=entry.target)
            os.replace(temporary, entry.target)  # noqa: PTH105 - one way of renaming throughout
        elif content != entry.old_digest:
            foreign.append(entry)
    conclude(journal)
    return foreign


def discard(journal: Journal) -> None:
    """Takes away what a group left that has replaced nothing. What fails here, a later recovery does."""
    with contextlib.suppress(OSError):
        remove_temporaries(journal)
        journal.remove()


def remove_temporaries(journal: Journal) -> None:
    """Removes those that are there."""
    for temporary in journal.temporaries:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            temporary.unlink()


def current_digest(entry: Entry) -> str | None:
    """What the file holds now."""
    return digest(read_regular(entry.target))


def _are_replaced(journal: Journal, contents: list[str | None]) -> bool:
    """Whether a rename has taken every temporary; what differs from the new contents, people changed afterwards."""
    is_any_old = any(content == entry.old_digest for content, entry in zip(contents, journal.entries, strict=True))
    return not is_any_old and not any(os.path.lexists(temporary) for temporary in journal.temporaries)
