"""The code of the whole project: each file's tree, its functions and classes, and where each node stands.

Files are read with `ast`, see docs/decisions/refactor-reads-ast.md.
"""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipeline_lint.document import Document
from pipeline_lint.refactor.format_strings import UNPLACED, place_format_strings

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(eq=False, slots=True)
class FunctionInfo:
    """A function, a method or a lambda."""

    code: ModuleCode
    node: FunctionNode
    name: str
    owner: ClassInfo | None = None
    """The class that it is a method of."""
    outer: FunctionInfo | None = None
    """The function around it."""
    is_generator: bool = False
    globals: frozenset[str] = frozenset()
    captured: frozenset[str] = frozenset()
    """Names that functions within it may read."""
    decorators: tuple[str, ...] = ()

    @property
    def parameters(self) -> list[str]:
        """Those that take positional arguments."""
        arguments = self.node.args
        return [each.arg for each in (*arguments.posonlyargs, *arguments.args)]

    @property
    def is_static(self) -> bool:
        return "staticmethod" in self.decorators

    @property
    def is_method(self) -> bool:
        return self.owner is not None and not self.is_static


@dataclass(eq=False, slots=True)
class ClassInfo:
    """A class; `bases` and `methods` are filled when its statement is read."""

    code: ModuleCode
    node: ast.ClassDef
    name: str
    """With the classes and functions around it: `Outer.Inner`."""
    outer: FunctionInfo | None = None
    bases: list[object] = field(default_factory=list)
    """Tokens of the bases, in the order of the text."""
    methods: dict[str, FunctionInfo] = field(default_factory=dict)
    attributes: frozenset[str] = frozenset()
    """Names that its methods give to `self`."""

    def __repr__(self) -> str:
        return f"<{self.name}>"


class ModuleCode:
    """One file of the project."""

    def __init__(self, document: Document, tree: ast.Module) -> None:
        self.document = document
        self.path = document.path
        self.text = document.text
        self.tree = tree
        self.functions: dict[ast.AST, FunctionInfo] = {}
        self.classes: dict[ast.AST, ClassInfo] = {}
        self._is_ascii = self.text.isascii()
        self._format_strings: list[tuple[int, int, str]] | None = None
        _Definitions(self).read(tree)

    def __repr__(self) -> str:
        return f"<{self.path}>"

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Offsets of a node in the document's text; its own parentheses are not part of it."""
        placed = node.__dict__
        return (
            self.offset(placed["lineno"], placed["col_offset"]),
            self.offset(placed["end_lineno"], placed["end_col_offset"]),
        )

    def offset(self, row: int, column: int) -> int:
        """The offset of a row and a column in bytes."""
        start = self.document.line_starts[row - 1]
        if self._is_ascii:
            return start + column
        line = self.document.line(row)
        return start + len(line.encode("utf-8", "surrogatepass")[:column].decode("utf-8", "surrogatepass"))

    def quote_around(self, offset: int) -> str | None:
        """The quote of the f-string that holds an offset: before Python 3.12 it cannot be used inside."""
        if self._format_strings is None:
            self._format_strings = []
            for node in ast.walk(self.tree):
                if isinstance(node, ast.JoinedStr) and not hasattr(node, UNPLACED):
                    start, end = self.span(node)
                    quote = self.text[start:end].lstrip("fFrRbBuU")[:1]
                    self._format_strings.append((start, end, quote))
        return next((quote for start, end, quote in self._format_strings if start < offset < end), None)

    def source(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    @functools.cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        above = self.parents.get(node)
        while above is not None:
            yield above
            above = self.parents.get(above)

    def statement_of(self, node: ast.AST) -> ast.stmt:
        for each in (node, *self.ancestors(node)):
            if isinstance(each, ast.stmt):
                return each
        raise ValueError(f"{type(node).__name__} stands in no statement of {self.path}")

    def function_of(self, node: ast.AST) -> FunctionInfo | None:
        """The function around a node, comprehensions not counted."""
        return next((self.functions[each] for each in self.ancestors(node) if each in self.functions), None)

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """Every name that the file uses for something, so that none of them is taken for another thing."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            match node:
                case ast.Name(id=name) | ast.arg(arg=name):
                    found.add(name)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    found.add(name)
                case ast.alias(name=name, asname=asname):
                    found.add(asname or name.partition(".")[0])
                case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                    found.add(name)
        return frozenset(found)


def read_code(document: Document) -> ModuleCode | None:
    """The file's code; None where this Python cannot parse it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(document.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    place_format_strings(document, tree)
    return ModuleCode(document, tree)


class _Definitions:
    """Notes the functions and classes of a file."""

    def __init__(self, code: ModuleCode) -> None:
        self._code = code

    def read(self, tree: ast.Module) -> None:
        self._visit_all(tree.body, None, None, "")

    def _visit_all(
        self, nodes: list[ast.stmt], function: FunctionInfo | None, owner: ClassInfo | None, prefix: str
    ) -> None:
        for node in nodes:
            self._visit(node, function, owner, prefix)

    def _visit(self, node: ast.AST, function: FunctionInfo | None, owner: ClassInfo | None, prefix: str) -> None:
        if isinstance(node, ast.ClassDef):
            info = ClassInfo(self._code, node, prefix + node.name, function)
            self._code.classes[node] = info
            self._visit_all(node.body, function, info, f"{info.name}.")
            info.attributes = frozenset(
                each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)
            )
            for each in (*node.bases, *node.keywords, *node.decorator_list):
                self._visit(each, function, None, prefix)
        elif isinstance(node, _FUNCTIONS):
            self._visit_function(node, function, owner, prefix)
        else:
            for child in ast.iter_child_nodes(node):
                # A class's own statements may define methods within `if`.
                self._visit(child, function, owner if isinstance(node, ast.If | ast.Try) else None, prefix)

    def _visit_function(
        self, node: FunctionNode, function: FunctionInfo | None, owner: ClassInfo | None, prefix: str
    ) -> None:
        name = node.name if not isinstance(node, ast.Lambda) else "<lambda>"
        decorators = () if isinstance(node, ast.Lambda) else tuple(map(_dotted, node.decorator_list))
        info = FunctionInfo(self._code, node, prefix + name, owner, function, decorators=decorators)
        self._code.functions[node] = info
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        own, nested = _split(body)
        info.is_generator = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in own)
        info.globals = frozenset(name for each in own if isinstance(each, ast.Global) for name in each.names)
        info.captured = frozenset(
            name.id for each in nested for name in ast.walk(each) if isinstance(name, ast.Name)
        )
        if owner is not None and not isinstance(node, ast.Lambda) and "overload" not in decorators:
            owner.methods[node.name] = info
        for child in ast.iter_child_nodes(node):
            self._visit(child, info, None, f"{info.name}.")


def _split(body: list[ast.stmt] | list[ast.expr]) -> tuple[list[ast.AST], list[ast.AST]]:
    """The nodes that a function evaluates itself, and the functions and classes within it."""
    own: list[ast.AST] = []
    nested: list[ast.AST] = []
    stack: list[ast.AST] = [*body]
    while stack:
        node = stack.pop()
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            nested.append(node)
            continue
        own.append(node)
        stack.extend(ast.iter_child_nodes(node))
    return own, nested


def _dotted(node: ast.AST) -> str:
    """`a.b` of names and attributes, of a call what is called; empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted(value)}.{name}"
        case ast.Call(func=function):
            return _dotted(function)
    return ""


dotted = _dotted
Read = Callable[[str], Document | None]
