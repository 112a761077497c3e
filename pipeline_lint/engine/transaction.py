"""Writes files that belong together, all or none of them, whatever happens in between.

Temporaries are made beside the targets, a journal (`journal.py`) is committed by one rename, then each temporary is
renamed over its target. A run that is killed leaves its journal, and the next one finishes the group or takes it back
(`recovery.py`). A lock, which the operating system releases when a run dies, tells a killed run from one that is
writing just now.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline_lint.engine.journal import Entry, Journal, State, digest, open_journal
from pipeline_lint.engine.journal_place import journal_folder, lock_path, make_journal_folder
from pipeline_lint.engine.recovery import Outcome, Recovery, recover, recover_file
from pipeline_lint.engine.replacement import read_regular, sync_folders, why_not_replaceable, write_temporary
from pipeline_lint.engine.settlement import ObstacleError, conclude, discard, replace_all, roll_back
from pipeline_lint.engine.write_lock import write_lock

__all__ = [
    "CannotWrite",
    "Change",
    "ChangedMeanwhile",
    "Outcome",
    "Recovery",
    "recover",
    "write_group",
]

_PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Change:
    """A file's bytes as they were read, and as they are to become."""

    old: bytes
    new: bytes


class CannotWrite(Exception):
    """A group was left as it was because one of its files cannot be written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot be written: {reason}")
        self.path = path


class ChangedMeanwhile(Exception):
    """A group was left as it was because somebody changed one of its files since it was read."""

    def __init__(self, path: str) -> None:
        super().__init__("not written: it changed on the disk since it was read; run the command again")
        self.path = path


@dataclass(frozen=True, slots=True)
class _Plan:
    """One file to replace."""

    path: str
    """As the caller names it."""
    target: Path
    """Where it really is."""
    change: Change
    num_names: int


def write_group(changes: Mapping[str, Change], *, root: Path) -> list[str]:
    """Writes all files or none; returns what a person should be told, a sentence each, usually nothing.

    Links stay links: the file at their end is replaced. A file with several names (hard links) parts from the others,
    which keep the old bytes, and the caller is told: writing through them could not be all or nothing, and would
    reach copies outside the project. A file that has its new bytes already is passed over.
    Raises `CannotWrite` or `ChangedMeanwhile`, with nothing of the group changed.
    """
    if not changes:
        return []
    first = min(changes)
    root = root.resolve()
    planned = _plan(changes, root)
    if planned:
        folder = journal_folder(root)
        if folder is None:
            raise CannotWrite(first, f"{root} has a link in the place of its journals; put a real folder there")
        with _as_cannot_write(first):
            make_journal_folder(folder)
            with write_lock(lock_path(folder), patience_seconds=_PATIENCE_SECONDS) as is_held:
                if not is_held:
                    raise CannotWrite(first, f"another run keeps writing below {root}; wait for it")
                _write(planned, folder, root)
    return [
        f"{plan.path}: the file had {plan.num_names} names (hard links), and only this one has the new contents"
        for plan in planned
        if plan.num_names > 1
    ]


def _plan(changes: Mapping[str, Change], root: Path) -> list[_Plan]:
    """What is to be replaced, without the files that need nothing."""
    planned: dict[Path, _Plan] = {}
    for path, change in sorted(changes.items()):
        with _as_cannot_write(path):
            target = _target(path, root)
            if target in planned:
                if planned[target].change != change:
                    raise CannotWrite(path, f"it is the same file as {planned[target].path}, with other changes")
            elif read_regular(target) != change.new:
                planned[target] = _Plan(path, target, change, target.stat().st_nlink)
    for plan in planned.values():
        _refuse_changed(plan)
    return list(planned.values())


def _target(path: str, root: Path) -> Path:
    """The file that a path leads to, if it may be replaced."""
    try:
        target = Path(path).resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError):
        raise ChangedMeanwhile(path) from None
    except RuntimeError:
        raise CannotWrite(path, "it is a link to itself") from None
    if not target.is_relative_to(root):
        raise CannotWrite(path, f"it is outside {root}")
    if ".git" in (part.lower() for part in target.relative_to(root).parts):
        raise CannotWrite(path, "it belongs to git")
    reason = why_not_replaceable(target)
    if reason is not None:
        raise CannotWrite(path, reason)
    return target


def _refuse_changed(plan: _Plan) -> None:
    with _as_cannot_write(plan.path):
        if read_regular(plan.target) != plan.change.old:
            raise ChangedMeanwhile(plan.path)


def _write(planned: list[_Plan], folder: Path, root: Path) -> None:
    """Takes the group from its intent to its end, or leaves nothing of it."""
    is_alone = len(planned) == 1
    entries = [
        Entry(
            plan.target,
            str(digest(plan.change.old)),
            str(digest(plan.change.new)),
            None if is_alone else plan.change.old,
        )
        for plan in planned
    ]
    journal = open_journal(folder, root, entries)
    try:
        for plan, temporary in zip(planned, journal.temporaries, strict=True):
            with _as_cannot_write(plan.path):
                write_temporary(temporary, plan.change.new, like=plan.target)
        sync_folders(journal.target_folders)
        for plan in planned:
            _refuse_changed(plan)
        if is_alone:
            # One file needs no commit: its rename is one.
            os.replace(journal.temporaries[0], planned[0].target)  # noqa: PTH105 - one way of renaming throughout
        else:
            journal = journal.moved_to(State.COMMIT)
    except BaseException:
        discard(journal)
        raise
    if not is_alone:
        _finish(journal, {plan.target: plan.path for plan in planned})
    # All is written: what cannot be tidied up now, the next run's recovery does.
    with contextlib.suppress(OSError):
        conclude(journal)


def _finish(journal: Journal, names: Mapping[Path, str]) -> None:
    """Replaces the files of a committed group, or takes back what it did."""
    try:
        replace_all(journal)
    except ObstacleError as obstacle:
        path = names[obstacle.target]
        try:
            roll_back(journal.moved_to(State.ROLLBACK))
        except OSError as error:
            reason = (
                f"{error.strerror or error}; files of its group changed before that, and the next run restores them"
            )
            raise CannotWrite(path, reason) from error
        if obstacle.error is None:
            raise ChangedMeanwhile(path) from None
        raise CannotWrite(path, obstacle.error.strerror or str(obstacle.error)) from obstacle.error
    except KeyboardInterrupt:
        # Nobody who presses Ctrl-C wants half of a fix.
        list(recover_file(journal.path, journal.root))
        raise


@contextlib.contextmanager
def _as_cannot_write(path: str) -> Iterator[None]:
    """Names the file of the group in place of an error of the operating system."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename and str(error.filename) != path else ""
        raise CannotWrite(path, f"{where}{error.strerror or error}") from error
