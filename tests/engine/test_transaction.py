"""Groups of files are written all or none, whatever happens, and links, modes and other people's edits survive."""

from __future__ import annotations

import base64
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pipeline_lint.engine import journal as journal_module
from pipeline_lint.engine import replacement, transaction
from pipeline_lint.engine.journal import Journal, State, digest
from pipeline_lint.engine.transaction import (
    CannotWrite,
    Change,
    ChangedMeanwhile,
    Outcome,
    Recovery,
    recover,
    write_group,
)
from pipeline_lint.engine.write_lock import write_lock

Groups = Sequence[Sequence[str]]

CACHE = ".pipeline_lint_cache"
OLD, NEW = b"old = 1\r\n", b"new = 2\r\n"
needs_posix = pytest.mark.skipif(os.name == "nt", reason="needs links, modes and signals as POSIX has them")

# Runs in a process of its own, which forks for each order that it reads, so that Python starts only once. A step is a
# call that changes the disk, or makes a change safe on it; the process that has the order dies before or after the
# step of that number, and tells every step on standard output.
CHILD = """
import json, os, pathlib, signal, sys

sys.path.insert(0, {package_root!r})
from pipeline_lint.engine import replacement, transaction

def counted(function, deadly_step, is_before):
    def call(*args, **kwargs):
        global steps
        number = steps = steps + 1
        if number == deadly_step and is_before:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return function(*args, **kwargs)
        finally:
            if number == deadly_step:
                os.kill(os.getpid(), signal.SIGKILL)
            real_write(1, b".")
    return call

def carry_out(root, version, deadly_step, is_before, groups):
    # A killed process loses nothing that it gave to the system, so the slow part is a step that does nothing.
    os.fsync = lambda descriptor: None
    for name in ("replace", "fsync", "unlink", "chmod", "mkdir", "open"):
        setattr(os, name, counted(getattr(os, name), deadly_step, is_before))
    if groups is None:
        transaction.recover(root)
    for group in groups or ():
        changes = {{}}
        for name in group:
            old = (root / name).read_bytes()
            changes[str(root / name)] = transaction.Change(old, f"{{name}} {{version}}\\n".encode() * 50)
        transaction.write_group(changes, root=root)

real_write, steps = os.write, 0
for line in sys.stdin:
    root, *order = json.loads(line)
    if (process := os.fork()) == 0:
        real_write(1, f"{{os.getpid()}}\\n".encode())
        carry_out(pathlib.Path(root), *order)
        os._exit(0)
    real_write(1, f"\\n{{os.waitpid(process, 0)[1]}}\\n".encode())
"""


class Victims:
    """Processes that write groups of files, or recover, and are killed at it."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", CHILD.format(package_root=str(Path(transaction.__file__).parents[2]))]
        self._parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._input, self._output = self._parent.stdin, self._parent.stdout

    def close(self) -> None:
        self._input.close()
        self._output.close()
        self._parent.wait(timeout=60)

    def run_to_step(self, step: int, root: Path, groups: Groups | None, *, version: int = 0, is_before: bool) -> bool:
        """Whether the process died at this step, which it does not when it takes fewer."""
        self._send(root, version, step, is_before, groups)
        self._output.readline()
        return self._is_killed()

    def run_for_some_steps(self, num_steps: int, root: Path, groups: Groups, *, version: int) -> bool:
        """Kills the process, from outside, some time after it has taken so many steps; whether that was in time."""
        process = self._send(root, version, 0, False, groups)
        if all(self._output.read(1) != b"\n" for _ in range(num_steps)):
            os.kill(process, signal.SIGKILL)
            self._output.readline()
        return self._is_killed()

    def _send(self, root: Path, *order: object) -> int:
        self._input.write(json.dumps([str(root), *order]).encode() + b"\n")
        self._input.flush()
        return int(self._output.readline())

    def _is_killed(self) -> bool:
        status = int(self._output.readline())
        assert status in (0, signal.SIGKILL)
        return status != 0


@pytest.fixture(scope="module")
def victims() -> Iterator[Victims]:
    processes = Victims()
    yield processes
    processes.close()


def content(name: str, version: int) -> bytes:
    return f"{name} {version}\n".encode() * 50


def leftovers(root: Path) -> list[str]:
    """Everything but the files themselves and the permanent part of the cache folder."""
    permanent = {f"{CACHE}/{name}" for name in (".gitignore", "CACHEDIR.TAG", "writing.lock")}
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    return sorted(name for name in files - permanent if not name.endswith((".py", ".ipynb")))


def write_files(root: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def changes_of(root: Path, *names: str) -> dict[str, Change]:
    return {str(root / name): Change(OLD, NEW) for name in names}


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder with two files, `a.py` and `b/b.py`."""
    write_files(tmp_path, {"a.py": OLD, "b/b.py": OLD})
    return tmp_path


