"""Where the files of a project lie that an import can mean: packages, modules beside a script, `src` layouts.

Paths stay as they are given, relative or absolute, so that they name the same files as the user does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence

from pipeline_lint.facts import torch_api

_REPOSITORY_MARKS = (".git", ".hg")
_BUILD_MARKS = ("pyproject.toml", "setup.py", "setup.cfg")
_HIGHEST_CLIMB = 12


class ModuleFiles:
    """Finds the file of a module; `exists` tells of absolute paths, `given` are files that need not exist."""

    def __init__(self, given: Collection[str], exists: Callable[[str], bool]) -> None:
        self._given = {absolute(path) for path in given}
        self._folders = {folder for path in self._given for folder in _ancestors(path)}
        self._exists = exists
        self._roots: dict[str, tuple[str, ...]] = {}

    def find(self, module: str, importer: str) -> str | None:
        """The file of a module as `importer` names it: `.net`, `package.models`; None outside the project."""
        for folder, parts in self.starts(module, importer):
            found = self.file(folder, parts)
            if found is not None:
                return found
        return None

    def starts(self, module: str, importer: str) -> Iterator[tuple[str, list[str]]]:
        """The folders in which the parts of a module's name are to be followed, the likeliest first."""
        folder = os.path.dirname(importer)  # noqa: PTH120 - pathlib is slower
        name = module.lstrip(".")
        parts = name.split(".") if name else []
        num_dots = len(module) - len(name)
        if num_dots:
            yield _join(folder, *[".."] * (num_dots - 1)), parts
        elif parts[0] not in torch_api.KNOWN_PACKAGES:
            for root in self._import_roots(folder):
                if self._is_there(_join(root, parts[0])) or self._is_there(_join(root, parts[0] + ".py")):
                    yield root, parts

    def file(self, folder: str, parts: Sequence[str]) -> str | None:
        """The file of the module that `parts` lead to; as in Python, a package hides a module of the same name."""
        module = _join(folder, *parts)
        package = _join(module, "__init__.py")
        if self._is_there(package):
            return package
        return module + ".py" if parts and self._is_there(module + ".py") else None

    def _is_there(self, path: str) -> bool:
        place = absolute(path)
        return place in self._given or place in self._folders or self._exists(place)

    def _import_roots(self, folder: str) -> tuple[str, ...]:
        """Folders in which absolute imports of a file in `folder` may be found, the nearest first."""
        if folder not in self._roots:
            climbed = [folder]
            top = self._project_root(folder)
            while absolute(climbed[-1]) != top and len(climbed) < _HIGHEST_CLIMB:
                climbed.append(_join(climbed[-1], ".."))
            self._roots[folder] = tuple(root for each in climbed for root in (each, _join(each, "src")))
        return self._roots[folder]

    def _project_root(self, folder: str) -> str:
        """The folder above which no import of the project leads.

        The nearest with a repository in it, else the nearest with a build file, else the working directory, else the
        folder above the outermost package.
        """
        start = absolute(folder)
        above = [start, *_ancestors(start)][:_HIGHEST_CLIMB]
        for marks in (_REPOSITORY_MARKS, _BUILD_MARKS):
            for each in above:
                if any(self._exists(os.path.join(each, mark)) for mark in marks):  # noqa: PTH118
                    return each
        here = absolute("")
        if here in above:
            return here
        return next((each for each in above if not self._is_there(os.path.join(each, "__init__.py"))), start)  # noqa: PTH118


def absolute(path: str) -> str:
    """The path from the root, without following links."""
    return os.path.abspath(path)  # noqa: PTH100


def _ancestors(path: str) -> Iterator[str]:
    above = os.path.dirname(path)  # noqa: PTH120
    while above != path:
        yield above
        path, above = above, os.path.dirname(above)  # noqa: PTH120


def _join(folder: str, *parts: str) -> str:
    joined = os.path.normpath(os.path.join(folder, *parts))  # noqa: PTH118
    return "" if joined == "." else joined
