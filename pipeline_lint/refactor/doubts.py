"""What keeps a refactoring from being proven: uses that are not followed, and hands that code outside the project."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence

from pipeline_lint.diagnostic import Place
from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.outputs import Group
from pipeline_lint.refactor.program import FILES, ClassInfo, ModuleCode
from pipeline_lint.refactor.rewriting import place_of
from pipeline_lint.refactor.tokens import ALL, NOTHING, Box, ClassToken, Instance, is_output
from pipeline_lint.refactor.uses import Use

Doubt = tuple[Place, str]
_LOADING = re.compile(r"load|data|batch|_set|_iter|iterator|sampler|dl$|ds$", re.IGNORECASE)
_NO_MODULES = re.compile(
    r"^(split|chunk|unbind|size|shape|items|values|topk|max|min|sort|meshgrid|zip|load|get_\w+|read\w*)$"
)


def foreign_tokens(use: Use, group: Group) -> str | None:
    """What a use may get besides the group's outputs, in words; None where there is nothing."""
    others = [token for token in use.value if token not in group.sites and token is not NOTHING]
    if use.kind == "isinstance":
        others = [t for t in others if not isinstance(t, Instance) and not (isinstance(t, Box) and t.kind == "dict")]
    if not others:
        return None
    boxes = [token for token in others if isinstance(token, Box)]
    if boxes:
        return f"it may also get what {_made_at(boxes)} makes"
    return "it may also get something else"


def rival(use: Use, group: Group) -> str | None:
    """Where another tuple is made that a use takes apart just as it does the group's: one of both it would break."""
    if use.kind not in _TAKING_VALUES:
        return None
    others = [t for t in use.value if is_output(t) and isinstance(t, Box) and t.kind != "dict" and t not in group.sites]
    return _made_at(others) if others else None


def _made_at(boxes: Sequence[Box]) -> str:
    return min(f"{box.code.path}:{getattr(box.node, 'lineno', 1)}" for box in boxes)


_TAKING_VALUES = frozenset({"unpack", "subscript", "star", "iterate", "columns"})


def doubts_about(machine: Machine, group: Group, exists: Callable[[str], bool]) -> Iterator[Doubt]:
    """Why there may be consumers that are not seen."""
    for producer in group.producers:
        info = producer.info
        name = f"`{info.name.rpartition('.')[2]}`"
        for escape in machine.uses.escapes.values():
            if machine.method(escape.info, producer.target.method) is producer.function:
                yield place_of(escape.code, escape.node), f"{name} is handed to {escape.receiver}"
        makers = [each for each in machine.uses.constructed if info in machine.lineage(each)]
        if not makers:
            yield (
                info.code.document.place(*_name_span(info.code, info.node)),
                f"{name} is constructed nowhere in the project",
            )
        elif not group.consumers:
            yield (
                info.code.document.place(*_name_span(info.code, info.node)),
                f"nothing in the project uses the results of {name}",
            )
        package = _installed_package(info.code, exists)
        if package is not None and not info.name.startswith("_"):
            place = info.code.document.place(*_name_span(info.code, info.node))
            yield place, f"{name} can be imported from the installed package `{package}`"
        if _is_blurred(machine, group, info):
            place = info.code.document.place(*_name_span(info.code, info.node))
            yield place, f"{name} is kept together with so many other things that they are not told apart"
    if machine.is_exhausted:
        yield (
            place_of(group.producers[0].info.code, group.producers[0].info.node),
            "the project is too involved to be followed to the end",
        )
    yield from _possible_consumers(machine, group)


def is_collated(machine: Machine, group: Group) -> bool:
    """Whether a loader gives what the group's samples become without a `collate_fn` of the project."""
    return any(not group.sites.isdisjoint(machine.peek(("item", box, ALL))) for box in machine.boxes("loader"))