def contents(root: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(root.rglob("*.py"))]


def test_all_files_of_a_group_are_written_and_nothing_else_is_left(pair: Path) -> None:
    assert write_group(changes_of(pair, "a.py", "b/b.py"), root=pair) == []
    assert contents(pair) == [NEW, NEW]
    assert leftovers(pair) == []


def test_the_folder_of_the_journal_is_ignored_by_git_and_backups(pair: Path) -> None:
    write_group(changes_of(pair, "a.py"), root=pair)
    assert "*" in (pair / CACHE / ".gitignore").read_text().splitlines()
    assert (pair / CACHE / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_nothing_to_write_makes_no_folder(pair: Path) -> None:
    assert write_group({}, root=pair) == []
    assert write_group({str(pair / "a.py"): Change(b"whatever", OLD)}, root=pair) == []
    assert recover(pair) == []
    assert not (pair / CACHE).exists()


def test_paths_are_relative_to_the_current_folder(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pair / "b")
    write_group({"b.py": Change(OLD, NEW), "../a.py": Change(OLD, NEW)}, root=Path(".."))
    assert contents(pair) == [NEW, NEW]


@needs_posix
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o664])
def test_modes_are_kept(pair: Path, mode: int) -> None:
    (pair / "a.py").chmod(mode)
    write_group(changes_of(pair, "a.py", "b/b.py"), root=pair)
    assert stat.S_IMODE((pair / "a.py").stat().st_mode) == mode


@pytest.mark.skipif(sys.platform != "linux", reason="Python reads extended attributes on Linux only")
def test_extended_attributes_are_kept(pair: Path) -> None:
    if sys.platform == "linux":
        try:
            os.setxattr(pair / "a.py", "user.note", b"mine")
        except OSError:
            pytest.skip("this file system has no extended attributes")
        write_group(changes_of(pair, "a.py"), root=pair)
        assert os.getxattr(pair / "a.py", "user.note") == b"mine"


