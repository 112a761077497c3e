"""What is being written to a group of files, kept on the disk so that another run can finish it or take it back.

A journal is one file whose suffix is its state, so that a rename takes it from one state to the next at once:
`.intent` (temporaries are being made, the targets are untouched), `.commit` (temporaries are replacing the targets),
`.rollback` (targets get their old bytes again). The names of temporaries follow from the journal's own name, and
contents are known by their digests: a journal that came with a stranger's repository can name nothing outside the
folder it lies in, and replaces no file whose bytes it does not know.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline_lint.engine.replacement import read_regular, sync_folders

_VERSION = 1
_FILE_NAME = re.compile(r"(?P<identity>[0-9a-f]{16})\.(?P<suffix>intent|commit|rollback|new)")


class State(enum.Enum):
    """How far a group has come; the value is the journal file's suffix."""

    INTENT = "intent"
    COMMIT = "commit"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the group."""

    target: Path
    """Absolute, with no symbolic link in it."""
    old_digest: str
    new_digest: str
    old: bytes | None
    """What to go back to; None in a group of one file, which is all or nothing by itself."""


class ForeignJournalError(Exception):
    """The file is not a journal that a run wrote for this folder."""


@dataclass(frozen=True, slots=True)
class Journal:
    """A group of files on its way."""

    folder: Path
    """Where the journal file lies."""
    root: Path
    """The folder that holds all targets, with no symbolic link in it."""
    identity: str
    state: State
    entries: tuple[Entry, ...]

    @property
    def path(self) -> Path:
        return self.folder / f"{self.identity}.{self.state.value}"

    @property
    def temporaries(self) -> list[Path]:
        """For each entry the file beside its target that is to replace it."""
        return [
            entry.target.with_name(f".pipeline_lint-{self.identity}-{index}.tmp")
            for index, entry in enumerate(self.entries)
        ]

    @property
    def target_folders(self) -> set[Path]:
        return {entry.target.parent for entry in self.entries}

    def relative(self, entry: Entry) -> str:
        """The target's path from the root, as people write it."""
        return entry.target.relative_to(self.root).as_posix()

    def moved_to(self, state: State) -> Journal:
        """The journal in its next state, safe on the disk."""
        moved = dataclasses.replace(self, state=state)
        os.replace(self.path, moved.path)  # noqa: PTH105 - one way of renaming throughout
        sync_folders([self.folder])
        return moved

    def remove(self) -> None:
        """Forgets the group. Safe on the disk, lest a power failure bring it back after people edited the files."""
        self.path.unlink(missing_ok=True)
        sync_folders([self.folder])


def digest(data: bytes | None) -> str | None:
    """What a content is known by; None for no file."""
    return None if data is None else hashlib.sha256(data).hexdigest()


def open_journal(folder: Path, root: Path, entries: Sequence[Entry]) -> Journal:
    """Starts a journal in state `INTENT`, safe on the disk."""
    journal = Journal(folder, root, os.urandom(8).hex(), State.INTENT, tuple(entries))
    records = [
        {
            "target": journal.relative(entry),
            "old_digest": entry.old_digest,
            "new_digest": entry.new_digest,
            "old": None if entry.old is None else base64.b64encode(entry.old).decode("ascii"),
        }
        for entry in entries
    ]
    draft = folder / f"{journal.identity}.new"
    with draft.open("xb") as file:
        file.write(json.dumps({"version": _VERSION, "entries": records}).encode("ascii"))
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, journal.path)  # noqa: PTH105 - one way of renaming throughout
    sync_folders([folder])
    return journal


def is_draft(path: Path) -> bool:
    """Whether the file is a journal that was never finished, and so never acted upon."""
    match = _FILE_NAME.fullmatch(path.name)
    return match is not None and match["suffix"] == "new"


def load_journal(path: Path, root: Path) -> Journal:
    """Reads a journal file and trusts nothing in it.

    Raises `ForeignJournalError` when it is none, or names a file outside `root`.
    """
    match = _FILE_NAME.fullmatch(path.name)
    data = read_regular(path)
    if match is None or data is None:
        raise ForeignJournalError("its name is not a journal's")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise ForeignJournalError("it is damaged") from None
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise ForeignJournalError("it is not of this version's form")
    records = content.get("entries")
    if not isinstance(records, list) or not records:
        raise ForeignJournalError("it names no files")
    entries = tuple(_read_entry(record, root) for record in records)
    if len(entries) > 1 and any(entry.old is None for entry in entries):
        raise ForeignJournalError("it does not hold the old contents")
    if len({entry.target for entry in entries}) < len(entries):
        raise ForeignJournalError("it names a file twice")
    return Journal(path.parent, root, match["identity"], State(match["suffix"]), entries)


def _read_entry(record: Any, root: Path) -> Entry:
    if not isinstance(record, Mapping):
        raise ForeignJournalError("it is damaged")
    target, old = record.get("target"), record.get("old")
    digests = record.get("old_digest"), record.get("new_digest")
    if not isinstance(target, str) or not all(isinstance(value, str) for value in digests):
        raise ForeignJournalError("it is damaged")
    entry = Entry(_inside(target, root), str(digests[0]), str(digests[1]), _decoded(old))
    if entry.old is not None and digest(entry.old) != entry.old_digest:
        raise ForeignJournalError("its old contents are damaged")
    return entry


def _decoded(old: object) -> bytes | None:
    if old is None:
        return None
    if not isinstance(old, str):
        raise ForeignJournalError("it is damaged")
    try:
        return base64.b64decode(old, validate=True)
    except ValueError:
        raise ForeignJournalError("it is damaged") from None


def _inside(target: str, root: Path) -> Path:
    """The target as an absolute path, if it is one that a run could have written."""
    parts = PurePosixPath(target).parts
    path = root.joinpath(*parts)
    if "\0" in target or not parts or ".." in parts or ".git" in (part.lower() for part in parts):
        raise ForeignJournalError(f"it names {target!r}, which no fix writes to")
    try:
        os.fsencode(path)
        is_inside = path.parent.resolve().is_relative_to(root) and path.is_relative_to(root)
    except (OSError, RuntimeError, ValueError):
        is_inside = False
    if not is_inside or path == root:
        raise ForeignJournalError(f"it names {target!r}, which is outside {root}")
    return path
