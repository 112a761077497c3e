"""Which files to check: those named, and those found in the folders that are named.

A search prunes as it goes down: folders that hold tools' own files, what the settings exclude, what git ignores.
"""

# ruff: noqa: PTH100, PTH114, PTH115, PTH116, PTH118, PTH120
from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from pipeline_lint.diagnostic import Failure
from pipeline_lint.engine.ignore_patterns import (
    SUFFIXES,
    Patterns,
    compile_patterns,
    exclude_file,
    ignores,
    read_lines,
)

NEVER_SEARCHED = frozenset(
    ".bzr .direnv .eggs .git .git-rewrite .hg .ipynb_checkpoints .mypy_cache .nox .pants.d .pipeline_lint_cache .pyenv "
    ".pytest_cache .pytype .ruff_cache .svn .tox .venv .vscode __pycache__ __pypackages__ _build buck-out build dist "
    "node_modules site-packages venv".split()
)
"""Folders left out wherever they lie, unless they are named or `exclude` has them with a `!` in front."""


@dataclass(frozen=True)
class FileOptions:
    """What of the settings says which files to take."""

    exclude: tuple[str, ...] = ()
    """Patterns of a .gitignore that stands in `root`."""
    respect_gitignore: bool = True
    """Whether a search leaves out what git ignores."""
    force_exclude: bool = False
    """Whether `exclude` and the folders never searched count for named paths, too."""
    root: Path = field(default_factory=Path)


@dataclass(frozen=True, slots=True)
class Discovery:
    """The files to check, each once, in the order of the given paths and sorted below each."""

    files: list[str]
    failures: list[Failure]


def discover(paths: Sequence[str], options: FileOptions) -> Discovery:
    """The files that `paths` name or that lie below them, as relative or absolute as each path was typed.

    A named file is taken whatever its suffix; a search takes `.py`, `.pyi` and `.ipynb`. Symbolic links to folders are
    not followed. A file that is found under several names is taken under its own before that of a link.
    """
    found = _Found()
    for path in dict.fromkeys(str(PurePath(path)) for path in paths):
        found.num_paths += 1
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError) as error:
            found.fail(path, _reason_missing(path, error))
            continue
        if options.force_exclude and _is_excluded(path, options, is_folder=stat.S_ISDIR(mode)):
            continue
        if stat.S_ISDIR(mode):
            _Search(path, options, found).run()
        elif stat.S_ISREG(mode):
            found.add(path, is_link=os.path.islink(path))
        else:
            found.fail(path, "Cannot check this: it is neither a file nor a folder; `-` checks standard input")
    return Discovery(found.distinct(), found.failures)


class _Found:
    """What has been found so far."""

    def __init__(self) -> None:
        self.num_paths = 0
        self.failures: list[Failure] = []
        self._files: dict[str, bool] = {}

    def add(self, path: str, *, is_link: bool) -> None:
        self._files.setdefault(path, is_link)

    def fail(self, path: str, message: str) -> None:
        self.failures.append(Failure(path, message))

    def distinct(self) -> list[str]:
        """The files without those that are others of them under a second name."""
        if not any(self._files.values()) and self.num_paths == 1:
            return list(self._files)
        real_folders: dict[str, str] = {}
        taken: dict[str, str] = {}
        # Links last, so that each file keeps the name that is its own.
        for path, is_link in sorted(self._files.items(), key=lambda item: item[1]):
            folder, _, name = path.rpartition(os.sep)
            if is_link:
                real = os.path.realpath(path)
            else:
                if folder not in real_folders:
                    real_folders[folder] = os.path.realpath(folder or (os.sep if path.startswith(os.sep) else "."))
                real = f"{real_folders[folder]}{os.sep}{name}"
            taken.setdefault(real, path)
        kept = set(taken.values())
        return [path for path in self._files if path in kept]


