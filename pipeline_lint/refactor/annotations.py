"""What annotations and docstrings say of a result that becomes a dict."""

from __future__ import annotations

import ast
import re

from pipeline_lint.refactor.program import FunctionInfo, ModuleCode, dotted
from pipeline_lint.refactor.rewriting import Rewriting, end_of_line, newline_of

_RETURNS = re.compile(r"^(?P<indent>[ \t]*)(?:Returns|Return|Yields)[ \t]*:[ \t]*\r?$", re.MULTILINE)
_FIELD = re.compile(r"^[ \t]*:returns?:[ \t]*", re.MULTILINE)
_LEADING_TYPE = re.compile(
    r"(?:[Aa] )?(?:[Tt]uple|[Ll]ist)(?:\[[^\n:]*\])?(?:: | of | with |:\s*$|\b(?=\s*\())", re.MULTILINE
)


def update_annotation(rewriting: Rewriting, function: FunctionInfo, named: str | None = None) -> None:
    """Makes a tuple's annotation one of a dict; `named` is the class that takes its place."""
    node, code = function.node, function.code
    if isinstance(node, ast.Lambda) or node.returns is None:
        return
    annotation = node.returns
    inner, wrapper = annotation, ""
    if isinstance(annotation, ast.Subscript) and dotted(annotation.value).rpartition(".")[2] in (
        "Iterator",
        "Generator",
        "Iterable",
    ):
        inner = annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation.slice
    name = dotted(inner.value if isinstance(inner, ast.Subscript) else inner)
    kind = name.rpartition(".")[2]
    if kind.lower() not in ("tuple", "list"):
        return
    del wrapper
    if named is not None:
        rewriting.replace_node(code, inner, named)
        return
    rewriting.replace_node(code, inner, _dict_annotation(rewriting, code, inner, name))


def _dict_annotation(rewriting: Rewriting, code: ModuleCode, node: ast.expr, name: str) -> str:
    prefix, _, kind = name.rpartition(".")
    is_typing = kind[0].isupper()
    written = (f"{prefix}." if prefix else "") + ("Dict" if is_typing else "dict")
    if is_typing and not prefix:
        _import_dict(rewriting, code)
    if not isinstance(node, ast.Subscript):
        return written
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    types = list(dict.fromkeys(code.source(part) for part in parts if not isinstance(part, ast.Constant)))
    return f"{written}[str, {types[0]}]" if len(types) == 1 else written


def _import_dict(rewriting: Rewriting, code: ModuleCode) -> None:
    """Adds `Dict` to the import that brings `Tuple`."""
    for statement in code.tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "typing":
            names = {each.name for each in statement.names}
            if "Dict" in names:
                return
            later = [each for each in statement.names if each.name > "Dict"]
            if later:
                rewriting.insert(code, code.span(later[0])[0], "Dict, ")
            else:
                rewriting.insert(code, code.span(statement.names[-1])[1], ", Dict")
            return


def update_docstring(rewriting: Rewriting, function: FunctionInfo, names: tuple[str, ...]) -> None:
    """Says in the docstring's section on results that it is a dict, and what its keys are."""
    node, code = function.node, function.code
    if isinstance(node, ast.Lambda) or not node.body:
        return
    match node.body[0]:
        case ast.Expr(value=ast.Constant(value=str())) as statement:
            start, end = code.span(statement)
        case _:
            return
    text = code.text[start:end]
    keys = [f"`{name}`" for name in names]
    sentence = f"A dict with {', '.join(keys[:-1])} and {keys[-1]}."
    if sentence in text:
        return
    section = _RETURNS.search(text)
    if section is not None:
        body = re.compile(r"[ \t]*(?=\S)").match(text, min(section.end() + 1, len(text)))
        position = body.end() if body is not None else section.end()
        leading = _LEADING_TYPE.match(text, position)
        if leading is not None:
            rewriting.replace(
                code,
                start + position,
                start + leading.end(),
                f"{sentence[:-1]}: ".rstrip() + (" " if leading[0].endswith(" ") else ""),
            )
        else:
            indent = text[section.end() + 1 : position] or section["indent"] + "    "
            rewriting.insert(code, start + position, sentence + newline_of(code) + indent)
        return
    field = _FIELD.search(text)
    if field is not None:
        leading = _LEADING_TYPE.match(text, field.end())
        stop = leading.end() if leading is not None else field.end()
        before = "" if text[field.end() - 1].isspace() else " "
        is_last = text[stop : end_of_line(text, stop)].strip() == ""
        written = sentence if is_last else f"{sentence} " if leading is None else f"{sentence[:-1]}: "
        rewriting.replace(code, start + field.end(), start + stop, before + written)


def docstring_of(function: FunctionInfo) -> str | None:
    """The docstring of a function; None for one without, and for a lambda."""
    return None if isinstance(function.node, ast.Lambda) else ast.get_docstring(function.node)
