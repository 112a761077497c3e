"""Edits of statements: what they leave alone, and that the file stays Python."""

from __future__ import annotations

from collections.abc import Callable

import libcst as cst
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lint.diagnostic import Edit
from pipeline_lint.documents import open_document
from pipeline_lint.edits import insert_after, insert_before, remove_statement, replace
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source


def source_of(code: str) -> Source:
    return parse(open_document("x.py", code.encode()))


def applied(source: Source, edit: Edit) -> str:
    return source.document.splice([edit]).decode()


def statement_with(source: Source, word: str) -> cst.CSTNode:
    node = next(node for node in source.nodes(cst.Name) if node.value == word)
    statement = source.statement_of(node)
    assert statement is not None
    return statement


def small_statement_with(source: Source, word: str) -> cst.BaseSmallStatement:
    node = next(node for node in source.nodes(cst.Name) if node.value == word)
    found = source.enclosing(node, cst.BaseSmallStatement)  # type: ignore[type-abstract]
    assert found is not None
    return found


def replaced(code: str, kind: type[cst.BaseExpression], new: str) -> str:
    source = source_of(code)
    return applied(source, replace(source, source.nodes(kind)[0], new))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("y = f(1)  # why\n", "y = g  # why\n"),
        ("y = (  # why\n    f(1)\n)\n", "y = g\n"),
        ("return(f(1))\n", "return g\n"),
        ("x = a if(f(1))else(b)\n", "x = a if g else(b)\n"),
        ("x = 1+f(1)\n", "x = 1+g\n"),
    ],
)
def test_a_node_is_replaced_with_its_parentheses(before: str, after: str) -> None:
    assert replaced(before, cst.Call, "g") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1\nx = 2\n", "a = 1\nnew\nx = 2\n"),
        ("if a:\n\t# why\n\tx = 2  # what\n", "if a:\n\t# why\n\tnew\n\tx = 2  # what\n"),
        ("a = 1\n\n# why\n@d(1)\n@e\ndef x(): pass\n", "a = 1\n\n# why\nnew\n@d(1)\n@e\ndef x(): pass\n"),
        ("if a:\n  b\nelif c:\n  d\nelif x:\n  e\n", "new\nif a:\n  b\nelif c:\n  d\nelif x:\n  e\n"),
        ("if a:\n  b\nelse:\n  if x:\n    c\n", "if a:\n  b\nelse:\n  new\n  if x:\n    c\n"),
        ("if a: b; x\n", "new\nif a: b; x\n"),
        ("a = 1\r\nx = 2", "a = 1\r\nnew\r\nx = 2"),
        ("a = 1\rx = 2\r", "a = 1\rnew\rx = 2\r"),
    ],
)
def test_lines_are_added_before_a_statement(before: str, after: str) -> None:
    source = source_of(before)
    assert applied(source, insert_before(source, statement_with(source, "x"), "new")) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 2\n", "x = 2\nnew\n"),
        ("x = 2", "x = 2\nnew"),
        ("if a:\n    x = 2; b  # what\nc\n", "if a:\n    x = 2; b  # what\n    new\nc\n"),
        ("for x in a:\n  b\nelse:\n  c  # d\n", "for x in a:\n  b\nelse:\n  c  # d\nnew\n"),
        ("if x: b; c\n", "if x: b; c\nnew\n"),
        ("x = '''\n  a\n'''\nb\n", "x = '''\n  a\n'''\nnew\nb\n"),
        ("x = (1,\n     2)\r\nb\r\n", "x = (1,\n     2)\nnew\r\nb\r\n"),
        ("@d\ndef x():\n    pass\n\n\nb\n", "@d\ndef x():\n    pass\nnew\n\n\nb\n"),
    ],
)
def test_lines_are_added_after_a_statement(before: str, after: str) -> None:
    source = source_of(before)
    assert applied(source, insert_after(source, statement_with(source, "x"), "new")) == after


def test_added_lines_are_indented_and_empty_ones_stay_empty() -> None:
    source = source_of("if a:\r\n    x = 1\r\n")
    new = applied(source, insert_after(source, statement_with(source, "x"), "if b:\n    c\n\nd"))
    assert new == "if a:\r\n    x = 1\r\n    if b:\r\n        c\r\n\r\n    d\r\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nx  # why\nb\n", "a\nb\n"),
        ("a\nx", "a"),
        ("a\r\nx", "a"),
        ("x", ""),
        ("a\r\nx\r\nb\r\n", "a\r\nb\r\n"),
        ("a\rx\rb\r", "a\rb\r"),
        ("if a:\n    x  # why\nb\n", "if a:\n    pass  # why\nb\n"),
        ("if a:\n    b\n    x\n", "if a:\n    b\n"),
        ("if a: x\n", "if a: pass\n"),
        ("if a: x; b\n", "if a: b\n"),
        ("if a: b; x;\n", "if a: b;\n"),
        ("x; a; b\n", "a; b\n"),
        ("a; x; b\n", "a; b\n"),
        ("a; b; x  # why\n", "a; b  # why\n"),
        ("x;\nb\n", "b\n"),
        ("if a:\n    b\nelse:\n    x\n", "if a:\n    b\nelse:\n    pass\n"),
        ("# why\nx = '''\n b'''\nc\n", "# why\nc\n"),
        ("class A:\n    a = x\n    b = 1\n", "class A:\n    b = 1\n"),
    ],
)
def test_a_statement_is_removed(before: str, after: str) -> None:
    source = source_of(before)
    assert applied(source, remove_statement(source, small_statement_with(source, "x"))) == after