@needs_posix
def test_the_owner_is_kept_when_root_fixes_a_file(pair: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(pair / "a.py", 12345, 23456)
    write_group(changes_of(pair, "a.py"), root=pair)
    status = (pair / "a.py").stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


@needs_posix
def test_a_link_stays_a_link_and_its_file_is_replaced(pair: Path) -> None:
    (pair / "link.py").symlink_to("b/b.py")
    write_group({str(pair / "link.py"): Change(OLD, NEW)}, root=pair)
    assert (pair / "link.py").readlink() == Path("b/b.py")
    assert (pair / "b/b.py").read_bytes() == NEW


@needs_posix
def test_a_file_and_a_link_to_it_are_one_file(pair: Path) -> None:
    (pair / "link.py").symlink_to("a.py")
    write_group(changes_of(pair, "a.py", "link.py"), root=pair)
    assert (pair / "link.py").is_symlink()
    assert (pair / "a.py").read_bytes() == NEW


@needs_posix
def test_two_different_changes_of_one_file_are_refused(pair: Path) -> None:
    (pair / "link.py").symlink_to("a.py")
    changes = {**changes_of(pair, "a.py"), str(pair / "link.py"): Change(OLD, b"other = 3\n")}
    with pytest.raises(CannotWrite, match=r"the same file as .*a\.py"):
        write_group(changes, root=pair)
    assert (pair / "a.py").read_bytes() == OLD


@needs_posix
def test_the_other_names_of_a_file_keep_the_old_bytes_and_the_caller_is_told(pair: Path) -> None:
    os.link(pair / "a.py", pair / "twin.py")
    (note,) = write_group(changes_of(pair, "a.py"), root=pair)
    assert "a.py: the file had 2 names (hard links)" in note
    assert (pair / "a.py").read_bytes() == NEW
    assert (pair / "twin.py").read_bytes() == OLD


def test_a_file_that_changed_since_it_was_read_is_not_overwritten(pair: Path) -> None:
    (pair / "b/b.py").write_bytes(b"typed = 1\n")
    with pytest.raises(ChangedMeanwhile) as caught:
        write_group(changes_of(pair, "a.py", "b/b.py"), root=pair)
    assert caught.value.path == str(pair / "b/b.py")
    assert contents(pair) == [OLD, b"typed = 1\n"]
    assert leftovers(pair) == []


def test_a_file_that_went_away_is_not_made_again(pair: Path) -> None:
    (pair / "b/b.py").unlink()
    with pytest.raises(ChangedMeanwhile):
        write_group(changes_of(pair, "a.py", "b/b.py"), root=pair)
    assert contents(pair) == [OLD]


def refuse_to_write(root: Path, name: str) -> str:
    """The message for a group whose second file is `name`; checks that nothing has changed."""
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and CACHE not in path.parts}
    with pytest.raises(CannotWrite) as caught:
        write_group({str(root / "a.py"): Change(OLD, NEW), str(root / name): Change(OLD, NEW)}, root=root)
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and CACHE not in path.parts}
    assert after == before
    assert caught.value.path == str(root / name)
    assert leftovers(root) == []
    return str(caught.value)


@needs_posix
def test_a_read_only_file_is_named_with_what_to_do(pair: Path) -> None:
    (pair / "b/b.py").chmod(0o444)
    assert "it is read-only; make it writable (`chmod u+w`) or exclude it" in refuse_to_write(pair, "b/b.py")


@needs_posix
def test_a_file_in_a_read_only_folder_is_named_with_what_to_do(pair: Path) -> None:
    (pair / "b").chmod(0o555)
    try:
        assert "b is read-only; make it writable" in refuse_to_write(pair, "b/b.py")
    finally:
        (pair / "b").chmod(0o755)


def test_a_folder_in_place_of_a_file_is_refused(pair: Path) -> None:
    (pair / "c.py").mkdir()
    assert "not a regular file" in refuse_to_write(pair, "c.py")


@needs_posix
def test_a_link_to_itself_is_refused(pair: Path) -> None:
    (pair / "loop.py").symlink_to("loop.py")
    refuse_to_write(pair, "loop.py")


def test_a_file_of_git_is_refused(pair: Path) -> None:
    write_files(pair, {".git/hooks/x.py": OLD})
    assert "it belongs to git" in refuse_to_write(pair, ".git/hooks/x.py")


def test_a_file_outside_the_root_is_refused(pair: Path) -> None:
    with pytest.raises(CannotWrite, match="it is outside"):
        write_group(changes_of(pair, "a.py"), root=pair / "b")
    assert contents(pair) == [OLD, OLD]


