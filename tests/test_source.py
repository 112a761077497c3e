"""Where nodes stand, held against Python's own parser, and what a source knows of its tree."""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import libcst as cst
import pytest

from pipeline_lint.document import open_document
from pipeline_lint.parsing import parse, with_deep_stack
from pipeline_lint.source import Source, UnknownPosition

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))

COUNTERPARTS: dict[type[ast.AST], tuple[type[cst.CSTNode], ...]] = {
    ast.Call: (cst.Call,),
    ast.Attribute: (cst.Attribute,),
    ast.Subscript: (cst.Subscript,),
    ast.BinOp: (cst.BinaryOperation,),
    ast.UnaryOp: (cst.UnaryOperation,),
    ast.Compare: (cst.Comparison,),
    ast.Lambda: (cst.Lambda,),
    ast.IfExp: (cst.IfExp,),
    ast.List: (cst.List,),
    ast.Dict: (cst.Dict,),
    ast.Set: (cst.Set,),
    ast.ListComp: (cst.ListComp,),
    ast.DictComp: (cst.DictComp,),
    ast.Await: (cst.Await,),
    ast.Yield: (cst.Yield,),
    ast.YieldFrom: (cst.Yield,),
    ast.NamedExpr: (cst.NamedExpr,),
    ast.FunctionDef: (cst.FunctionDef,),
    ast.AsyncFunctionDef: (cst.FunctionDef,),
    ast.ClassDef: (cst.ClassDef,),
    ast.If: (cst.If,),
    ast.For: (cst.For,),
    ast.While: (cst.While,),
    ast.With: (cst.With,),
    ast.AsyncWith: (cst.With,),
    ast.AsyncFor: (cst.For,),
    ast.Try: (cst.Try,),
    ast.Assign: (cst.Assign,),
    ast.AugAssign: (cst.AugAssign,),
    ast.Return: (cst.Return,),
    ast.Raise: (cst.Raise,),
    ast.Import: (cst.Import,),
    ast.ImportFrom: (cst.ImportFrom,),
    ast.Pass: (cst.Pass,),
    ast.Delete: (cst.Del,),
    ast.Assert: (cst.Assert,),
}
PARENTHESES = re.compile(r"\((?:\s|#[^\n\r]*|\\\r?\n)*")

Stretch = tuple[str, int, int]


def source_of(code: str | bytes) -> Source:
    return parse(open_document("x.py", code if isinstance(code, bytes) else code.encode()))


def stretches_of_ast(text: str, line_starts: list[int]) -> Iterator[Stretch]:
    """Where Python says that nodes stand; not what is in f-strings, where old versions are wrong."""
    lines = [text[start:end].encode() for start, end in zip(line_starts, [*line_starts[1:], len(text)], strict=True)]

    def offset(row: int, column: int) -> int:
        return line_starts[row - 1] + len(lines[row - 1][:column].decode())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        kinds = COUNTERPARTS.get(type(node))
        # An `elif` and the targets of `del a, b` are nodes of their own in one of the two trees only.
        if kinds and isinstance(node, (ast.expr, ast.stmt)):
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            end = offset(node.end_lineno, node.end_col_offset)
            yield kinds[0].__name__, offset(node.lineno, node.col_offset), end
        waiting += [child for child in ast.iter_child_nodes(node) if not isinstance(node, ast.JoinedStr)]


def stretches_of_source(source: Source) -> Iterator[Stretch]:
    for kind in {kind for kinds in COUNTERPARTS.values() for kind in kinds}:
        for node in source.nodes(kind):
            if source.enclosing(node, cst.FormattedString, cst.Import, cst.ImportFrom):
                continue
            start, end = source.span(node)
            parentheses = node.lpar if isinstance(node, cst.BaseExpression) else ()
            for _ in parentheses:
                parenthesis = PARENTHESES.match(source.text, start)
                assert parenthesis is not None
                assert source.text[end - 1] == ")"
                start = parenthesis.end()
                # Comments can stand in front of the closing parenthesis, so the end is left at it.
            yield kind.__name__, start, -1 if parentheses else end


def assert_stands_where_python_says(code: bytes) -> int:
    source = source_of(code)
    try:
        ours = set(stretches_of_source(source))
    except UnknownPosition:
        return 0
    theirs = set(stretches_of_ast(source.text, source.document.line_starts))
    starts = {(kind, start) for kind, start, _ in theirs}
    wrong = {(kind, start, end) for kind, start, end in ours if end == -1 and (kind, start) not in starts}
    wrong |= {stretch for stretch in ours if stretch[2] != -1} - theirs
    assert not wrong, [(kind, source.text[start:end][:80]) for kind, start, end in sorted(wrong)][:5]
    starts_of_ours = {(kind, start) for kind, start, _ in ours}
    missing = {stretch for stretch in theirs if stretch[:2] not in starts_of_ours}
    assert not missing, [(kind, source.text[start:end][:80]) for kind, start, end in sorted(missing)][:5]
    return len(ours)


SAMPLE = sorted(path for path in STANDARD_LIBRARY.glob("*.py") if 4_000 < path.stat().st_size < 60_000)[::6]
