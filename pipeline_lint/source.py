"""One parsed file and what a rule may ask of it.

A file is parsed once by LibCST and walked once; everything else (positions, facts) is computed when first asked for.
Nodes are told apart by identity: LibCST hashes and compares them so, and `id` is four times faster than its hash.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import libcst as cst
from libcst._nodes.internal import CodegenState

from pipeline_lint.diagnostic import Place
from pipeline_lint.document import Document

Node = TypeVar("Node", bound=cst.CSTNode)
Fact = TypeVar("Fact")

_PUNCTUATION = frozenset(
    "leading_lines lines_after_decorators header footer trailing_whitespace lpar rpar semicolon comma colon equal dot "
    "lbracket rbracket lbrace rbrace indent newline operator asynchronous first_colon second_colon star_etc separator "
    "bar relative lines_after_module star end conversion".split()
)

_NOT_GIVEN_BACK = re.compile(r"\f|^[ \t]*\\\r?$", re.MULTILINE)
"""What LibCST may render otherwise than it was: form feeds, and backslashes alone on a line. A statement of such a file
cannot be looked up, because its rendered text may be found where another stands."""
_BLANK = re.compile(r"[\s\\]*")


class Source:
    """A file's syntax tree with its document."""

    def __init__(self, document: Document, module: cst.Module) -> None:
        self.document = document
        self.module = module
        self._facts: dict[object, Any] = {}
        self._positions: _Positions | None = None
        self._parents, self._by_kind = _walk(module)

    @property
    def path(self) -> str:
        return self.document.path

    @property
    def text(self) -> str:
        return self.document.text

    def close(self) -> None:
        """Drops what refers back to this source, so that its memory is free at once, without a garbage collection."""
        self._facts.clear()
        self._parents.clear()
        self._by_kind.clear()
        self._positions = None

    def nodes(self, *kinds: type[Node]) -> list[Node]:
        """All nodes of these kinds, in the order of the text (within one statement: nearly)."""
        if len(kinds) == 1:
            return self._by_kind.get(kinds[0], [])
        return [node for kind in kinds for node in self._by_kind.get(kind, [])]

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node that holds `node`; None for the module and for nodes that are not of this tree."""
        return self._parents.get(id(node))

    def ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """Parent, its parent, and so on up to the module."""
        parents = self._parents
        above = parents.get(id(node))
        while above is not None:
            yield above
            above = parents.get(id(above))

    def enclosing(self, node: cst.CSTNode, *kinds: type[Node]) -> Node | None:
        """The innermost ancestor of these kinds."""
        for above in self.ancestors(node):
            if isinstance(above, kinds):
                return above
        return None

    def function_of(self, node: cst.CSTNode) -> cst.FunctionDef | cst.Lambda | None:
        """The function whose body, when it runs, evaluates `node`.

        Decorators, defaults and annotations belong to the scope around the function.
        """
        below = node
        for above in self.ancestors(node):
            if isinstance(above, cst.FunctionDef | cst.Lambda) and below is above.body:
                return above
            below = above
        return None

    def statement_of(self, node: cst.CSTNode) -> cst.SimpleStatementLine | cst.BaseCompoundStatement | None:
        """The innermost statement that contains `node`."""
        for candidate in (node, *self.ancestors(node)):
            if isinstance(candidate, cst.SimpleStatementLine | cst.BaseCompoundStatement):
                return candidate
        return None

    def fact(self, kind: Callable[[Source], Fact]) -> Fact:
        """What `kind` finds out about this file, computed once: `source.fact(Names)`."""
        if kind not in self._facts:
            self._facts[kind] = kind(self)
        result: Fact = self._facts[kind]
        return result

    def code(self, node: cst.CSTNode) -> str:
        """The node as the file spells it, its own parentheses included, comments and spaces around it not."""
        start, end = self.span(node)
        return self.text[start:end]

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        """Offsets of the node's first character and of the one after its last, its own parentheses included.

        Raises `UnknownPosition` for a file that LibCST does not render back to its own text.
        """
        if self._positions is None:
            self._positions = _Positions(self)
        return self._positions.span(node)

    def place(self, node: cst.CSTNode) -> Place:
        """Where the node stands. A file whose positions are unknown gives its first row."""
        try:
            start, end = self.span(node)
        except UnknownPosition:
            return self.document.place(0, 0)
        last = self._last_continued_offset(node, start)
        return self.document.place(start, end, noqa_offset=last)

    def _last_continued_offset(self, node: cst.CSTNode, start: int) -> int:
        """Where the first row at or after `start` ends that can take a comment.

        A comment cannot follow a backslash, nor stand inside a string that goes on in the next row.
        """
        document = self.document
        row = document.row_of(start)
        if (
            not document.line(row).endswith("\\")
            and '"""' not in document.line(row)
            and "'''" not in document.line(row)
        ):
            return start
        statement = self.enclosing(node, cst.SimpleStatementLine)
        if statement is None:
            return start
        return max(start, self.span(statement)[1])


