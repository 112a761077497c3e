"""All files together: what a class of one file inherits from classes of others.

Nothing is imported or run: import statements are followed on paper, from summaries.
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pipeline_lint.facts import torch_api
from pipeline_lint.facts.modules import LOCAL, ClassSummary, FileClasses, summarize_classes
from pipeline_lint.facts.names import join_path
from pipeline_lint.source import Source

Summary = TypeVar("Summary")
Loader = Callable[[str, Callable[[Source], Any]], Any]

_ROOT_MARKS = (".git", ".hg", "pyproject.toml", "setup.py", "setup.cfg")
_HIGHEST_CLIMB = 12


@dataclass(frozen=True, slots=True)
class Lineage:
    """A class and everything that it is known to inherit, nearest first."""

    classes: tuple[ClassSummary, ...]
    """Classes of the project, the class itself first."""
    external: tuple[str, ...]
    """Paths of inherited classes that are not in the project: `torch.nn.Module`."""
    unresolved: tuple[str, ...]
    """Bases that are computed, or that no file of the project defines although an import says so."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Bases of which nothing is known, so that they may inherit anything."""
        outside = (path for path in self.external if path.partition(".")[0] not in torch_api.KNOWN_PACKAGES)
        return (*outside, *self.unresolved)

    def inherits(self, roots: Collection[str]) -> bool:
        """Whether one of the classes outside the project is among `roots`."""
        return any(path in roots for path in self.external)


@dataclass(slots=True)
class _Search:
    """Where one search for a class has been, so that imports in a circle end it."""

    begun: set[tuple[str, str]] = field(default_factory=set)
    entered: set[tuple[str, str]] = field(default_factory=set)
    lengths: dict[tuple[str, str], int] = field(default_factory=dict)

    def begins(self, path: str, dotted: str) -> bool:
        """Whether a dotted path is looked for in a file for the first time."""
        is_new = (path, dotted) not in self.begun
        self.begun.add((path, dotted))
        return is_new

    def enters(self, path: str, parts: Sequence[str]) -> bool:
        """Whether a module is asked for a name for the first time, and for no longer one that begins the same.

        A name that leads back to itself with more behind it would go on for ever: `from package.a import a` in a
        package without a module `a`.
        """
        name = ".".join(parts)
        length = self.lengths.setdefault((path, parts[0]), len(parts))
        is_new = (path, name) not in self.entered and len(parts) <= length
        self.entered.add((path, name))
        return is_new


