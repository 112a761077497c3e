"""Writing a dotted path in a file: through an import that is there, or through one that is added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import libcst as cst

from pipeline_lint.diagnostic import Edit
from pipeline_lint.edits import insert_after, insert_before
from pipeline_lint.facts import torch_api
from pipeline_lint.facts.code.names import Binding, Names, Reference, dotted_name, imported_module
from pipeline_lint.source import Source

_PREFERRED = {
    "torch.nn.functional": ("import torch.nn.functional as F", "F"),
    "torch.nn": ("from torch import nn", "nn"),
}


def existing_reference(names: Names, dotted: str, at: cst.CSTNode) -> str | None:
    """The shortest way to write `dotted` at `at` with the names that are surely bound there.

    An import inside `try` or `if` counts only where no other does: the code around `at` may need it as well, but an
    import for type checkers never does.
    """
    codes: list[tuple[bool, int, str]] = []
    for name in names.imported_names:
        paths = names.lookup(name, at)
        if len(paths) != 1 or not _reaches(names, name, paths[0], dotted):
            continue
        standing = _standing(names, name, at)
        if standing is not None:
            code = name + dotted[len(paths[0]) :]
            codes.append((not standing, code.count("."), code))
    return min(codes)[2] if codes else None


def add_import(names: Names, dotted: str, at: cst.CSTNode) -> Reference:
    """A reference by a new import that no name of the file stands against."""
    module, _, name = dotted.rpartition(".")
    root = module.partition(".")[0]
    for statement, bound in _ways_to_import(module, root):
        if names.is_free(bound) or (bound == root and names.lookup(root, at) == (root,)):
            prefix = bound if bound != root else module
            return Reference(f"{prefix}.{name}", (_insertion(names.source, statement),))
    raise AssertionError("there is always a free name")


def _ways_to_import(module: str, root: str) -> Iterator[tuple[str, str]]:
    """Import statements that make `module` reachable, and the names that they bind, the customary first."""
    if module in _PREFERRED:
        yield _PREFERRED[module]
    yield (f"import {root}" if module in torch_api.SUBMODULES else f"import {module}"), root
    last = module.rpartition(".")[2]
    alias = last
    while True:
        alias += "_"
        yield f"import {module} as {alias}", alias


def _reaches(names: Names, name: str, path: str, dotted: str) -> bool:
    """Whether what `path` names leads to `dotted` by attributes alone."""
    if path == dotted:
        return True
    if not dotted.startswith(path + "."):
        return False
    module = dotted.rpartition(".")[0]
    if path == module or ((path == "torch" or path in torch_api.SUBMODULES) and module in torch_api.SUBMODULES):
        return True
    return any(
        isinstance(statement, cst.Import) and any(dotted_name(item.name) == module for item in statement.names)
        for statement in (binding.node for binding in names.bindings(name, names.source.module))
    )


def _standing(names: Names, name: str, at: cst.CSTNode) -> bool | None:
    """True when `name` is surely bound at `at`, False when in a branch, None when not, or not yet."""
    source = names.source
    for scope in [*source.ancestors(at)]:
        if not isinstance(scope, cst.Module | cst.FunctionDef):
            continue
        bindings = names.bindings(name, scope)
        if bindings:
            standings = [_is_before(source, binding, scope, at) for binding in bindings]
            known = [standing for standing in standings if standing is not None]
            return any(known) if known else None
    return None


def _is_before(source: Source, binding: Binding, scope: cst.Module | cst.FunctionDef, at: cst.CSTNode) -> bool | None:
    """Whether a binding stands directly in its scope, before the statement that holds `at`."""
    body = scope.body if isinstance(scope, cst.Module) else scope.body.body
    holder, user = _child_of(source, body, binding.node), _child_of(source, body, at)
    if holder is None or user is None or holder >= user or _is_for_type_checkers(source, binding.node):
        return None
    return isinstance(body[holder], cst.SimpleStatementLine)


def _child_of(source: Source, body: object, node: cst.CSTNode) -> int | None:
    """Index of the statement of `body` that holds `node`."""
    above = {id(node), *(id(parent) for parent in source.ancestors(node))}
    statements = list(body) if isinstance(body, list | tuple) else []
    return next((index for index, statement in enumerate(statements) if id(statement) in above), None)


def _is_for_type_checkers(source: Source, node: cst.CSTNode) -> bool:
    return any(
        isinstance(above, cst.If) and dotted_name(above.test).endswith("TYPE_CHECKING")
        for above in source.ancestors(node)
    )


def _insertion(source: Source, statement: str) -> Edit:
    """Adds an import to the block of imports that opens the file, or opens one below docstring and `__future__`."""
    body = source.module.body
    start = 1 if _is_docstring(body[0]) else 0
    stop = start
    while stop < len(body) and _key(body[stop]) is not None:
        stop += 1
    futures = [index for index in range(start, stop) if _key(body[index])[1] == "__future__"]  # type: ignore[index]
    start = futures[-1] + 1 if futures else start
    if start < stop:
        return _sorted_in(source, body[start:stop], statement)
    if start > 0:
        return insert_after(source, body[start - 1], f"\n{statement}")
    return insert_before(source, body[0], f"{statement}\n")


def _sorted_in(source: Source, block: Sequence[cst.CSTNode], statement: str) -> Edit:
    """Beside the imports of the same package if there are any, else below the last absolute import."""
    new = _key(cst.parse_statement(statement))
    assert new is not None
    keyed = [(line, key) for line in block if (key := _key(line)) is not None]
    related = [(line, key) for line, key in keyed if _package(key) == _package(new)]
    lower = [line for line, key in related or keyed if (key < new if related else not key[1].startswith("."))]
    if lower:
        return insert_after(source, lower[-1], statement)
    if related:
        return insert_before(source, related[0][0], statement)
    return insert_before(source, keyed[0][0], f"{statement}\n")


def _key(line: cst.CSTNode) -> tuple[bool, str] | None:
    """What a line of imports is sorted by: plain imports first, then their module; None for other statements."""
    if not isinstance(line, cst.SimpleStatementLine):
        return None
    if not all(isinstance(statement, cst.Import | cst.ImportFrom) for statement in line.body):
        return None
    first = line.body[0]
    if isinstance(first, cst.ImportFrom):
        return True, imported_module(first)
    assert isinstance(first, cst.Import)
    return False, dotted_name(first.names[0].name)


def _package(key: tuple[bool, str]) -> str:
    return key[1].partition(".")[0]


def _is_docstring(statement: cst.CSTNode) -> bool:
    match statement:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString()), *_]):
            return True
    return False