class UnknownPosition(Exception):
    """LibCST renders this file to other text than it was parsed from, so no offset can be trusted."""


class _Positions:
    """Offsets of nodes, from rendering only the top-level statements that are asked about.

    Rendering costs a third of parsing, and most files are never asked. A rendered statement is looked up in the text,
    which also proves that LibCST gives it back to the character; one that stands there twice has the whole module
    rendered instead.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._spans: dict[int, tuple[int, int]] = {}
        self._whole = False
        self._rendered: list[cst.CSTNode] = []

    def span(self, node: cst.CSTNode) -> tuple[int, int]:
        found = self._spans.get(id(node))
        if found is None:
            self._locate(node)
            found = self._spans.get(id(node))
        if found is None:
            raise UnknownPosition(self._source.path)
        return found

    def _locate(self, node: cst.CSTNode) -> None:
        if self._whole:
            return
        module = self._source.module
        top: cst.CSTNode = node
        for above in self._source.ancestors(node):
            if above is module:
                break
            top = above
        # Punctuation, and nodes of other trees, are in none that the walk knows.
        is_known = top is not node or self._source.parent(node) is module
        if not is_known or _NOT_GIVEN_BACK.search(self._source.text) or not self._record(top):
            self._whole = True
            self._record(module)

    def _record(self, root: cst.CSTNode) -> bool:
        """Renders `root` and notes where its nodes stand; False where its text is not to be found just once."""
        module = self._source.module
        state = _RecordingState(module.default_indent, module.default_newline)
        root._codegen(state)
        # Rendering makes nodes of its own; kept alive, so that no later node is taken for one of them by its identity.
        self._rendered += state.rendered
        rendered = "".join(state.tokens)
        text = self._source.text
        if self._lacks_newline(root):
            rendered = rendered.removesuffix(module.default_newline)
            base = len(text) - len(rendered) if text.endswith(rendered) else -1
        else:
            base = text.find(rendered)
            if root is not module and text.find(rendered, base + 1) >= 0:
                return False
        if base >= 0:
            ends = [*itertools.accumulate(map(len, state.tokens), initial=base)]
            starts = ends
        elif root is module:
            starts, ends = _align(state.tokens, text)
        else:
            return False
        last = len(starts) - 1
        for key, (start, end) in state.tokens_of.items():
            if end <= last:
                self._spans[key] = (starts[start], ends[end] if end > start else starts[start])
        return True

    def _lacks_newline(self, root: cst.CSTNode) -> bool:
        """Whether the file ends with this statement and without a newline, which rendering adds."""
        module = self._source.module
        return not module.has_trailing_newline and not module.footer and root is module.body[-1]


class _RecordingState(CodegenState):
    """Notes for each node the tokens it renders to, without the comments and indentation in front of statements."""

    def __init__(self, default_indent: str, default_newline: str) -> None:
        super().__init__(default_indent, default_newline)
        self.tokens_of: dict[int, tuple[int, int]] = {}
        self.rendered: list[cst.CSTNode] = []
        self._opened: list[int] = []

    def before_codegen(self, node: cst.CSTNode) -> None:
        self._opened.append(len(self.tokens))

    def after_codegen(self, node: cst.CSTNode) -> None:
        self.rendered.append(node)
        start = self._opened.pop()
        if isinstance(node, cst.BaseExpression) or id(node) not in self.tokens_of:
            self.tokens_of[id(node)] = (start, len(self.tokens))

    def record_syntactic_position(  # type: ignore[override] # any context manager does, and this one is cheaper
        self, node: cst.CSTNode, *, start_node: cst.CSTNode | None = None, end_node: cst.CSTNode | None = None
    ) -> _Recording:
        return _Recording(self, node, start_node, end_node)


class _Recording:
    """What `record_syntactic_position` enters: the node's tokens from here to the end of `end_node`."""

    __slots__ = ("_end_node", "_node", "_start", "_start_node", "_state")

    def __init__(
        self,
        state: _RecordingState,
        node: cst.CSTNode,
        start_node: cst.CSTNode | None,
        end_node: cst.CSTNode | None,
    ) -> None:
        self._state = state
        self._node = node
        self._start_node = start_node
        self._end_node = end_node
        self._start = 0

    def __enter__(self) -> None:
        self._start = len(self._state.tokens)

    def __exit__(self, *_: object) -> None:
        known = self._state.tokens_of
        start, end = self._start, len(self._state.tokens)
        if self._start_node is not None and id(self._start_node) in known:
            start = known[id(self._start_node)][0]
        if self._end_node is not None and id(self._end_node) in known:
            end = known[id(self._end_node)][1]
        known[id(self._node)] = (start, end)