class Project:
    """The summaries of all files, and the classes in them.

    `summaries` holds, by the path of each file to check, its summaries by `module.function` of what made them. `load`
    gives the summary of any other file: `load(path, summarize)` is None where there is no such Python file. It is asked
    only for files that an import of a known file can mean, so what is found does not depend on which files were given.
    Without `load` only the given files exist. `exists` says whether there is a file or folder at an absolute path, and
    saves the loading of most places that an import could mean.
    """

    def __init__(
        self,
        summaries: Mapping[str, Mapping[str, Any]],
        load: Loader | None = None,
        exists: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._summaries = summaries
        self._load = load
        self._exists = exists
        self._given = {os.path.abspath(path): path for path in summaries}  # noqa: PTH100 - pathlib is slower
        self._folders = {folder for path in self._given for folder in _ancestors(path)}
        self._loaded: dict[tuple[str, str], Any] = {}
        self._roots: dict[str, tuple[str, ...]] = {}
        self._lineages: dict[tuple[str, str], Lineage] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        """The files to check, in a stable order."""
        return tuple(sorted(self._summaries))

    def summary(self, summarize: Callable[[Source], Summary], path: str) -> Summary | None:
        """What `summarize` says of a file; None where there is no such file."""
        key = f"{summarize.__module__}.{summarize.__qualname__}"
        given = self._given.get(os.path.abspath(path), path)  # noqa: PTH100
        known = self._summaries.get(given, {})
        if key in known:
            found: Summary = known[key]
            return found
        if (key, given) not in self._loaded:
            self._loaded[key, given] = self._load(given, summarize) if self._load is not None else None
        loaded: Summary | None = self._loaded[key, given]
        return loaded

    def classes(self) -> Iterator[ClassSummary]:
        """The classes of the files to check."""
        for path in self.paths:
            summary = self.summary(summarize_classes, path)
            yield from summary.classes if summary is not None else ()

    def find_class(self, dotted: str, path: str) -> ClassSummary | None:
        """The class that a dotted path means in a file: `.net.Net`, `package.models.Net`, `:Net` for its own."""
        found = self._find(dotted, path, _Search())
        return found if isinstance(found, ClassSummary) else None

    def lineage(self, summary: ClassSummary) -> Lineage:
        """The class with all its ancestors, breadth first; a circle of bases ends where it closes."""
        key = (summary.path, summary.name)
        if key not in self._lineages:
            self._lineages[key] = self._trace(summary)
        return self._lineages[key]

    def is_subclass(self, summary: ClassSummary, roots: Collection[str]) -> bool:
        """Whether the class inherits, through any number of files, one of the canonical paths in `roots`."""
        return self.lineage(summary).inherits(roots)

    def _trace(self, summary: ClassSummary) -> Lineage:
        classes, external, unresolved = [summary], dict[str, None](), dict[str, None]()
        seen = {(summary.path, summary.name)}
        for known in classes:
            for base in known.bases:
                found = self._find(base, known.path, _Search()) if base else None
                if isinstance(found, ClassSummary):
                    if (found.path, found.name) not in seen:
                        seen.add((found.path, found.name))
                        classes.append(found)
                elif base.startswith(LOCAL) and hasattr(builtins, base[len(LOCAL) :]):
                    continue
                elif found is None or found.startswith((LOCAL, ".")):
                    unresolved[base] = None
                else:
                    external[torch_api.canonical(found)] = None
        return Lineage(tuple(classes), tuple(external), tuple(unresolved))

    def _find(self, dotted: str, path: str, search: _Search) -> ClassSummary | str | None:
        """The class, or the path outside the project that it comes from; None when imports go round in a circle."""
        if not search.begins(path, dotted):
            return None
        if dotted.startswith(LOCAL):
            summary = self.summary(summarize_classes, path)
            return self._in_module(summary, path, dotted[1:].split("."), search) if summary is not None else None
        if dotted.startswith("."):
            folder = os.path.dirname(path)  # noqa: PTH120
            name = dotted.lstrip(".")
            for _ in range(len(dotted) - len(name) - 1):
                folder = _parent(folder)
            found = self._below(folder, name.split("."), search, is_package=True)
            return found if found is not None else dotted
        parts = dotted.split(".")
        if parts[0] in torch_api.KNOWN_PACKAGES:
            return dotted
        for folder in self._import_roots(os.path.dirname(path)):  # noqa: PTH120
            if self._has_module(folder, parts[0]):
                found = self._below(folder, parts, search)
                if found is not None:
                    return found
        return dotted

    def _below(
        self, folder: str, parts: Sequence[str], search: _Search, *, is_package: bool = False
    ) -> ClassSummary | str | None:
        """What `parts` name in a folder: the rest of them in the module that the longest prefix leads to."""
        for length in range(len(parts) - 1, -1 if is_package else 0, -1):
            module = _join(folder, *parts[:length])
            # As in Python, a package hides a module of the same name.
            candidates = [_join(module, "__init__.py"), *([module + ".py"] if length else [])]
            for candidate in candidates:
                summary = self.summary(summarize_classes, candidate)
                if summary is not None:
                    return self._in_module(summary, candidate, parts[length:], search)
        return None

    def _in_module(
        self, summary: FileClasses, path: str, parts: Sequence[str], search: _Search
    ) -> ClassSummary | str | None:
        """A name of a module: a class in it, or what it imports under that name, or with a star."""
        found = summary.find(".".join(parts))
        if found is not None:
            return found
        return self._imported(summary, path, parts, search) if search.enters(path, parts) else None

    def _imported(
        self, summary: FileClasses, path: str, parts: Sequence[str], search: _Search
    ) -> ClassSummary | str | None:
        imported = summary.imports.get(parts[0])
        if imported is not None:
            return self._find(".".join([imported, *parts[1:]]), path, search)
        for module in reversed(summary.stars):
            exports = torch_api.star_exports(module)
            if exports is not None and parts[0] in exports:
                return ".".join([module, *parts])
            dotted = join_path(module, ".".join(parts))
            through = self._find(dotted, path, search)
            if through is not None and through != dotted:
                return through
        return None

    def _import_roots(self, folder: str) -> tuple[str, ...]:
        """Folders in which absolute imports of a file in `folder` may be found, the nearest first."""
        if folder not in self._roots:
            climbed = [folder]
            top = _project_root(folder)
            while os.path.abspath(climbed[-1]) != top and len(climbed) < _HIGHEST_CLIMB:  # noqa: PTH100
                climbed.append(_parent(climbed[-1]))
            self._roots[folder] = tuple(root for each in climbed for root in (each, _join(each, "src")))
        return self._roots[folder]

    def _has_module(self, folder: str, name: str) -> bool:
        """Whether a folder holds a module or package of that name, so that most folders cost no reading."""
        place = os.path.abspath(_join(folder, name))  # noqa: PTH100
        if place in self._folders or place + ".py" in self._given:
            return True
        return self._exists(place) or self._exists(place + ".py")


def _project_root(folder: str) -> str:
    """The folder above which no import of the project leads.

    The nearest with a repository in it, else the nearest with a build file, else the working directory, else the
    folder above the outermost package.
    """
    start = os.path.abspath(folder)  # noqa: PTH100
    above = [start, *_ancestors(start)][:_HIGHEST_CLIMB]
    for marks in (_ROOT_MARKS[:2], _ROOT_MARKS[2:]):
        for each in above:
            if any(os.path.exists(os.path.join(each, mark)) for mark in marks):  # noqa: PTH110, PTH118
                return each
    here = os.getcwd()  # noqa: PTH109
    if here in above:
        return here
    return next((each for each in above if not os.path.exists(os.path.join(each, "__init__.py"))), start)  # noqa: PTH110, PTH118


def _ancestors(path: str) -> Iterator[str]:
    above = os.path.dirname(path)  # noqa: PTH120
    while above != path:
        yield above
        path, above = above, os.path.dirname(above)  # noqa: PTH120


def _parent(folder: str) -> str:
    """The folder above, in the manner in which the path is given: relative paths stay relative."""
    return _join(folder, "..")


def _join(folder: str, *parts: str) -> str:
    joined = os.path.normpath(os.path.join(folder, *parts))  # noqa: PTH118
    return "" if joined == "." else joined