@needs_posix
def test_a_link_in_place_of_the_cache_folder_is_refused(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (pair / CACHE).symlink_to(elsewhere)
    with pytest.raises(CannotWrite, match="put a real folder there"):
        write_group(changes_of(pair, "a.py"), root=pair)
    assert list(elsewhere.iterdir()) == []


@needs_posix
def test_links_that_a_repository_puts_into_the_cache_folder_are_not_written_through(
    pair: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (pair / CACHE).mkdir()
    for name in (".gitignore", "CACHEDIR.TAG", "writing.lock"):
        (pair / CACHE / name).symlink_to(elsewhere / name)
    with pytest.raises(CannotWrite):
        write_group(changes_of(pair, "a.py"), root=pair)
    assert list(elsewhere.iterdir()) == []
    assert (pair / "a.py").read_bytes() == OLD


def fail_replacing(monkeypatch: pytest.MonkeyPatch, name: str, failure: Callable[[], None]) -> None:
    """Lets the first rename over `name` call `failure` instead."""
    real_replace, failures = os.replace, [failure]

    def replace(source: str | Path, target: str | Path) -> None:
        if Path(target).name == name and failures:
            failures.pop()()
        real_replace(source, target)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize("failing", ["a.py", "b.py"])
def test_a_rename_that_fails_takes_the_whole_group_back(
    pair: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail() -> None:
        raise PermissionError(13, "Permission denied")

    fail_replacing(monkeypatch, failing, fail)
    with pytest.raises(CannotWrite, match="Permission denied") as caught:
        write_group(changes_of(pair, "a.py", "b/b.py"), root=pair)
    assert Path(caught.value.path).name == failing
    assert contents(pair) == [OLD, OLD]
    assert leftovers(pair) == []


def test_a_file_changed_while_the_group_is_written_takes_the_others_back(
    pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_replacing(monkeypatch, "a.py", lambda: write_files(pair, {"b/b.py": b"typed = 1\n"}))
    with pytest.raises(ChangedMeanwhile) as caught:
        write_group(changes_of(pair, "a.py", "b/b.py"), root=pair)
    assert Path(caught.value.path).name == "b.py"
    assert contents(pair) == [OLD, b"typed = 1\n"]
    assert leftovers(pair) == []


@pytest.mark.parametrize("names", [("a.py",), ("a.py", "b/b.py")])
def test_a_file_changed_while_its_temporary_is_made_is_not_overwritten(
    pair: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    def write_temporary(temporary: Path, data: bytes, *, like: Path) -> None:
        replacement.write_temporary(temporary, data, like=like)
        (pair / "a.py").write_bytes(b"typed = 1\n")

    monkeypatch.setattr(transaction, "write_temporary", write_temporary)
    with pytest.raises(ChangedMeanwhile):
        write_group(changes_of(pair, *names), root=pair)
    assert contents(pair) == [b"typed = 1\n", OLD]
    assert leftovers(pair) == []


def test_ctrl_c_between_two_files_finishes_the_group(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    fail_replacing(monkeypatch, "b.py", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_group(changes_of(pair, "a.py", "b/b.py"), root=pair)
    assert contents(pair) == [NEW, NEW]
    assert leftovers(pair) == []


def test_a_full_disk_changes_nothing(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_fsync, calls = os.fsync, []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 7:
            raise OSError(28, "No space left on device")
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(CannotWrite, match="No space left on device"):
        write_group(changes_of(pair, "a.py", "b/b.py"), root=pair)
    assert contents(pair) == [OLD, OLD]
    assert leftovers(pair) == []


def interrupted(root: Path, monkeypatch: pytest.MonkeyPatch, *names: str, replaced: int) -> Journal:
    """Leaves a group as a run does that dies after it has replaced so many of its files."""
    journals: list[Journal] = []

    class Death(BaseException):
        pass

    def die(journal: Journal) -> None:
        journals.append(journal)
        for entry, temporary in list(zip(journal.entries, journal.temporaries, strict=True))[:replaced]:
            temporary.replace(entry.target)
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(transaction, "replace_all", die)
        with pytest.raises(Death):
            write_group(changes_of(root, *names), root=root)
    return journals[0]


@pytest.mark.parametrize("replaced", [0, 1, 2])
def test_a_committed_group_is_finished(pair: Path, monkeypatch: pytest.MonkeyPatch, replaced: int) -> None:
    interrupted(pair, monkeypatch, "a.py", "b/b.py", replaced=replaced)
    (done,) = recover(pair)
    assert done == Recovery(
        Outcome.FINISHED, ("a.py", "b/b.py"), "finished writing a.py, b/b.py for an interrupted run"
    )
    assert contents(pair) == [NEW, NEW]
    assert leftovers(pair) == []
    assert recover(pair) == []


def test_what_a_person_wrote_since_is_kept_and_the_rest_of_the_group_taken_back(
    pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(pair, monkeypatch, "a.py", "b/b.py", replaced=1)
    (pair / "b/b.py").write_bytes(b"typed = 1\n")
    (done,) = recover(pair)
    assert done.outcome is Outcome.ROLLED_BACK
    assert "left a.py as before" in str(done)
    assert "left b/b.py as somebody changed it" in str(done)
    assert contents(pair) == [OLD, b"typed = 1\n"]
    assert leftovers(pair) == []


def test_a_replaced_file_that_a_person_changed_since_is_kept(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(pair, monkeypatch, "a.py", "b/b.py", replaced=1)
    (pair / "a.py").write_bytes(b"typed = 1\n")
    (done,) = recover(pair)
    assert done.outcome is Outcome.ROLLED_BACK
    assert contents(pair) == [b"typed = 1\n", OLD]
    assert leftovers(pair) == []


def test_edits_after_the_last_file_was_replaced_do_not_undo_the_group(
    pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(pair, monkeypatch, "a.py", "b/b.py", replaced=2)
    (pair / "a.py").write_bytes(b"typed = 1\n")
    (done,) = recover(pair)
    assert done.outcome is Outcome.FINISHED
    assert contents(pair) == [b"typed = 1\n", NEW]


def test_a_group_whose_temporaries_were_cleaned_away_is_taken_back(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = interrupted(pair, monkeypatch, "a.py", "b/b.py", replaced=1)
    journal.temporaries[1].unlink()
    (done,) = recover(pair)
    assert done.outcome is Outcome.ROLLED_BACK
    assert contents(pair) == [OLD, OLD]
    assert leftovers(pair) == []


def test_a_damaged_temporary_is_not_put_in_place(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = interrupted(pair, monkeypatch, "a.py", "b/b.py", replaced=1)
    journal.temporaries[1].write_bytes(NEW[:3])
    recover(pair)
    assert contents(pair) == [OLD, OLD]


def test_a_file_removed_since_is_not_made_again(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(pair, monkeypatch, "a.py", "b/b.py", replaced=1)
    for path in (pair / "b").iterdir():
        path.unlink()
    (pair / "b").rmdir()
    assert [done.outcome for done in recover(pair)] == [Outcome.FINISHED]
    assert contents(pair) == [NEW]
    assert leftovers(pair) == []


def test_a_rollback_restores_the_mode_that_the_file_has(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pair / "a.py").chmod(0o755)
    interrupted(pair, monkeypatch, "a.py", "b/b.py", replaced=1)
    (pair / "b/b.py").write_bytes(b"typed = 1\n")
    recover(pair)
    assert stat.S_IMODE((pair / "a.py").stat().st_mode) == 0o755


@needs_posix
def test_a_recovery_that_fails_says_so_and_is_tried_again(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(pair, monkeypatch, "a.py", "b/b.py", replaced=1)

    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system", "b.py")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        (done,) = recover(pair)
    assert done.outcome is Outcome.FAILED
    assert "Read-only file system; the next run tries again" in str(done)
    assert recover(pair)[0].outcome is Outcome.FINISHED
    assert contents(pair) == [NEW, NEW]


def test_the_journal_of_a_run_that_is_writing_just_now_is_left_alone(
    pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = interrupted(pair, monkeypatch, "a.py", "b/b.py", replaced=1)
    with write_lock(pair / CACHE / "writing.lock", patience_seconds=0) as is_held:
        assert is_held
        assert recover(pair) == []
    assert journal.path.exists()
    assert contents(pair) == [NEW, OLD]


def test_two_runs_that_write_at_the_same_time_wait_for_one_another(tmp_path: Path) -> None:
    names = [f"m{number}.py" for number in range(20)]
    write_files(tmp_path, dict.fromkeys(names, OLD))
    errors: list[BaseException] = []

    def write(own: list[str]) -> None:
        try:
            for name in own:
                write_group(changes_of(tmp_path, name), root=tmp_path)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(names[start::2],)) for start in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert contents(tmp_path) == [NEW] * 20
    assert leftovers(tmp_path) == []


def test_a_writer_that_waited_too_long_says_why(pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_group({str(pair / "b/b.py"): Change(OLD, NEW)}, root=pair)
    monkeypatch.setattr(transaction, "_PATIENCE_SECONDS", 0.0)
    with (
        write_lock(pair / CACHE / "writing.lock", patience_seconds=0),
        pytest.raises(CannotWrite, match="another run keeps writing"),
    ):
        write_group(changes_of(pair, "a.py"), root=pair)
    assert (pair / "a.py").read_bytes() == OLD


def forged(root: Path, target: str, /, **overrides: object) -> Path:
    """A committed journal as a stranger's repository might hold it, with temporaries in place."""
    folder = root / CACHE / "journal"
    folder.mkdir(parents=True, exist_ok=True)
    identity = "0123456789abcdef"
    record: dict[str, object] = {
        "target": target,
        "old_digest": digest(OLD),
        "new_digest": digest(NEW),
        "old": base64.b64encode(OLD).decode(),
    }
    path = folder / f"{identity}.commit"
    path.write_text(json.dumps({"version": 1, "entries": [{**record, **overrides}]}))
    if "\0" not in target and "\ud800" not in target:
        temporary = (root / target).with_name(f".pipeline_lint-{identity}-0.tmp")
        if temporary.parent.is_dir() and os.access(temporary.parent, os.W_OK) and root.parent in temporary.parents:
            temporary.write_bytes(NEW)
    return path


@pytest.mark.parametrize(
    "target",
    [
        "../victim.py",
        "b/../../victim.py",
        "{outside}/victim.py",
        "link/victim.py",
        ".git/config",
        "b/.GIT/config",
        "",
        ".",
        "..",
        "a\0.py",
        "\ud800.py",
    ],
)
def test_a_forged_journal_writes_nothing_outside_the_root(tmp_path: Path, target: str) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    write_files(
        tmp_path, {"victim.py": OLD, "outside/victim.py": OLD, "root/.git/config": OLD, "root/b/.GIT/config": OLD}
    )
    if os.name != "nt":
        (root / "link").symlink_to(outside)
    path = forged(root, target.replace("{outside}", str(outside)))
    (done,) = recover(root)
    assert done.outcome is Outcome.REFUSED
    assert str(path) in str(done)
    assert "can be deleted" in str(done)
    assert path.exists()
    for name in ("victim.py", "outside/victim.py", "root/.git/config", "root/b/.GIT/config"):
        assert (tmp_path / name).read_bytes() == OLD


@needs_posix
def test_a_journal_does_not_replace_a_link(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    victim = tmp_path_factory.mktemp("elsewhere") / "victim.py"
    victim.write_bytes(OLD)
    (pair / "link.py").symlink_to(victim)
    forged(pair, "link.py")
    recover(pair)
    assert (pair / "link.py").is_symlink()
    assert victim.read_bytes() == OLD


def test_a_journal_does_not_replace_a_file_whose_contents_it_does_not_know(pair: Path) -> None:
    (pair / "a.py").write_bytes(b"mine = 1\n")
    forged(pair, "a.py")
    (done,) = recover(pair)
    assert done.outcome is Outcome.ROLLED_BACK
    assert (pair / "a.py").read_bytes() == b"mine = 1\n"


@pytest.mark.parametrize(
    "overrides",
    [{"old": "!!"}, {"old": 3}, {"old": base64.b64encode(b"x").decode()}, {"old_digest": None}, {"target": ["a.py"]}],
)
def test_a_damaged_entry_is_told_of(pair: Path, overrides: dict[str, object]) -> None:
    forged(pair, "a.py", **overrides)
    assert [done.outcome for done in recover(pair)] == [Outcome.REFUSED]
    assert contents(pair) == [OLD, OLD]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"{}",
        b'{"version": 2, "entries": []}',
        b'{"version": 1, "entries": [1]}',
        b"[" * 200_000,
        b'{"version": 1, "entries": {}}',
        b'{"version": 1, "entries": []}',
        b'{"version": 1}',
        b"null",
        b"1e999",
    ],
)
def test_a_file_that_is_no_journal_is_told_of_and_left_alone(pair: Path, data: bytes) -> None:
    folder = pair / CACHE / "journal"
    folder.mkdir(parents=True)
    for name in ("0123456789abcdef.intent", "0123456789abcdef.commit", "0123456789abcdef.rollback", "notes.txt"):
        (folder / name).write_bytes(data)
    done = recover(pair)
    assert [recovery.outcome for recovery in done] == [Outcome.REFUSED] * 4
    assert len(list(folder.iterdir())) == 4
    assert contents(pair) == [OLD, OLD]


def test_folders_in_place_of_journals_and_temporaries_crash_nothing(pair: Path) -> None:
    (pair / CACHE / "journal" / "0123456789abcdef.commit").mkdir(parents=True)
    (pair / CACHE / "journal" / "0123456789abcdef.new").mkdir(parents=True)
    assert [done.outcome for done in recover(pair)] == [Outcome.REFUSED]
    (pair / CACHE / "journal" / "0123456789abcdef.commit").rmdir()
    forged(pair, "a.py").rename(pair / CACHE / "journal" / "0123456789abcdef.intent")
    (pair / ".pipeline_lint-0123456789abcdef-0.tmp").unlink()
    (pair / ".pipeline_lint-0123456789abcdef-0.tmp").mkdir()
    assert [done.outcome for done in recover(pair)] == [Outcome.FAILED]


def test_a_group_that_names_a_file_twice_or_has_no_old_contents_is_refused(pair: Path) -> None:
    path = forged(pair, "a.py")
    (record,) = json.loads(path.read_text())["entries"]
    path.write_text(json.dumps({"version": 1, "entries": [record, record]}))
    assert recover(pair)[0].outcome is Outcome.REFUSED
    path.write_text(json.dumps({"version": 1, "entries": [record, {**record, "target": "b/b.py", "old": None}]}))
    assert recover(pair)[0].outcome is Outcome.REFUSED


@needs_posix
def test_a_journal_folder_that_is_a_link_is_left_alone(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    forged(elsewhere, "a.py")
    (pair / CACHE).symlink_to(elsewhere / CACHE)
    assert [done.outcome for done in recover(pair)] == [Outcome.REFUSED]
    assert (elsewhere / CACHE / "journal").is_dir()


def test_a_moved_project_is_recovered_where_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(tmp_path, {"here/a.py": OLD, "here/b.py": OLD})
    interrupted(tmp_path / "here", monkeypatch, "a.py", "b.py", replaced=1)
    (tmp_path / "here").rename(tmp_path / "there")
    recover(tmp_path / "there")
    assert contents(tmp_path / "there") == [NEW, NEW]
    assert leftovers(tmp_path / "there") == []


@needs_posix
def test_names_of_any_bytes_are_recovered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = os.fsdecode(b"n\xff\n\xc3\xa9 '\"\\.py")
    try:
        write_files(tmp_path, {odd: OLD, "a.py": OLD, "x" * 252 + ".py": OLD})
    except OSError:
        pytest.skip("this file system takes no such names")
    interrupted(tmp_path, monkeypatch, odd, "a.py", "x" * 252 + ".py", replaced=1)
    assert [done.outcome for done in recover(tmp_path)] == [Outcome.FINISHED]
    assert contents(tmp_path) == [NEW] * 3


def check_groups(root: Path, groups: Groups, version: int) -> None:
    """After a recovery each group is all of `version` or all of the one before, and nothing is left over."""
    for group in groups:
        versions = {name: (root / name).read_bytes() for name in group}
        assert versions in [{name: content(name, v) for name in group} for v in (version - 1, version)]
    assert leftovers(root) == []


@needs_posix
@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
def test_a_run_killed_at_any_step_leaves_whole_files_and_whole_groups(
    tmp_path: Path, victims: Victims, *, is_before: bool
) -> None:
    groups = [["one.py"], ["p/a.py", "p/q/b.py", "c.py"]]
    step = 0
    is_killed = True
    while is_killed:
        step += 1
        root = tmp_path / str(step)
        write_files(root, {name: content(name, 0) for group in groups for name in group})
        is_killed = victims.run_to_step(step, root, groups, version=1, is_before=is_before)
        for group in groups:
            assert all((root / name).read_bytes() in (content(name, 0), content(name, 1)) for name in group)
        outcomes = {done.outcome for done in recover(root)}
        assert outcomes <= {Outcome.FINISHED, Outcome.DISCARDED}
        check_groups(root, groups, 1)
    assert step > 30
    assert all((root / name).read_bytes() == content(name, 1) for group in groups for name in group)


@needs_posix
@pytest.mark.parametrize("replaced", [1, 2])
@pytest.mark.parametrize("typed", ["", "b.py", "a.py"])
@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
def test_a_recovery_killed_at_any_step_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victims: Victims, *, replaced: int, typed: str, is_before: bool
) -> None:
    names = ("a.py", "b.py", "c.py")
    step = 0
    is_killed = True
    while is_killed:
        step += 1
        root = tmp_path / str(step)
        write_files(root, dict.fromkeys(names, OLD))
        interrupted(root, monkeypatch, *names, replaced=replaced)
        if typed:
            (root / typed).write_bytes(b"typed = 1\n")
        is_killed = victims.run_to_step(step, root, None, is_before=is_before)
        recover(root)
        rest = OLD if typed else NEW
        assert [(root / name).read_bytes() for name in names] == [
            b"typed = 1\n" if name == typed else rest for name in names
        ]
        assert leftovers(root) == []
    assert step > 5


@needs_posix
def test_a_hundred_files_survive_forty_kills_at_random_moments(tmp_path: Path, victims: Victims) -> None:
    names = [f"package_{number % 7}/module_{number}.py" for number in range(100)]
    sizes = [1, 2, 1, 5, 1, 3]
    groups: list[list[str]] = []
    while names[sum(map(len, groups)) :]:
        done = sum(map(len, groups))
        groups.append(names[done : done + sizes[len(groups) % len(sizes)]])
    write_files(tmp_path, {name: content(name, 0) for name in names})
    seeded = random.Random(7)
    num_kills = num_unfinished = 0
    for version in range(1, 41):
        num_kills += victims.run_for_some_steps(seeded.randrange(1, 800), tmp_path, groups, version=version)
        for name in names:
            assert (tmp_path / name).read_bytes() in (content(name, version - 1), content(name, version))
        num_unfinished += bool(recover(tmp_path))
        check_groups(tmp_path, groups, version)
        # The next version starts from files that are all of this one.
        for name in names:
            (tmp_path / name).write_bytes(content(name, version))
    assert num_kills >= 30
    assert num_unfinished >= 20


def test_an_intent_alone_changes_nothing(pair: Path) -> None:
    forged(pair, "a.py").rename(pair / CACHE / "journal" / "0123456789abcdef.intent")
    (done,) = recover(pair)
    assert done.outcome is Outcome.DISCARDED
    assert str(done) == "an interrupted run had not yet written a.py"
    assert contents(pair) == [OLD, OLD]
    assert leftovers(pair) == []


def test_the_states_of_a_journal_are_the_suffixes_it_is_found_by() -> None:
    for state in State:
        assert journal_module._FILE_NAME.fullmatch(f"0123456789abcdef.{state.value}")
