"""Patterns in the manner of .gitignore: those of the settings, and those of a git repository's own files.

pathspec, imported only when there is a pattern, turns each into a regular expression. A search asks about each folder
on its way down and never enters an ignored one, so unlike pathspec's own search a pattern is held against the entry
alone and not against the folders above it: which is what git does, and what lets `!` take a folder back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".py", ".pyi", ".ipynb")
"""The files that a search takes."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line."""

    regex: re.Pattern[str]
    is_ignoring: bool
    """False for a line that begins with `!`."""
    is_for_files: bool
    """Whether it could name a file that a search takes; all patterns can name folders."""

    def names(self, path: str) -> bool:
        match = self.regex.match(path)
        # pathspec marks with a group that a folder above the path is what the pattern names.
        return match is not None and match.lastindex is None


@dataclass(frozen=True, slots=True)
class Patterns:
    """The patterns of one place, held against paths as a search in some folder sees them.

    A path of the search becomes one of the patterns' place by losing its first `num_dropped` characters and getting
    `prefix` in front.
    """

    patterns: tuple[Pattern, ...]
    """The last line first, because it decides."""
    prefix: str = ""
    num_dropped: int = 0

    def verdict(self, path: str, *, is_folder: bool) -> bool | None:
        """True: ignored; False: taken back by a pattern that begins with `!`; None: no pattern names the path."""
        path = self.prefix + path[self.num_dropped :]
        for pattern in self.patterns:
            if (is_folder or pattern.is_for_files) and pattern.names(path):
                return pattern.is_ignoring
        return None


def compile_patterns(lines: Iterable[str], *, prefix: str = "", num_dropped: int = 0) -> Patterns | None:
    """The patterns ready to match; None when there is none. Lines that are no pattern are passed over, as git does.

    `prefix` is the path of the searched folder from the patterns' place, with a slash at its end. What is searched on
    purpose is not ignored: where the patterns ignore the searched folder, those that do so are left out.
    """
    patterns = tuple(pattern for line in lines if (pattern := _compile(line)))[::-1]
    parts = prefix.split("/")
    steps = ["/".join(parts[:end]) for end in range(1, len(parts))]
    if any(Patterns(patterns).verdict(step, is_folder=True) for step in steps):
        patterns = tuple(
            pattern for pattern in patterns if not pattern.is_ignoring or not any(map(pattern.names, steps))
        )
    return Patterns(patterns, prefix, num_dropped) if patterns else None


def ignores(places: Sequence[Patterns], path: str, *, is_folder: bool) -> bool:
    """Whether the path is ignored; of several places with an opinion the last decides."""
    for place in reversed(places):
        verdict = place.verdict(path, is_folder=is_folder)
        if verdict is not None:
            return verdict
    return False


def read_lines(file: str) -> list[str]:
    """The lines of a .gitignore; none where there is no such file. Raises `OSError` for one that cannot be read."""
    try:
        data = Path(file).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return [line.removesuffix("\r") for line in text.split("\n")]


def exclude_file(repository: str) -> str:
    """Path of the repository's own list of ignored files, which a linked work tree shares with the main one."""
    git = Path(repository, ".git")
    if git.is_file():
        git = _linked(git, "gitdir:")
        if (git / "commondir").is_file():
            git = _linked(git / "commondir", "")
    return os.fspath(git / "info" / "exclude")


def _linked(file: Path, keyword: str) -> Path:
    """The folder that one of git's files names, beside which it stands; the file itself where it names none."""
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape").strip()
    except OSError:
        return file
    return file.parent / text.removeprefix(keyword).strip() if text.startswith(keyword) else file


def _compile(line: str) -> Pattern | None:
    body = line.rstrip(" ")
    if body.endswith("\\"):
        body += " "
    body, is_for_folders = body.rstrip("/"), body.endswith("/")
    if not body or body in ("!", "\\") or body.startswith("#"):
        return None
    from pathspec import GitIgnoreSpec

    try:
        pattern = next(iter(GitIgnoreSpec.from_lines([body]).patterns))
    except ValueError:
        return None
    regex, include = getattr(pattern, "regex", None), pattern.include
    if regex is None or include is None:
        return None
    return Pattern(regex, include, not is_for_folders and _may_name_a_searched_file(body))


def _may_name_a_searched_file(pattern: str) -> bool:
    """False where the end of the pattern shows that it names files of another kind: `*.so`."""
    if "\\" in pattern or pattern[-1] in "*?]":
        return True
    end = pattern[max(pattern.rfind(mark) for mark in "*?]/!") + 1 :]
    return any(suffix.endswith(end) or end.endswith(suffix) for suffix in SUFFIXES)
