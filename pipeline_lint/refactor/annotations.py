"""What annotations and docstrings say of a result that becomes a dict."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable

from pipeline_lint.refactor.program import FunctionInfo, ModuleCode, dotted
from pipeline_lint.refactor.rewriting import Rewriting, end_of_line, newline_of

_RETURNS = re.compile(r"^(?P<indent>[ \t]*)(?:Returns|Return|Yields)[ \t]*:[ \t]*\r?$", re.MULTILINE)
_FIELD = re.compile(r"^[ \t]*:returns?:[ \t]*", re.MULTILINE)
_LEADING_TYPE = re.compile(
    r"(?:[Aa] )?(?:[Tt]uple|[Ll]ist)(?:\[[^\n:]*\])?(?:: | of | with |:\s*$|\b(?=\s*\())", re.MULTILINE
)


def has_positional_annotation(function: FunctionInfo) -> bool:
    """Whether the function says that it returns, or yields, a tuple or list."""
    return _positional_part(function) is not None


def update_annotation(
    rewriting: Rewriting,
    function: FunctionInfo,
    named: Callable[[ModuleCode], str] | None = None,
    *,
    adds: bool = False,
) -> None:
    """Makes a tuple's annotation one of a dict, or of the class that `named` writes.

    With `adds` a function without an annotation gets that of the class.
    """
    node, code = function.node, function.code
    if isinstance(node, ast.Lambda):
        return
    inner = _positional_part(function)
    if inner is None:
        if adds and named is not None and node.returns is None and not function.is_generator:
            rewriting.insert(code, _end_of_parameters(code, node), f" -> {named(code)}")
    elif isinstance(inner, ast.Constant):
        rewriting.replace_node(code, inner, f'"{named(code) if named is not None else "dict"}"')
    elif named is not None:
        rewriting.replace_node(code, inner, named(code))
    else:
        name = dotted(inner.value if isinstance(inner, ast.Subscript) else inner)
        rewriting.replace_node(code, inner, _dict_annotation(rewriting, code, inner, name))


def _positional_part(function: FunctionInfo) -> ast.expr | None:
    """The part of an annotation that speaks of the tuple: of an iterator, or a list of samples, that of an item."""
    node = function.node
    if isinstance(node, ast.Lambda) or node.returns is None:
        return None
    part = node.returns
    holders = _ITERATORS if not function.name.endswith("__getitems__") else (*_ITERATORS, "list", "List", "Sequence")
    if isinstance(part, ast.Subscript) and dotted(part.value).rpartition(".")[2] in holders:
        part = part.slice.elts[0] if isinstance(part.slice, ast.Tuple) else part.slice
    if isinstance(part, ast.Constant):
        return part if isinstance(part.value, str) and _POSITIONAL_TEXT.match(part.value) else None
    name = dotted(part.value if isinstance(part, ast.Subscript) else part)
    return part if name.rpartition(".")[2].lower() in ("tuple", "list") else None


_ITERATORS = ("Iterator", "Generator", "Iterable")
_POSITIONAL_TEXT = re.compile(r"(?:[\w.]+\.)?(?:[Tt]uple|[Ll]ist)\b")


def _end_of_parameters(code: ModuleCode, node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The offset behind the parenthesis that closes the parameters."""
    start, end = code.span(node)
    text, depth = code.text[start:end], 0
    line_starts = [0, *(match.end() for match in re.finditer(r"\r\n?|\n", text))]
    for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
        if token.type == tokenize.OP and token.string in "([{":
            depth += 1
        elif token.type == tokenize.OP and token.string in ")]}":
            depth -= 1
            if depth == 0 and token.string == ")":
                return start + line_starts[token.end[0] - 1] + token.end[1]
    raise AssertionError(f"{code.path}:{node.lineno} defines a function without parameters")


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


def update_docstring(rewriting: Rewriting, function: FunctionInfo, names: tuple[str, ...], what: str = "dict") -> None:
    """Says in the docstring's section on results that it is a dict or what else, and what its keys are."""
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
    article = "An" if what.strip("`")[:1] in "AEIOU" else "A"
    sentence = f"{article} {what} with {', '.join(keys[:-1])} and {keys[-1]}."
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
