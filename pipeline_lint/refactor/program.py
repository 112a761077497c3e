"""The code of the whole project: each file's tree, its functions and classes, and where each node stands.

Files are read with `ast`, see docs/decisions/refactor-reads-ast.md.
"""

from __future__ import annotations

import ast
import functools
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline_lint.document import Document
from pipeline_lint.refactor.format_strings import UNPLACED, place_format_strings

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LONGEST_WORD = 40
FILES = "files"
"""The realm of all files that can be imported."""


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
    nonlocals: frozenset[str] = frozenset()
    """Names of the functions around it that it binds."""
    captured: frozenset[str] = frozenset()
    """Names that functions within it may read."""
    decorators: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    """The names that it mentions itself."""
    unpacks: frozenset[int] = frozenset()
    """How many values it unpacks results of calls and items of loops into."""

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


@dataclass(frozen=True, slots=True)
class Record:
    """A class of results: a named tuple, a dataclass, a `TypedDict`, a `ModelOutput`."""

    kind: str
    """`tuple`, `dataclass`, `dict`, or `both`: by name and by position."""
    names: tuple[str, ...]


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
    record: Record | None = None
    """What is known of it if it only holds values under names."""

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
        self.format_strings: list[ast.JoinedStr] = []
        self.chosen_names: dict[ast.stmt, dict[ast.AST, str]] = defaultdict(dict)
        """The new variables of fixes, by the statement and the target in whose place they stand."""
        self.realm: ModuleCode | str = self if self.path.endswith(".ipynb") else FILES
        """Where its objects can be met: those of a notebook, which nothing imports, in no other notebook."""
        self._is_ascii = self.text.isascii()
        self._format_strings: list[tuple[int, int, str]] | None = None
        _Definitions(self).read(tree)
        place_format_strings(document, self.format_strings)

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
            for node in self.format_strings:
                if not hasattr(node, UNPLACED):
                    start, end = self.span(node)
                    quote = self.text[start:end].lstrip("fFrRbBuU")[:1]
                    self._format_strings.append((start, end, quote))
        return next((quote for start, end, quote in self._format_strings if start < offset < end), None)

    def source(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.text[start:end]

    @functools.cached_property
    def assigned_globals(self) -> frozenset[str]:
        """The global names that functions assign."""
        return frozenset().union(*(function.globals for function in self.functions.values()))

    @functools.cached_property
    def top_names(self) -> list[str]:
        """The functions and classes that the file defines, and what it imports."""
        found: list[str] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.append(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found += [each.asname or each.name.partition(".")[0] for each in node.names]
        return found

    @functools.cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @functools.cached_property
    def mentioned(self) -> frozenset[str]:
        """The names by which the file may call something."""
        names = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
        return frozenset(names)

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
    return ModuleCode(document, tree)


class _Definitions:
    """Notes the functions and classes of a file, and what each function mentions, in one pass over the tree."""

    def __init__(self, code: ModuleCode) -> None:
        self._code = code

    def read(self, tree: ast.Module) -> None:
        self._visit_all(tree.body, _Scope(None, None, ""))

    def _visit_all(self, nodes: Sequence[ast.AST], scope: _Scope) -> None:
        """Visits what one scope evaluates itself; functions and classes within open scopes of their own."""
        stack = [*reversed(nodes)]
        words, unpacks = scope.words, scope.unpacks
        while stack:
            node = stack.pop()
            kind = node.__class__
            if kind is ast.Name:
                words.add(node.id)  # type: ignore[attr-defined]
                continue
            if kind is ast.Constant:
                text = node.value  # type: ignore[attr-defined]
                if text.__class__ is str and len(text) < _LONGEST_WORD and text.isidentifier():
                    words.add(text)
                continue
            if kind in _FUNCTIONS:
                self._visit_function(node, scope)  # type: ignore[arg-type]
                continue
            if kind is ast.ClassDef:
                self._visit_class(node, scope)  # type: ignore[arg-type]
                continue
            if kind is ast.Attribute:
                words.add(node.attr)  # type: ignore[attr-defined]
                stack.append(node.value)  # type: ignore[attr-defined]
                continue
            if kind is ast.Yield or kind is ast.YieldFrom:
                scope.has_yield = True
            elif kind is ast.Global:
                scope.globals.update(node.names)  # type: ignore[attr-defined]
            elif kind is ast.Nonlocal:
                scope.nonlocals.update(node.names)  # type: ignore[attr-defined]
                scope.nested.update(node.names)  # type: ignore[attr-defined]
            elif kind in _UNPACKING:
                unpacks.update(_unpacks(node))
            elif kind is ast.JoinedStr:
                self._code.format_strings.append(node)  # type: ignore[arg-type]
            is_choice = kind is ast.If or kind is ast.Try
            if scope.owner is not None and not is_choice:
                # Only the class's own statements, those within `if` included, define methods.
                self._visit_all(_children(node), scope.without_owner())
                continue
            stack.extend(reversed(_children(node)))

    def _visit_class(self, node: ast.ClassDef, scope: _Scope) -> None:
        info = ClassInfo(self._code, node, scope.prefix + node.name, scope.function, record=_record(node))
        self._code.classes[node] = info
        inner = _Scope(scope.function, info, f"{info.name}.", scope.words, scope.unpacks)
        self._visit_all(node.body, inner)
        scope.nested |= inner.nested
        info.attributes = frozenset(inner.stored)
        self._visit_all([*node.bases, *node.keywords, *node.decorator_list], scope.without_owner())

    def _visit_function(self, node: FunctionNode, scope: _Scope) -> None:
        name = node.name if not isinstance(node, ast.Lambda) else "<lambda>"
        decorators = () if isinstance(node, ast.Lambda) else tuple(map(_dotted, node.decorator_list))
        owner = scope.owner
        info = FunctionInfo(self._code, node, scope.prefix + name, owner, scope.function, decorators=decorators)
        self._code.functions[node] = info
        if owner is not None and not isinstance(node, ast.Lambda) and "overload" not in decorators:
            role = next((each for each in decorators if each.endswith((".setter", ".deleter"))), node.name)
            owner.methods[role] = info
        inner = _Scope(info, None, f"{info.name}.")
        self._visit_all([node.body] if isinstance(node, ast.Lambda) else node.body, inner)
        info.is_generator = inner.has_yield
        info.globals = frozenset(inner.globals)
        info.nonlocals = frozenset(inner.nonlocals)
        info.words, info.unpacks = frozenset(inner.words), frozenset(inner.unpacks)
        info.captured = frozenset(inner.nested)
        scope.nested |= inner.words | inner.nested
        outside: list[ast.AST] = [node.args]
        if not isinstance(node, ast.Lambda):
            outside += [*node.decorator_list, *([node.returns] if node.returns is not None else [])]
            if owner is not None:
                scope.stored |= {
                    each.attr
                    for each in ast.walk(node)
                    if each.__class__ is ast.Attribute and each.ctx.__class__ is ast.Store
                }
        self._visit_all(outside, scope.without_owner())


class _Scope:
    """What is noted while the statements of a function, class or module are visited."""

    def __init__(
        self,
        function: FunctionInfo | None,
        owner: ClassInfo | None,
        prefix: str,
        words: set[str] | None = None,
        unpacks: set[int] | None = None,
    ) -> None:
        self.function = function
        self.owner = owner
        self.prefix = prefix
        self.words: set[str] = set() if words is None else words
        self.unpacks: set[int] = set() if unpacks is None else unpacks
        self.nested: set[str] = set()
        self.globals: set[str] = set()
        self.nonlocals: set[str] = set()
        self.stored: set[str] = set()
        self.has_yield = False

    def without_owner(self) -> _Scope:
        if self.owner is None:
            return self
        other = _Scope(self.function, None, self.prefix, self.words, self.unpacks)
        other.nested = self.nested
        return other


def _children(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if value.__class__ is list:
            found += [each for each in value if isinstance(each, ast.AST)]
        elif isinstance(value, ast.AST) and value.__class__ not in _CONTEXTS:
            found.append(value)
    return found


_CONTEXTS = frozenset({ast.Load, ast.Store, ast.Del})
_UNPACKING = frozenset({ast.Assign, ast.For, ast.comprehension})


def _unpacks(node: ast.AST) -> Iterator[int]:
    """How many values a statement unpacks the result of a call, or the items of a loop, into."""
    match node:
        case ast.Assign(targets=[ast.Tuple(elts=elements)], value=ast.Call(func=function)):
            if isinstance(function, ast.Name) or _dotted(function).startswith("self."):
                yield len(elements)
        case ast.For(target=ast.Tuple(elts=elements)) | ast.comprehension(target=ast.Tuple(elts=elements)):
            yield len(elements)
            yield from (len(each.elts) for each in elements if isinstance(each, ast.Tuple))


def _record(node: ast.ClassDef) -> Record | None:
    """What a class holds, as far as its own statement says it all."""
    bases = {_dotted(base.value if isinstance(base, ast.Subscript) else base).rpartition(".")[2] for base in node.bases}
    is_dataclass = any(_dotted(each).rpartition(".")[2] == "dataclass" for each in node.decorator_list)
    kinds = [_RECORD_BASES[base] for base in bases if base in _RECORD_BASES]
    if bases - _RECORD_BASES.keys() - {"Generic", "object"} or not (kinds or is_dataclass):
        return None
    methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    kind = kinds[0] if kinds else "dataclass" if methods.isdisjoint({"__getitem__", "__iter__"}) else "both"
    names = [
        each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]
    return Record(kind, tuple(names)) if names else None


_RECORD_BASES = {"NamedTuple": "tuple", "TypedDict": "dict", "ModelOutput": "both"}


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
