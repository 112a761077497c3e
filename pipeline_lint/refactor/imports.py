"""Bringing a constant from one file of the project to another: which import, where, and whether it is possible."""

from __future__ import annotations

import ast
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence

from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.program import ModuleCode
from pipeline_lint.refactor.rewriting import LONGEST_LINE, CannotRewrite, Rewriting, end_of_line, newline_of


def is_reachable(machine: Machine, home: ModuleCode, code: ModuleCode) -> bool:
    """Whether `code` may import names of `home`: not where `home` imports `code`, and not from a script."""
    if home is code:
        return True
    if _imports(machine, home, code):
        return False
    return bool(machine.importers.get(home)) or _is_without_effects(home)


def find_home(machine: Machine, maker: ModuleCode, files: Sequence[ModuleCode]) -> ModuleCode:
    """The file from which all of `files` may import what is defined there: `maker`, or else the first that can.

    Raises `CannotRewrite` where there is none.
    """
    for candidate in dict.fromkeys([maker, *files]):
        if all(is_reachable(machine, candidate, code) for code in files):
            return candidate
    raise CannotRewrite(
        f"what {maker.path} defined for it would be imported in a circle by "
        + ", ".join(code.path for code in files if not is_reachable(machine, maker, code))
        + "; with `output-style` set to `literals` nothing is imported"
    )


def _imports(machine: Machine, code: ModuleCode, other: ModuleCode) -> bool:
    """Whether importing `code` imports `other`, directly or through further files."""
    seen, waiting = {other}, [other]
    while waiting:
        for importer in machine.importers.get(waiting.pop(), ()):
            if importer is code:
                return True
            if importer not in seen:
                seen.add(importer)
                waiting.append(importer)
    return False


def _is_without_effects(code: ModuleCode) -> bool:
    """Whether a file only defines things, so that importing it does nothing else."""
    return all(_is_definition(statement) for statement in code.tree.body)


def _is_definition(statement: ast.stmt) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(value=value) | ast.AnnAssign(value=value):
            return value is None or not any(isinstance(each, ast.Call) for each in ast.walk(value))
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Try():
            return True
    return False


