"""All files together: what a class of one file inherits from classes of others.

Nothing is imported or run: import statements are followed on paper, from summaries.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline_lint.facts import torch_api
from pipeline_lint.facts.code.names import join_path
from pipeline_lint.facts.module_files import ModuleFiles, absolute
from pipeline_lint.facts.modules import LOCAL, ClassSummary, Imported, summarize_classes
from pipeline_lint.source import Source

Summary = TypeVar("Summary")
Fact = TypeVar("Fact")
Loader = Callable[[str, Callable[[Source], Any]], Any]

_Found = ClassSummary | str | None
"""A class of the project, or the path outside it that a name comes from; None for what no file defines."""
_Seen = set[tuple[str, tuple[str, ...]]]
"""Modules with the names that they were asked for, so that imports in a circle end a search."""


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


class Project:
    """The summaries of all files, and the classes in them.

    `summaries` holds, by the path of each file to check, its summaries by `module.function` of what made them. `load`
    gives the summary of any other file: `load(path, summarize)` is None where there is no such Python file. It is asked
    only for files that an import of a known file can mean, so what is found does not depend on which files were given.
    `exists` says whether there is a file or folder at an absolute path; a file is loaded only where it says so.
    `read` gives the bytes of a file, and `list_paths` the Python files of the whole project, those to check among them:
    for what has to look at every file.
    """

    def __init__(
        self,
        summaries: Mapping[str, Mapping[str, Any]],
        load: Loader | None = None,
        exists: Callable[[str], bool] = lambda _: False,
        read: Callable[[str], bytes | None] = lambda _: None,
        list_paths: Callable[[], Sequence[str]] | None = None,
        given: Collection[str] = (),
    ) -> None:
        self._summaries = summaries
        self._load = load
        self.exists = exists
        self.read = read
        self.given = frozenset(given) or frozenset(summaries)
        """The files to check, those without a summary included."""
        self.memory: dict[object, Any] = {}
        """Facts keep here what a project of nearly the same files can use again; it may outlive this one."""
        self._list_paths = list_paths
        self._facts: dict[object, Any] = {}
        self._files = ModuleFiles(summaries, exists)
        self._given = {absolute(path): path for path in summaries}
        self._loaded: dict[tuple[str, str], Any] = {}
        self._lineages: dict[tuple[str, str], Lineage] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        """The files to check, in a stable order."""
        return tuple(sorted(self._summaries))

    @property
    def files(self) -> ModuleFiles:
        """Finds the file that an import means."""
        return self._files

    def all_paths(self) -> tuple[str, ...]:
        """The Python files of the whole project, in a stable order."""
        return tuple(sorted({*self.given, *(self._list_paths() if self._list_paths is not None else ())}))

    def fact(self, kind: Callable[[Project], Fact]) -> Fact:
        """What `kind` finds out about the project, computed once."""
        if kind not in self._facts:
            self._facts[kind] = kind(self)
        result: Fact = self._facts[kind]
        return result

    def summary(self, summarize: Callable[[Source], Summary], path: str) -> Summary | None:
        """What `summarize` says of a file; None where there is no such file."""
        key = f"{summarize.__module__}.{summarize.__qualname__}"
        given = self._given.get(absolute(path), path)
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
        found = self._find(dotted, path)
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
                found = self._find(base, known.path) if base else None
                if isinstance(found, ClassSummary):
                    if (found.path, found.name) not in seen:
                        seen.add((found.path, found.name))
                        classes.append(found)
                elif found is not None and not found.startswith("."):
                    external[torch_api.canonical(found)] = None
                elif not (base.startswith(LOCAL) and hasattr(builtins, base[len(LOCAL) :])):
                    unresolved[base] = None
        return Lineage(tuple(classes), tuple(external), tuple(unresolved))

    def _find(self, dotted: str, path: str) -> _Found:
        if dotted.startswith(LOCAL):
            return self._in_module(path, tuple(dotted[len(LOCAL) :].split(".")), set())
        return self._reach(dotted, path, set())

    def _reach(self, dotted: str, importer: str, seen: _Seen, *, num_modules: int = 0) -> _Found:
        """What a dotted path means: the rest of it in the module that its longest prefix leads to.

        The first `num_modules` parts name modules for certain.
        """
        for folder, parts in self._files.starts(dotted, importer):
            for length in range(len(parts) - 1, num_modules - 1, -1):
                path = self._files.file(folder, parts[:length])
                if path is not None:
                    return self._in_module(path, tuple(parts[length:]), seen)
        return dotted

    def _in_module(self, path: str, parts: tuple[str, ...], seen: _Seen) -> _Found:
        """A name of a module: a class in it, what it imports under that name or with a star, or its submodule's."""
        summary = self.summary(summarize_classes, path)
        if summary is None or (path, parts) in seen:
            return None
        seen.add((path, parts))
        found: _Found = summary.find(".".join(parts))
        if found is None and parts[0] in summary.imports:
            found = self._imported(summary.imports[parts[0]], path, parts[1:], seen)
        for module in reversed(summary.stars):
            if found is None:
                found = self._in_star(module, path, parts, seen)
        if found is None and len(parts) > 1 and path.endswith("__init__.py"):
            submodule = self._files.find("." + parts[0], path)
            found = self._in_module(submodule, parts[1:], seen) if submodule is not None else None
        return found

    def _imported(self, imported: Imported, path: str, rest: tuple[str, ...], seen: _Seen) -> _Found:
        """What `rest` is of a name that `path` imports."""
        module, name = imported
        parts = (name, *rest) if name else rest
        if not module:
            return self._in_module(path, parts, seen)
        target = self._files.find(module, path)
        if target is not None:
            return self._in_module(target, parts, seen) if parts else None
        # The module may be a folder without `__init__.py`, or outside the project.
        num_modules = len(module.strip(".").split(".")) + 1
        return self._reach(join_path(module, ".".join(parts)), path, seen, num_modules=num_modules) if parts else None

    def _in_star(self, module: str, path: str, parts: Sequence[str], seen: _Seen) -> _Found:
        exports = torch_api.star_exports(module)
        if exports is not None:
            return ".".join([module, *parts]) if parts[0] in exports else None
        target = self._files.find(module, path)
        return self._in_module(target, tuple(parts), seen) if target is not None else None
