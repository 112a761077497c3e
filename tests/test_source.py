"""Where nodes stand, held against Python's own parser, and what a source knows of its tree."""

from __future__ import annotations

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import libcst as cst
import pytest

from pipeline_lint.documents import open_document
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


@pytest.mark.parametrize("path", SAMPLE, ids=lambda path: path.name)
def test_nodes_of_the_standard_library_stand_where_python_says(path: Path) -> None:
    assert with_deep_stack(assert_stands_where_python_says, path.read_bytes()) > 0


PROGRAM = """\
# comment

@d(1)
# why
class A(B):

    def f(self, *, a=(1,
                      2)): return (self.x)  # what

x = 'é😀' + f('ü'); y = (  # c
    g(2)
)
if x: pass
elif y:
\tf(1)
else:
\tf(1)
s = '''
x = 1
'''
x = 1
x = \\
  -1 + z
async def h():
    async with a as b: await c
x = 1"""


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\n# last", "  # last\n", "\n    \n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_nodes_stand_where_python_says_whatever_ends_a_line(newline: str, end: str, mark: bytes) -> None:
    assert assert_stands_where_python_says(mark + (PROGRAM + end).replace("\n", newline).encode()) > 20


@pytest.mark.parametrize(
    "code",
    [
        "\x0cx = f(1)\n",
        "x = 1\n\x0c\nx = f(1)\n",
        "x = 1\n\x0cx = f(1)\nx = 1\n",
        "def f():\n    x = 1\n\x0c\n    g(1)\n",
        "x =\x0cf(1)\x0c\n\x0c",
        "class A:\n\x0c    def f(self): return g(1)\n",
        "if x:\n    y = f(1)\n    \\\n    z = g(2)\n",
        "\\\nx = f(1)\n",
        "x = f(1) \\\n\ny = g(2)\n",
        "x = 1\n\n  \n\r\n \t\r\ry = f(1)\r",
        "if x:\n\tf(1)\n\n\t# c\n\tg(1)\n",
    ],
)
def test_nodes_stand_where_python_says_among_odd_blanks(code: str) -> None:
    assert assert_stands_where_python_says(code.encode()) > 0


def test_a_statement_that_stands_twice_is_told_apart() -> None:
    code = "s = '''\nx = f(1)\n'''\nx = f(1)\nif a:\n    x = f(1)\nx = f(1)"
    source = source_of(code)
    assert [source.span(node)[0] for node in source.nodes(cst.Call)] == [25, 44, 53]


def test_parentheses_belong_to_the_node_and_comments_do_not() -> None:
    source = source_of("# a\nx = (  # b\n    f(1)  # c\n)  # d\n")
    assert source.code(source.nodes(cst.Call)[0]) == "(  # b\n    f(1)  # c\n)"
    assert source.code(source.nodes(cst.SimpleStatementLine)[0]) == "x = (  # b\n    f(1)  # c\n)"


def test_a_node_of_another_tree_has_no_place() -> None:
    source = source_of("x = f(1)\n")
    with pytest.raises(UnknownPosition):
        source.span(cst.Name("x"))
    assert source.place(cst.Name("x")).location.row == 1


def test_nodes_come_in_the_order_of_the_text() -> None:
    source = source_of("a = b(c, d[e])\nfor f in g: h = i\n")
    assert [node.value for node in source.nodes(cst.Name)] == list("abcdefghi")


def test_the_function_of_a_node_is_the_one_that_evaluates_it() -> None:
    source = source_of("@a\ndef f(b=c) -> d:\n    e\n    return lambda g=h: i\n")
    functions = {node.value: type(source.function_of(node)).__name__ for node in source.nodes(cst.Name)}
    assert functions == {
        **dict.fromkeys("afbcd", "NoneType"),
        **dict.fromkeys("egh", "FunctionDef"),
        "i": "Lambda",
    }


def test_the_statement_of_a_node_is_the_innermost_with_lines_of_its_own() -> None:
    source = source_of("if a:\n    b = c; d = e\nif f: g\n")
    statements = {}
    for node in source.nodes(cst.Name):
        statement = source.statement_of(node)
        statements[node.value] = None if statement is None else source.code(statement)
    assert statements["c"] == statements["e"] == "b = c; d = e"
    assert statements["a"] == "if a:\n    b = c; d = e"
    assert statements["g"] == "if f: g"


def test_a_fact_is_computed_once() -> None:
    source = source_of("x = 1\n")
    asked: list[Source] = []
    for _ in range(2):
        source.fact(asked.append)
    assert asked == [source]