class Importer:
    """Adds to a file the import of names of another one."""

    def __init__(self, machine: Machine, rewriting: Rewriting) -> None:
        self._machine = machine
        self._rewriting = rewriting

    def refer(self, code: ModuleCode, home: ModuleCode, names: list[str]) -> dict[str, str]:
        """How to write each name in `code`. Raises `CannotRewrite` where one of them means something else there."""
        statement = self._existing(code, home)
        if statement is None:
            module = self._imported_module(code, home)
            if module is not None:
                return {name: f"{module}.{name}" for name in names}
        present = {each.name: each.asname or each.name for each in statement.names} if statement is not None else {}
        missing = [name for name in names if name not in present]
        for name in missing:
            if name in code.names:
                raise CannotRewrite(f"{code.path} calls something else `{name}`")
        return {name: present.get(name, name) for name in names}

    def bring(self, code: ModuleCode, home: ModuleCode, names: list[str]) -> None:
        """Imports those of the names that `code` does not have yet. Raises `CannotRewrite` where there is no way."""
        statement = self._existing(code, home)
        if statement is None:
            if names and self._imported_module(code, home) is None:
                self._add(code, home, names)
            return
        present = {each.name for each in statement.names}
        missing = [name for name in names if name not in present]
        if missing:
            self._extend(code, statement, missing)

    def bring_external(self, code: ModuleCode, wanted: Sequence[tuple[str, str]]) -> None:
        """Imports names from modules outside the project, those of `(module, name)` that the file lacks.

        Raises `CannotRewrite` where a name means something else.
        """
        new: dict[int, list[str]] = defaultdict(list)
        for module, name in wanted:
            statements = [each for each in code.tree.body if isinstance(each, ast.ImportFrom) and not each.level]
            same = [each for each in statements if each.module in (module, *_SAME_MODULES.get(module, ()))]
            if any(item.name == name and item.asname in (None, name) for each in same for item in each.names):
                continue
            if name in code.names:
                raise CannotRewrite(f"{code.path} calls something else `{name}`")
            own = [each for each in same if each.module == module]
            if own:
                self._extend(code, own[0], [name])
            else:
                new[_kind_of(module)].append(f"from {module} import {name}")
        for kind, lines in new.items():
            self._add_external(code, kind, sorted(lines))

    def _add_external(self, code: ModuleCode, kind: int, lines: list[str]) -> None:
        """Adds imports behind those of their kind that come before them, or where such ones would stand."""
        newline = newline_of(code)
        text = newline.join(lines)
        block = [each for each in _first_block(code) if _module_of(each) != "__future__"]
        kinds = [2 if self._is_ours(code, each) else _kind_of(_module_of(each)) for each in block]
        earlier = [
            index
            for index, (each, other) in enumerate(zip(block, kinds, strict=True))
            if other < kind or (other == kind and (isinstance(each, ast.Import) or code.source(each) < lines[0]))
        ]
        if earlier:
            _, end = code.span(block[earlier[-1]])
            gap = newline * (1 if kinds[earlier[-1]] == kind else 2)
            self._rewriting.insert(code, end_of_line(code.text, end), gap + text)
        elif block:
            start, _ = code.span(block[0])
            self._rewriting.insert(code, start, text + newline * (1 if kinds[0] == kind else 2))
        else:
            self._rewriting.insert(code, _start_of_code(code), text + newline * 3)

    def _existing(self, code: ModuleCode, home: ModuleCode) -> ast.ImportFrom | None:
        """The import at the top of the file that takes names from `home`."""
        for statement in code.tree.body:
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name != "*":
                module = "." * statement.level + (statement.module or "")
                if self._machine.find_module(module, code) is home:
                    return statement
        return None

    def _imported_module(self, code: ModuleCode, home: ModuleCode) -> str | None:
        """The name by which the file has `home` as a module."""
        for statement in code.tree.body:
            if isinstance(statement, ast.Import):
                for item in statement.names:
                    if self._machine.find_module(item.name, code) is home:
                        return item.asname or item.name
            elif isinstance(statement, ast.ImportFrom):
                module = "." * statement.level + (statement.module or "")
                for item in statement.names:
                    path = f"{module}{item.name}" if module.endswith(".") else f"{module}.{item.name}"
                    package = self._machine.find_module(module, code)
                    is_shadowed = package is not None and self._machine.peek(("global", package, item.name))
                    if not is_shadowed and self._machine.find_module(path, code) is home:
                        return item.asname or item.name
        return None

    def _extend(self, code: ModuleCode, statement: ast.ImportFrom, names: list[str]) -> None:
        """Adds names to an import, in their order where it has one."""
        old = [each.name if each.asname is None else f"{each.name} as {each.asname}" for each in statement.names]
        is_sorted = old == sorted(old, key=_order)
        new = sorted([*old, *names], key=_order) if is_sorted else [*old, *names]
        start, end = code.span(statement)
        text = code.text[start:end]
        if "#" in text:
            # Comments stay with their names: the new ones go in front.
            first, _ = code.span(statement.names[0])
            self._rewriting.insert(code, first, "".join(f"{name}, " for name in names))
            return
        head = text[: text.index("import", text.index(statement.module or ".") + len(statement.module or "."))]
        self._rewriting.replace(code, start, end, _import_statement(code, head.rstrip(), new, text))

    def _add(self, code: ModuleCode, home: ModuleCode, names: list[str]) -> None:
        module = self._module_name(code, home)
        text = _import_statement(code, f"from {module}", sorted(names, key=_order), "")
        # Imports further down may have been put there on purpose.
        block = _first_block(code)
        newline = newline_of(code)
        ours = [each for each in block if self._is_ours(code, each)]
        before = [each for each in ours if _module_of(each) < module]
        if ours and not before:
            start, _ = code.span(ours[0])
            self._rewriting.insert(code, start, text + newline)
        elif before or block:
            _, end = code.span((before or block)[-1])
            gap = newline if before or self._has_no_gap(code, block) else newline * 2
            self._rewriting.insert(code, end_of_line(code.text, end), gap + text)
        else:
            self._rewriting.insert(code, _start_of_code(code), text + newline * 2)

    def _has_no_gap(self, code: ModuleCode, block: list[ast.Import | ast.ImportFrom]) -> bool:
        return False

    def _is_ours(self, code: ModuleCode, statement: ast.Import | ast.ImportFrom) -> bool:
        module = _module_of(statement)
        return (
            module.startswith(".")
            or self._machine.find_module(module.partition(".")[0], code) is not None
            or (self._machine.find_module(module, code) is not None)
        )

    def _module_name(self, code: ModuleCode, home: ModuleCode) -> str:
        """How `code` names the file of `home`: as other files do, or by its place."""
        known = Counter(
            name for (name, _), found in self._machine.known_modules() if found is home and not name.startswith(".")
        )
        relative = any(isinstance(each, ast.ImportFrom) and each.level for each in code.tree.body)
        candidates = [name for name, _ in known.most_common()]
        parts = home.path.removesuffix(".py").removesuffix("/__init__").replace("\\", "/").split("/")
        tails = [".".join(parts[index:]) for index in range(len(parts) - 1, -1, -1)]
        dots = [f"{'.' * level}{tail}" for level in (1, 2, 3) for tail in tails[:4]]
        for name in [*(dots if relative else []), *candidates, *([] if relative else tails), *dots]:
            is_name = all(part.isidentifier() for part in name.strip(".").split("."))
            if is_name and self._machine.find_module(name, code) is home:
                return name
        raise CannotRewrite(f"{code.path} has no way to import {home.path}")


_SAME_MODULES = {"typing_extensions": ("typing",), "typing": ("typing_extensions",)}
"""Modules that have the same names."""


def _kind_of(module: str) -> int:
    """0 for the standard library, 1 for other packages."""
    return 0 if module.partition(".")[0] in sys.stdlib_module_names else 1


def _module_of(statement: ast.Import | ast.ImportFrom) -> str:
    if isinstance(statement, ast.Import):
        return statement.names[0].name
    return "." * statement.level + (statement.module or "")


def _first_block(code: ModuleCode) -> list[ast.Import | ast.ImportFrom]:
    """The imports that open the file, up to the first statement that is none."""
    block: list[ast.Import | ast.ImportFrom] = []
    for statement in code.tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            block.append(statement)
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)) and block:
            break
    return block


def _start_of_code(code: ModuleCode) -> int:
    """Where the first statement behind the docstring starts."""
    body = code.tree.body
    is_docstring = bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    if is_docstring and len(body) > 1:
        body = body[1:]
    return code.span(body[0])[0] if body else 0


def _order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as isort sorts them."""
    plain = name.partition(" ")[0]
    rank = 0 if plain.isupper() and len(plain) > 1 else 1 if plain[:1].isupper() else 2
    return rank, plain


def _import_statement(code: ModuleCode, head: str, names: list[str], old: str) -> str:
    """In one line where it fits, else with a name on each line."""
    line = f"{head} import {', '.join(names)}"
    is_spread = "\n" in old
    if len(line) <= LONGEST_LINE and not is_spread:
        return line
    newline = newline_of(code)
    if is_spread or len(line) > LONGEST_LINE:
        return f"{head} import ({newline}" + "".join(f"    {name},{newline}" for name in names) + ")"
    return line
