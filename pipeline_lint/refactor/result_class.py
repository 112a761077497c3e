"""The class that an output is an instance of: a `TypedDict`, or a dataclass (`output-style`)."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from pipeline_lint.refactor.imports import Importer, find_home
from pipeline_lint.refactor.keys import Style
from pipeline_lint.refactor.machine import Machine
from pipeline_lint.refactor.outputs import Group, Producer
from pipeline_lint.refactor.program import FunctionInfo, ModuleCode, dotted
from pipeline_lint.refactor.rewriting import CannotRewrite, Rewriting, newline_of


class ResultClass:
    """A new class with a field for each value, above the first that needs it."""

    def __init__(self, machine: Machine, rewriting: Rewriting, style: Style) -> None:
        self._rewriting = rewriting
        self._style = style
        self._importer = Importer(machine, rewriting)
        self._machine = machine
        self.name = ""
        self._home: ModuleCode | None = None
        self._written: dict[ModuleCode, str] = {}

    def declare(self, group: Group, names: tuple[str, ...], functions: Sequence[FunctionInfo]) -> None:
        """Writes the class; `functions` are those that are annotated with it.

        Raises `CannotRewrite` where no file can hold it for all, or its name is taken.
        """
        producers = sorted(group.producers, key=lambda each: (each.function.code.path, each.function.node.lineno))
        makers = sorted({site.code for site in group.sites}, key=lambda code: code.path)
        files = list(dict.fromkeys([*makers, *(function.code for function in functions)]))
        self._home = home = find_home(self._machine, producers[0].function.code, files)
        self.name = _free_name(producers[0], group.is_dataset, [home, *files])
        types = _types(home, producers, len(names))
        newline = newline_of(home)
        fields = [f"    {name}: {kind}" for name, kind in zip(names, types, strict=True)]
        is_dict = self._style is Style.TYPED_DICT
        head = [f"class {self.name}(TypedDict):"] if is_dict else ["@dataclass", f"class {self.name}:"]
        what = f'    """What `{producers[0].target.method}` of `{producers[0].info.name}` gives."""'
        nodes: list[ast.AST] = [each.node for each in functions if each.code is home]
        nodes += [site.node for site in group.sites if site.code is home]
        offset = _above(home, nodes)
        self._rewriting.insert(home, offset, newline.join([*head, what, "", *fields]) + newline * 3)
        wanted = [("typing_extensions", "TypedDict")] if is_dict else [("dataclasses", "dataclass")]
        self._importer.bring_external(home, [*wanted, ("typing", "Any")] if "Any" in types else wanted)

    def refer(self, code: ModuleCode) -> str:
        """How a file writes the class, which is imported where it is not defined."""
        assert self._home is not None
        if code not in self._written:
            if code is self._home:
                self._written[code] = self.name
            else:
                self._written[code] = self._importer.refer(code, self._home, [self.name])[self.name]
                self._importer.bring(code, self._home, [self.name])
        return self._written[code]


def _free_name(producer: Producer, is_dataset: bool, codes: Iterable[ModuleCode]) -> str:
    simple = producer.info.name.rpartition(".")[2]
    stem = simple.removesuffix("Dataset") or simple
    taken = frozenset().union(*(code.names for code in codes))
    candidates = ("Sample", "Item") if is_dataset else ("Output", "Outputs", "Result")
    for candidate in candidates:
        if f"{stem}{candidate}" not in taken:
            return f"{stem}{candidate}"
    raise CannotRewrite(f"no free name is left for its class (`{stem}{candidates[0]}` is taken)")


def _types(home: ModuleCode, producers: Sequence[Producer], num_values: int) -> list[str]:
    """The types of the values as the annotation of all producers says; `Any` where none does."""
    found = {_annotated(producer.function, home, num_values) for producer in producers}
    types = found.pop() if len(found) == 1 else None
    return list(types) if types is not None else ["Any"] * num_values


def _annotated(function: FunctionInfo, home: ModuleCode, num_values: int) -> tuple[str, ...] | None:
    node = function.node
    if function.code is not home or isinstance(node, ast.Lambda):
        return None
    match node.returns:
        case ast.Subscript(value=name, slice=ast.Tuple(elts=elements)) if (
            dotted(name).rpartition(".")[2] in ("tuple", "Tuple") and len(elements) == num_values
        ):
            types = tuple(home.source(each) for each in elements)
            return None if "..." in types else types
    return None


def _above(home: ModuleCode, nodes: Sequence[ast.AST]) -> int:
    """The start of the first top-level statement around any of the nodes, with the comments right above it."""
    first = min(_top_level(home, node).lineno for node in nodes)
    statement = next(each for each in home.tree.body if each.lineno == first)
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    row = min([first, *(each.lineno for each in decorators)])
    while row > 1 and home.document.line(row - 1).startswith("#"):
        row -= 1
    return home.document.line_starts[row - 1]


def _top_level(home: ModuleCode, node: ast.AST) -> ast.stmt:
    *_, statement = (each for each in (node, *home.ancestors(node)) if isinstance(each, ast.stmt))
    return statement
