"""The constants that name keys: those that are there already, new ones, and the file that they live in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from pipeline_lint.refactor.imports import Importer, find_home
from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.program import ModuleCode
from pipeline_lint.refactor.rewriting import CannotRewrite, Rewriting, end_of_line, newline_of
from pipeline_lint.refactor.tokens import Text


class Constants:
    """Constants for the keys of one output, and how each file writes them."""

    def __init__(self, machine: Machine, rewriting: Rewriting, prefix: str) -> None:
        self._machine = machine
        self._rewriting = rewriting
        self._prefix = prefix
        self._importer = Importer(machine, rewriting)
        self._imports: dict[ModuleCode, tuple[ModuleCode, dict[int, str]]] = {}

    def declare(
        self, keys: tuple[str, ...], maker: ModuleCode, users: Iterable[ModuleCode]
    ) -> dict[ModuleCode, list[str]]:
        """The code of each key in the maker's file and in those of its users; `bring` then imports what they write.

        Raises `CannotRewrite` where no file can hold the constants for all, or a name is taken.
        """
        files = list(dict.fromkeys([maker, *users]))
        home = find_home(self._machine, maker, files)
        names: list[str] = []
        new: list[tuple[str, str]] = []
        for key in keys:
            existing = self.existing(home, key)
            name = existing or self._new_name(home, files, key)
            names.append(name)
            if existing is None:
                new.append((name, key))
        self._define(home, new)
        written = {home: names}
        for code in files:
            if code is not home:
                known = [self.existing(code, key) for key in keys]
                missing = [name for name, found in zip(names, known, strict=True) if found is None]
                references = self._importer.refer(code, home, missing) if missing else {}
                self._imports[code] = home, {i: names[i] for i, found in enumerate(known) if found is None}
                written[code] = [found or references[name] for name, found in zip(names, known, strict=True)]
        return written

    def bring(self, code: ModuleCode, indices: set[int]) -> None:
        """Imports the constants of those keys into a file, as far as it lacks them."""
        if code in self._imports:
            home, names = self._imports[code]
            self._importer.bring(code, home, [name for index, name in names.items() if index in indices])

    def existing(self, code: ModuleCode, key: str) -> str | None:
        """A constant of the file, its own or imported, that holds the key and is called after it."""
        for name in self._machine.global_names(code):
            if name.isupper() and name.endswith((key.upper(), _spelled(key))):
                value = self._machine.peek(("global", code, name))
                if len(value) == 1 and isinstance(token := next(iter(value)), Text) and token.text == key:
                    return name
        return None

    def _new_name(self, home: ModuleCode, files: Iterable[ModuleCode], key: str) -> str:
        """A name that is free in the home and, if there is such a one, in all files."""
        name = f"{self._prefix}_{_spelled(key)}"
        candidates = [each for each in (name, f"{name}_KEY") if each not in home.names]
        for candidate in candidates:
            if not any(candidate in code.names for code in files):
                return candidate
        if not candidates:
            raise CannotRewrite(f"{home.path} calls something else `{name}`")
        return candidates[0]

    def _define(self, home: ModuleCode, new: list[tuple[str, str]]) -> None:
        """Puts the constants below the imports, or to those that are there."""
        if not new:
            return
        newline = newline_of(home)
        lines = [f'{name} = "{key}"' for name, key in new]
        body = home.tree.body
        imports = [index for index, each in enumerate(body) if _is_import(each)]
        last = imports[-1] if imports else 0 if body and _is_docstring(body[0]) else -1
        first_definition = next(
            (i for i, each in enumerate(body) if isinstance(each, ast.FunctionDef | ast.ClassDef)), len(body)
        )
        if last > first_definition:
            last = max((index for index in imports if index < first_definition), default=-1)
        siblings = [
            index for index, each in enumerate(body[:first_definition]) if self._is_sibling(each) and index > last
        ]
        if siblings:
            _, end = home.span(body[siblings[-1]])
            self._rewriting.insert(home, end_of_line(home.text, end), "".join(newline + line for line in lines))
        elif last >= 0:
            _, end = home.span(body[last])
            offset = end_of_line(home.text, end)
            self._rewriting.insert(
                home, offset, newline + "".join(newline + line for line in lines) + _gap(home, offset)
            )
        else:
            start = home.span(body[0])[0]
            self._rewriting.insert(home, start, newline.join(lines) + newline * 3)

    def _is_sibling(self, statement: ast.stmt) -> bool:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str())):
                return name.startswith(f"{self._prefix}_")
        return False


def _spelled(key: str) -> str:
    """As constants are written: `logVar` is `LOG_VAR`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).upper()


def _gap(home: ModuleCode, offset: int) -> str:
    """Nothing where a blank line follows, else one."""
    newline = newline_of(home)
    following = home.text[offset : offset + 3 * len(newline)]
    return "" if following.startswith(newline * 2) or not following.strip() else newline


def _is_import(statement: ast.stmt) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.Try(body=body):
            return all(isinstance(each, ast.Import | ast.ImportFrom) for each in body)
    return False


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