def test_only_small_statements_can_be_removed() -> None:
    source = source_of("if a:\n    b\n")
    with pytest.raises(ValueError, match="If is no small statement"):
        remove_statement(source, source.nodes(cst.If)[0])  # type: ignore[arg-type]


SIMPLE = st.sampled_from(
    ["a = 1", "f(b)", "c = (1,\n      2)", "s = '''\n  t\n'''", "d += 1", "return", "pass", "e: int = 3"]
)
COMMENT = st.sampled_from(["", "", "  # why", " #x"])
HEADERS = (
    "if a:",
    "for i in f(x):",
    "while b:",
    "with c as d:",
    "@dec(1)\n@other\ndef g(h, i=1):",
    "class K(L):",
    "async def m():",
)


def indented(lines: str, indent: str) -> str:
    """The statement's lines indented, those inside strings and brackets too, which may stand anywhere."""
    return "\n".join(indent + line if line else line for line in lines.split("\n"))


@st.composite
def statements(draw: st.DrawFn, depth: int = 0) -> str:
    kind = draw(st.integers(0, 6 if depth < 3 else 2))
    if kind <= 2:
        joined = "; ".join(draw(st.lists(SIMPLE, min_size=1, max_size=3)))
        return joined + draw(st.sampled_from(["", "", ";"])) + draw(COMMENT)
    header = draw(st.sampled_from(HEADERS))
    if kind == 3:
        return f"{header} {'; '.join(draw(st.lists(SIMPLE, min_size=1, max_size=3)))}{draw(COMMENT)}"
    text = header + draw(COMMENT) + "\n" + draw(blocks(depth=depth + 1))
    if header.startswith("if") and draw(st.booleans()):
        text += f"\nelif c:{draw(COMMENT)}\n" + draw(blocks(depth=depth + 1))
    if header.startswith(("if", "for", "while")) and draw(st.booleans()):
        text += "\nelse:\n" + draw(blocks(depth=depth + 1))
    return text


@st.composite
def blocks(draw: st.DrawFn, depth: int = 0) -> str:
    parts = draw(st.lists(statements(depth=depth), min_size=1, max_size=3))
    between = draw(st.sampled_from(["\n", "\n", "\n\n", "\n# between\n"]))
    indent = draw(st.sampled_from(["    ", "\t", "  "])) if depth else ""
    return indented(between.join(parts), indent)


@st.composite
def programs(draw: st.DrawFn) -> str:
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    return (draw(blocks()) + draw(st.sampled_from(["", "\n"]))).replace("\n", newline)


def statements_of(source: Source) -> list[cst.CSTNode]:
    return [node for kind in source._by_kind for node in source.nodes(kind) if source.statement_of(node) is node]


def small_statements_of(source: Source) -> list[cst.BaseSmallStatement]:
    return [node for kind in source._by_kind for node in source.nodes(kind) if isinstance(node, cst.BaseSmallStatement)]


def dump(module: cst.Module) -> list[str]:
    """The code of all small statements, in order."""
    return [module.code_for_node(node).split("#")[0].strip().rstrip(";").rstrip() for node in _small_statements(module)]


def _small_statements(node: cst.CSTNode) -> list[cst.CSTNode]:
    if isinstance(node, cst.BaseSmallStatement):
        return [node]
    return [found for child in node.children for found in _small_statements(child)]


def assert_only_the_edit_changed(source: Source, edit: Edit, new: str) -> None:
    text = source.text
    assert new == text[: edit.start] + edit.text + text[edit.end :]


@settings(deadline=None)
@given(programs(), st.data())
def test_a_removed_statement_is_gone_and_nothing_else(program: str, data: st.DataObject) -> None:
    source = source_of(program)
    small = small_statements_of(source)
    statement = data.draw(st.sampled_from(small))
    before = dump(source.module)
    index = next(i for i, node in enumerate(_small_statements(source.module)) if node is statement)
    edit = remove_statement(source, statement)
    new = applied(source, edit)
    assert_only_the_edit_changed(source, edit, new)
    after = dump(source_of(new).module)
    assert after in (before[:index] + before[index + 1 :], [*before[:index], "pass", *before[index + 1 :]])
    assert len(after) < len(before) or edit.text == "pass"


@settings(deadline=None)
@given(programs(), st.data(), st.sampled_from([insert_before, insert_after]))
def test_added_lines_are_added_and_nothing_else(
    program: str, data: st.DataObject, insert: Callable[[Source, cst.CSTNode, str], Edit]
) -> None:
    source = source_of(program)
    statement = data.draw(st.sampled_from(statements_of(source)))
    edit = insert(source, statement, "new_1\nif new_2:\n    new_3")
    new = applied(source, edit)
    assert edit.start == edit.end
    assert_only_the_edit_changed(source, edit, new)
    before, after = dump(source.module), dump(source_of(new).module)
    assert [statement for statement in after if not statement.startswith("new_")] == before
    assert len(after) == len(before) + 2


@settings(deadline=None)
@given(programs(), st.data())
def test_a_replaced_expression_stands_where_the_old_one_stood(program: str, data: st.DataObject) -> None:
    source = source_of(program)
    nodes = [*source.nodes(cst.Call), *source.nodes(cst.Integer), *source.nodes(cst.Tuple)]
    if not nodes:
        return
    node = data.draw(st.sampled_from(nodes))
    edit = replace(source, node, "new")
    new = applied(source, edit)
    assert_only_the_edit_changed(source, edit, new)
    # LibCST does not give a carriage return at the end of a file back.
    assert source.module.deep_replace(node, cst.Name("new")).code.rstrip("\r") == new.rstrip("\r")
