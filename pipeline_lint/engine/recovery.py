"""What a run does first about groups of files that a killed run was writing: it finishes them or takes them back."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline_lint.engine.journal import ForeignJournalError, Journal, State, is_draft, load_journal
from pipeline_lint.engine.journal_place import has_journals, journal_folder, lock_path
from pipeline_lint.engine.settlement import (
    ObstacleError,
    conclude,
    current_digest,
    remove_temporaries,
    replace_all,
    roll_back,
)
from pipeline_lint.engine.write_lock import write_lock

_PATIENCE_SECONDS = 0.5


class Outcome(enum.Enum):
    """What became of a group that a killed run left."""

    FINISHED = "finished"
    ROLLED_BACK = "rolled back"
    DISCARDED = "discarded"
    """It had not begun to replace files; its temporaries are gone."""
    FAILED = "failed"
    """It is as it was found; the next run tries again."""
    REFUSED = "refused"
    """It is nothing that a run of this tool wrote here; it was left alone."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """One group of an interrupted run, and what was done about it."""

    outcome: Outcome
    paths: tuple[str, ...]
    """The files of the group, from the root."""
    message: str

    def __str__(self) -> str:
        return self.message


def recover(root: Path) -> list[Recovery]:
    """Finishes or takes back what killed runs left below `root`; does nothing while another run is writing there.

    Never raises for what it finds: a journal that is damaged, foreign or in the way is told of.
    """
    if not has_journals(root):
        return []
    root = root.resolve()
    folder = journal_folder(root)
    if folder is None:
        return [Recovery(Outcome.REFUSED, (), f"{root} has a link in the place of its journals; it was left alone")]
    try:
        with write_lock(lock_path(folder), patience_seconds=_PATIENCE_SECONDS) as is_held:
            return [done for path in sorted(folder.iterdir()) for done in recover_file(path, root)] if is_held else []
    except OSError as error:
        reason = f"{folder} holds the journal of an interrupted run, which cannot be opened: {error.strerror or error}"
        return [Recovery(Outcome.FAILED, (), reason)]


def recover_file(path: Path, root: Path) -> Iterator[Recovery]:
    """Deals with one file of the journal's folder, under the lock; drafts and hidden files are nothing to speak of."""
    if path.name.startswith("."):
        return
    if is_draft(path):
        with contextlib.suppress(OSError):
            path.unlink()
        return
    try:
        journal = load_journal(path, root)
    except (ForeignJournalError, OSError) as error:
        reason = (
            f"{path} is not the journal of an interrupted run here ({error}); it was left alone, and can be deleted"
        )
        yield Recovery(Outcome.REFUSED, (), reason)
        return
    names = tuple(journal.relative(entry) for entry in journal.entries)
    try:
        outcome, message = _settle(journal, names)
    except OSError as error:
        where = error.filename or journal.root
        outcome, message = (
            Outcome.FAILED,
            (
                f"an interrupted run left {_listed(names)} in between, and that cannot be mended yet: "
                f"{where}: {error.strerror or error}; the next run tries again"
            ),
        )
    yield Recovery(outcome, names, message)


def _settle(journal: Journal, names: tuple[str, ...]) -> tuple[Outcome, str]:
    if journal.state is State.INTENT:
        # A group of one file is never committed: its rename is.
        is_done = all(current_digest(entry) == entry.new_digest for entry in journal.entries)
        remove_temporaries(journal)
        journal.remove()
        if is_done:
            return Outcome.FINISHED, f"an interrupted run had written {_listed(names)}"
        return Outcome.DISCARDED, f"an interrupted run had not yet written {_listed(names)}"
    if journal.state is State.COMMIT:
        try:
            replace_all(journal)
        except ObstacleError:
            journal = journal.moved_to(State.ROLLBACK)
        else:
            conclude(journal)
            return Outcome.FINISHED, f"finished writing {_listed(names)} for an interrupted run"
    foreign = [journal.relative(entry) for entry in roll_back(journal)]
    restored = [name for name in names if name not in foreign]
    parts = (
        [f"{_listed(restored)} as before an interrupted run, whose changes could not be finished"] if restored else []
    )
    if foreign:
        parts.append(f"{_listed(foreign)} as somebody changed it since an interrupted run")
    return Outcome.ROLLED_BACK, "left " + "; left ".join(parts)


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names)
