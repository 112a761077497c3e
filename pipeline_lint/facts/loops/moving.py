"""Moving a statement to another place of its function."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.diagnostic import Edit
from pipeline_lint.edits import insert_after, insert_before, remove_statement
from pipeline_lint.facts.loops.traces import Loop
from pipeline_lint.source import Source


def moved_before(source: Source, node: cst.CSTNode, target: cst.CSTNode) -> tuple[Edit, ...] | None:
    """The edits that take the statement of `node` to the place before that of `target`, in the same block."""
    line, other = _line(source, node), source.statement_of(target)
    if line is None or other is None or source.parent(line) is not source.parent(other):
        return None
    return remove_statement(source, line.body[0]), insert_before(source, other, source.code(line.body[0]))


def moved_behind(source: Source, node: cst.CSTNode, target: cst.CSTNode) -> tuple[Edit, ...] | None:
    """The edits that take the statement of `node` behind that of `target`, into the block of the latter."""
    line, other = _line(source, node), _line(source, target)
    if line is None or other is None or line is other:
        return None
    return remove_statement(source, line.body[0]), insert_after(source, other, source.code(line.body[0]))


def moved_to_end(source: Source, node: cst.CSTNode, loop: Loop) -> tuple[Edit, ...] | None:
    """The edits that take a statement of a loop's own block to the block's end; None where a round may end before."""
    line = _line(source, node)
    if line is None or not isinstance(loop.body, cst.IndentedBlock) or source.parent(line) is not loop.body:
        return None
    body = loop.body.body
    index = next(i for i, each in enumerate(body) if each is line)
    rest = body[index + 1 :]
    if not rest or any(_leaves_round(each) for each in rest):
        return None
    last = rest[-1]
    code = source.code(line.body[0])
    if isinstance(last, cst.SimpleStatementLine):
        return remove_statement(source, line.body[0]), insert_after(source, last, code)
    _, end = source.span(_last_line(last))
    start, _ = source.span(body[0])
    text = source.text
    stop = min([position for mark in "\r\n" if (position := text.find(mark, end)) >= 0], default=len(text))
    first = source.document.line_starts[source.document.row_of(start) - 1]
    added = source.module.default_newline + text[first:start] + code
    return remove_statement(source, line.body[0]), source.document.edit(stop, stop, added)


def _line(source: Source, node: cst.CSTNode) -> cst.SimpleStatementLine | None:
    """The line that holds nothing but the statement of a node."""
    line = source.statement_of(node)
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return None
    return line if isinstance(line.body[0], cst.Expr) and line.body[0].value is node else None


def _last_line(statement: cst.CSTNode) -> cst.CSTNode:
    """The last statement inside of a compound one."""
    while True:
        match statement:
            case cst.If(orelse=None, body=cst.IndentedBlock(body=body)) if body:
                statement = body[-1]
            case cst.If(orelse=orelse) if orelse is not None:
                statement = orelse
            case cst.For(orelse=None, body=cst.IndentedBlock(body=body)) if body:
                statement = body[-1]
            case cst.While(orelse=None, body=cst.IndentedBlock(body=body)) if body:
                statement = body[-1]
            case cst.Else(body=cst.IndentedBlock(body=body)) | cst.With(body=cst.IndentedBlock(body=body)) if body:
                statement = body[-1]
            case _:
                return statement


def _leaves_round(node: cst.CSTNode) -> bool:
    """Whether a statement may end the round of the loop around it."""
    match node:
        case cst.Continue() | cst.Break() | cst.Return() | cst.Yield():
            return True
        case cst.FunctionDef() | cst.ClassDef() | cst.Lambda():
            return False
        case cst.For() | cst.While():
            return any(isinstance(each, cst.Return) for each in _all(node))
    return any(_leaves_round(child) for child in node.children)


def _all(node: cst.CSTNode) -> list[cst.CSTNode]:
    found = [node]
    for child in node.children:
        found += _all(child)
    return found