def doubts_about_objects(machine: Machine, group: Group) -> Iterator[Doubt]:
    """What does to tuples and dicts something that it does not do to other objects."""
    for producer in group.producers:
        info = producer.info
        for path in sorted(machine.uses.wrapped.get(info, ())):
            if path.rpartition(".")[2] in _TAKING_APART:
                place = info.code.document.place(*_name_span(info.code, info.node))
                yield place, f"`{path.replace('()', '')}` gathers or converts tuples and dicts, but no dataclasses"


_TAKING_APART = frozenset({"DataParallel", "prepare", "initialize", "setup"})


def _is_blurred(machine: Machine, group: Group, info: ClassInfo) -> bool:
    for token in machine.blurred:
        if isinstance(token, Instance | ClassToken) and info in machine.lineage(token.info):
            return True
    return not group.sites.isdisjoint(machine.blurred)


def _name_span(code: ModuleCode, node: ast.ClassDef) -> tuple[int, int]:
    start, _ = code.span(node)
    start = code.text.index(node.name, start)
    return start, start + len(node.name)


def _possible_consumers(machine: Machine, group: Group) -> Iterator[Doubt]:
    """Unpackings of as many values of something unknown, which may be the model or the loader."""
    is_dataset = group.is_dataset
    num_values = next(iter(group.sites)).num_values
    homes = {producer.info.code.realm for producer in group.producers}
    for use in machine.uses.unknown_unpacks.values():
        if (use.node, use.kind) in machine.uses.uses or use.kind != "unpack":
            continue
        if use.code.realm is not FILES and homes.isdisjoint((FILES, use.code.realm)):
            # In another notebook.
            continue
        assert isinstance(use.node, ast.Tuple | ast.List)
        if len(use.node.elts) != num_values or any(isinstance(each, ast.Starred) for each in use.node.elts):
            continue
        source = _source_of(use.code, use.node)
        if source is not None and _may_be_ours(source, is_dataset=is_dataset):
            what = "sample" if is_dataset else "result"
            yield place_of(use.code, use.node), f"`{ast.unparse(source)}` is not known here, and this may be its {what}"


def _source_of(code: ModuleCode, target: ast.AST) -> ast.expr | None:
    """The expression whose result, or whose items, a target gets."""
    holder = code.parents.get(target)
    if isinstance(holder, ast.Tuple) and isinstance(code.parents.get(holder), ast.For | ast.comprehension):
        holder = code.parents.get(holder)
    match holder:
        case ast.Assign(value=value):
            return value
        case ast.For(iter=value) | ast.comprehension(iter=value):
            while isinstance(value, ast.Call) and value.args and not isinstance(value.func, ast.Attribute):
                value = value.args[0]
            return value
    return None


def _may_be_ours(source: ast.expr, *, is_dataset: bool) -> bool:
    if is_dataset:
        if isinstance(source, ast.Call) and isinstance(source.func, ast.Name) and source.func.id == "next":
            source = source.args[0] if source.args else source
        match source:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return bool(_LOADING.search(name))
        return False
    match source:
        case ast.Call(func=ast.Name(id=name)):
            return not _NO_MODULES.match(name)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)):
            return not _NO_MODULES.match(name)
        case ast.Call(func=ast.Attribute(attr="forward" | "module")):
            return True
    return False


def _installed_package(code: ModuleCode, exists: Callable[[str], bool]) -> str | None:
    """The package that a build file beside it makes out of the folder that the file lies in."""
    import os

    folder = os.path.dirname(os.path.abspath(code.path))  # noqa: PTH100, PTH120 - as in facts/module_files.py
    package = ""
    while exists(os.path.join(folder, "__init__.py")):  # noqa: PTH118
        folder, package = os.path.split(folder)
    if not package:
        return None
    roots = [folder, os.path.dirname(folder)] if os.path.basename(folder) == "src" else [folder]  # noqa: PTH119, PTH120
    has_build_file = any(exists(os.path.join(root, name)) for root in roots for name in ("setup.py", "setup.cfg"))  # noqa: PTH118
    return package if has_build_file else None