class _Search:
    """Goes through one folder and everything below."""

    def __init__(self, folder: str, options: FileOptions, found: _Found) -> None:
        self._found = found
        self._folder = folder
        self._start = "" if folder == "." else folder.rstrip(os.sep) + os.sep
        self._respects_git = options.respect_gitignore
        self._excluded = compile_patterns(options.exclude, prefix=_path_from(options.root, folder))
        self._root = os.path.abspath(options.root)

    def run(self) -> None:
        files: list[tuple[str, bool]] = []
        # A list and not recursion: folders can be nested deeper than Python calls.
        waiting: list[tuple[str, tuple[Patterns, ...]]] = [("", self._patterns_above())]
        while waiting:
            folder, ignored = waiting.pop()
            try:
                with os.scandir(self._start + folder or ".") as listing:
                    entries = list(listing)
            except OSError as error:
                self._fail(folder, f"Cannot list this folder: {_reason(error)}")
                continue
            if self._respects_git:
                ignored = self._patterns_within(folder, {entry.name for entry in entries}, ignored)
            for entry in entries:
                path = folder + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if self._enters(entry.name, path, ignored):
                        waiting.append((path + "/", ignored))
                elif entry.name.endswith(SUFFIXES) and self._takes(entry, path, ignored):
                    files.append((path, entry.is_symlink()))
        for path, is_link in sorted(files, key=lambda file: file[0].split("/")):
            self._found.add(self._start + path, is_link=is_link)

    def _enters(self, name: str, path: str, ignored: tuple[Patterns, ...]) -> bool:
        verdict = self._excluded.verdict(path, is_folder=True) if self._excluded else None
        if verdict is None:
            verdict = name in NEVER_SEARCHED
        return not verdict and not ignores(ignored, path, is_folder=True)

    def _takes(self, entry: os.DirEntry[str], path: str, ignored: tuple[Patterns, ...]) -> bool:
        """Whether a file is one to check; links to folders, broken links, pipes and sockets are not."""
        try:
            is_file = entry.is_file()
        except OSError:
            # A link that leads nowhere: to itself, or into a folder that may not be entered.
            return False
        if not is_file or (self._excluded and self._excluded.verdict(path, is_folder=False)):
            return False
        return not ignores(ignored, path, is_folder=False)

    def _patterns_above(self) -> tuple[Patterns, ...]:
        """What the folders above have git ignore, from the repository's down, or outside one from the settings'."""
        if not self._respects_git:
            return ()
        folder = os.path.abspath(self._folder)
        repository = _repository_of(folder)
        outermost = repository or (self._root if _path_from(self._root, folder) else folder)
        ignored: tuple[Patterns, ...] = ()
        if repository and repository != folder:
            ignored = self._with_file(ignored, exclude_file(repository), prefix=_path_from(repository, folder))
        steps = _path_from(outermost, folder).split("/")[:-1]
        for depth in range(len(steps)):
            place = os.path.join(outermost, *steps[:depth])
            prefix = "/".join(steps[depth:]) + "/"
            ignored = self._with_file(ignored, os.path.join(place, ".gitignore"), prefix=prefix)
        return ignored

    def _patterns_within(self, folder: str, names: set[str], ignored: tuple[Patterns, ...]) -> tuple[Patterns, ...]:
        """The patterns for what lies in this folder. A repository inside another is a world of its own."""
        place = self._start + folder
        if ".git" in names:
            ignored = self._with_file((), exclude_file(place), num_dropped=len(folder))
        if ".gitignore" in names:
            ignored = self._with_file(ignored, place + ".gitignore", num_dropped=len(folder))
        return ignored

    def _with_file(
        self, ignored: tuple[Patterns, ...], file: str, *, prefix: str = "", num_dropped: int = 0
    ) -> tuple[Patterns, ...]:
        try:
            patterns = compile_patterns(read_lines(file), prefix=prefix, num_dropped=num_dropped)
        except OSError as error:
            self._found.fail(file, f"Cannot read what git ignores, so nothing is: {_reason(error)}")
            return ignored
        return (*ignored, patterns) if patterns else ignored

    def _fail(self, path: str, message: str) -> None:
        self._found.fail((self._start + path).rstrip("/") or self._folder, message)


def _is_excluded(path: str, options: FileOptions, *, is_folder: bool) -> bool:
    """Whether the settings exclude a named path, or a folder between it and their own."""
    patterns = compile_patterns(options.exclude)
    steps = (_path_from(options.root, path) or PurePath(path).name + "/").rstrip("/").split("/")
    for depth, step in enumerate(steps, start=1):
        is_last = depth == len(steps)
        verdict = patterns.verdict("/".join(steps[:depth]), is_folder=is_folder or not is_last) if patterns else None
        if verdict is None and (is_folder or not is_last):
            verdict = step in NEVER_SEARCHED
        if verdict:
            return True
    return False


def _repository_of(folder: str) -> str | None:
    """The innermost git repository around a folder."""
    while not os.path.lexists(os.path.join(folder, ".git")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return folder


def _path_from(place: str | Path, path: str) -> str:
    """The path as seen from `place`, with slashes and one at its end; empty where it is not below."""
    for resolve in (os.path.abspath, os.path.realpath):
        start, end = resolve(place).rstrip(os.sep) + os.sep, resolve(path)
        if end.startswith(start):
            return end[len(start) :].replace(os.sep, "/") + "/"
    return ""


def _reason_missing(path: str, error: OSError | ValueError) -> str:
    if os.path.islink(path):
        return f"Cannot check this: a symbolic link to {os.readlink(path)}, which cannot be reached ({_reason(error)})"
    if isinstance(error, FileNotFoundError):
        return "Cannot check this: there is no such file or folder"
    return f"Cannot check this: {_reason(error)}"


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