def _align(tokens: list[str], text: str) -> tuple[list[int], list[int]]:
    """Where each token begins, and where the one before it ends, in a text that has other blanks between them.

    Shorter than the tokens where the text differs from them in more than blanks.
    """
    starts: list[int] = []
    ends = [0]
    position = 0
    for token in tokens:
        if not text.startswith(token, position):
            if _BLANK.fullmatch(token):
                starts.append(position)
                ends.append(position)
                continue
            blank = _BLANK.match(text, position)
            position = blank.end() if blank else position
            if not text.startswith(token, position):
                return starts, ends
        starts.append(position)
        position += len(token)
        ends.append(position)
    return [*starts, position], ends


def _walk(module: cst.Module) -> tuple[dict[int, cst.CSTNode], dict[type[Any], list[Any]]]:
    """Parents and nodes by kind, in one pass that passes over whitespace, punctuation and operators."""
    parents: dict[int, cst.CSTNode] = {}
    by_kind: dict[type[Any], list[Any]] = {}
    significant = _significant_fields()
    stack: list[cst.CSTNode] = [module]
    pop, push = stack.pop, stack.append
    while stack:
        node = pop()
        kind = node.__class__
        if kind in by_kind:
            by_kind[kind].append(node)
        else:
            by_kind[kind] = [node]
        for name in significant[kind]:
            value = getattr(node, name)
            if value is None:
                continue
            if value.__class__ is tuple or value.__class__ is list:
                for child in reversed(value):
                    parents[id(child)] = node
                    push(child)
            elif value.__class__ in significant:
                parents[id(value)] = node
                push(value)
    return parents, by_kind


@functools.cache
def _significant_fields() -> dict[type[Any], tuple[str, ...]]:
    """For each kind of node the fields that hold syntax, last first, because the walk takes them from a stack."""
    kinds = [kind for kind in vars(cst).values() if isinstance(kind, type) and issubclass(kind, cst.CSTNode)]
    whitespace = (cst.BaseParenthesizableWhitespace, cst.EmptyLine, cst.TrailingWhitespace, cst.Newline, cst.Comment)
    return {
        kind: tuple(
            field.name
            for field in reversed(dataclasses.fields(kind))
            if field.name not in _PUNCTUATION
            and field.type not in (str, bool)
            and not field.name.startswith("whitespace")
        )
        for kind in kinds
        if dataclasses.is_dataclass(kind) and not issubclass(kind, whitespace)
    }
