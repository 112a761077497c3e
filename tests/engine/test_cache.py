"""The cache: right or absent, never in the way."""

from __future__ import annotations

import os
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline_lint.config import Settings
from pipeline_lint.diagnostic import Failure
from pipeline_lint.engine.cache import Cache, cache_folder, content_key, settings_key

VALUE = Failure("a.py", "words")


@pytest.fixture
def open_cache() -> Iterator[Callable[[Path], Cache]]:
    """Opens caches, each a run's own, and closes them after the test."""
    opened: list[Cache] = []

    def open_one(folder: Path) -> Cache:
        opened.append(Cache(folder))
        return opened[-1]

    yield open_one
    for cache in opened:
        cache.close()


def test_values_come_back(tmp_path, open_cache):
    open_cache(tmp_path).put({"a": VALUE, "b": Failure("b.py", "")})
    assert open_cache(tmp_path).get(["a", "c"]) == {"a": VALUE}


def test_more_keys_than_a_query_may_name_come_back(tmp_path, open_cache):
    values = {str(i): Failure(str(i), "") for i in range(2500)}
    cache = open_cache(tmp_path)
    cache.put(values)
    assert cache.get(list(values)) == values


def test_a_file_that_is_no_database_is_replaced(tmp_path, open_cache):
    (tmp_path / "results.sqlite3").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    broken = open_cache(tmp_path)
    assert broken.get(["a"]) == {}
    assert "not a database" in (broken.problem or "")
    fresh = open_cache(tmp_path)
    fresh.put({"a": VALUE})
    assert open_cache(tmp_path).get(["a"]) == {"a": VALUE}


class Harmful:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


@pytest.mark.parametrize(
    "value",
    [
        pickle.dumps(Harmful()),
        b"cpipeline_lint.engine.cache\nos.system\n(S'touch harmed'\ntR.",
        b"\x80\x04\x8c\x1bpipeline_lint.engine.cache\x8c\tos.system\x93\x8c\x0ctouch harmed\x85R.",
        b"\x80\x04\x8c\x1bpipeline_lint.engine.cache\x8c\x04Path\x93\x8c\x01x\x85R.",
        b"not a pickle",
        b"",
    ],
)
def test_a_foreign_value_runs_nothing_and_is_a_miss(tmp_path, monkeypatch, value, open_cache):
    monkeypatch.chdir(tmp_path)
    open_cache(tmp_path).put({"a": VALUE})
    with sqlite3.connect(tmp_path / "results.sqlite3") as connection:
        connection.execute("UPDATE results SET value = ?", (value,))
    connection.close()
    assert open_cache(tmp_path).get(["a"]) == {}
    assert not (tmp_path / "harmed").exists()


def test_a_folder_that_cannot_be_made_means_no_cache(tmp_path, open_cache):
    (tmp_path / "file").write_text("")
    cache = open_cache(tmp_path / "file" / "cache")
    cache.put({"a": VALUE})
    assert cache.get(["a"]) == {}
    assert cache.problem is not None


def test_two_processes_may_write_at_once(tmp_path, open_cache):
    code = (
        "import sys\nfrom pathlib import Path\nfrom pipeline_lint.diagnostic import Failure\n"
        "from pipeline_lint.engine.cache import Cache\ncache = Cache(Path(sys.argv[1]))\n"
        "for i in range(60):\n    cache.put({f'{sys.argv[2]}{i}': Failure('a', str(i))})\n"
        "assert cache.problem is None, cache.problem\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len(open_cache(tmp_path).get([f"{name}{i}" for name in "ab" for i in range(60)])) == 120


def test_what_is_old_is_forgotten(tmp_path, open_cache):
    cache = open_cache(tmp_path)
    cache.put({"old": VALUE})
    with sqlite3.connect(tmp_path / "results.sqlite3") as connection:
        connection.execute("UPDATE results SET day = day - 40")
    connection.close()
    cache.put({"new": VALUE})
    assert open_cache(tmp_path).get(["old", "new"]) == {"new": VALUE}


def test_git_and_backups_pass_over_the_folder(tmp_path, open_cache):
    folder = cache_folder(Settings(root=tmp_path))
    open_cache(folder).put({"a": VALUE})
    assert "*" in (folder / ".gitignore").read_text().splitlines()
    assert (folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_the_key_changes_with_whatever_changes_findings(tmp_path):
    (tmp_path / "lint").mkdir()
    (tmp_path / "lint" / "a.py").write_text("x = 1")
    base = Settings(root=tmp_path)
    local = Settings(root=tmp_path, local_rules=("lint",))
    keys = {
        settings_key(base),
        settings_key(Settings(root=tmp_path, select=("TRN2",))),
        settings_key(Settings(root=tmp_path, ignore=("TRN2",))),
        settings_key(Settings(root=tmp_path, rule_options=(("a", (("b", 1),)),))),
        settings_key(local),
    }
    assert len(keys) == 5
    (tmp_path / "lint" / "a.py").write_text("x = 2")
    assert settings_key(local) not in keys
    assert content_key("s", "a.py", b"1") != content_key("s", "a.py", b"2")
    assert content_key("s", "a.py", b"1") != content_key("s", "b.py", b"1")
    assert content_key("s", "a.py", b"1") != content_key("t", "a.py", b"1")


def test_paths_that_are_no_text_have_keys():
    assert content_key("s", os.fsdecode(b"\xff.py"), b"1")
    assert Path(os.fsdecode(b"\xff.py"))
