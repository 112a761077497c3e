"""What a condition says of the variables in its branches: `isinstance`, `is None`."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from pipeline_lint.refactor.program import dotted
from pipeline_lint.refactor.tokens import NOTHING, Box, Instance, Token

if TYPE_CHECKING:
    from pipeline_lint.refactor.evaluation import Evaluation

SEQUENCES = frozenset({"tuple", "list", "Tuple", "List"})
_MAPPINGS = frozenset({"dict", "Dict", "Mapping", "OrderedDict"})
_TENSORS = frozenset({"Tensor", "Variable", "ndarray", "str", "int", "float"})


def assume(evaluation: Evaluation, test: ast.expr, *, holds: bool) -> None:
    """Takes away what the variables cannot be where the test holds, or where it does not."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            assume(evaluation, operand, holds=not holds)
        case ast.BoolOp(op=ast.And(), values=values) if holds:
            for each in values:
                assume(evaluation, each, holds=True)
        case ast.BoolOp(op=ast.Or(), values=values) if not holds:
            for each in values:
                assume(evaluation, each, holds=False)
        case ast.Compare(left=ast.Name(id=name), ops=[ast.Is() | ast.IsNot() as op], comparators=[ast.Constant(None)]):
            if isinstance(op, ast.IsNot) == holds:
                _keep(evaluation, name, {NOTHING}, keeps=False)
        case ast.Name(id=name) if holds:
            _keep(evaluation, name, {NOTHING}, keeps=False)
        case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=name), classes]):
            _assume_class(evaluation, name, class_names(classes), holds=holds)


def class_names(node: ast.expr) -> frozenset[str]:
    """The last parts of the names of classes in the second argument of `isinstance`."""
    each = node.elts if isinstance(node, ast.Tuple) else [node]
    return frozenset(dotted(name).rpartition(".")[2] for name in each)


def _assume_class(evaluation: Evaluation, name: str, classes: frozenset[str], *, holds: bool) -> None:
    if evaluation.variables is None or name not in evaluation.variables:
        return
    value = evaluation.variables[name]
    matching = {token for token in value if _is_of(token, classes)}
    others = {token for token in value if _is_not_of(token, classes)}
    evaluation.variables[name] = value - (others if holds else matching)


def _is_of(token: Token, classes: frozenset[str]) -> bool:
    """Whether the token surely is an instance of one of the classes."""
    if isinstance(token, Box):
        kinds = {"tuple": {"tuple", "Tuple", "Sequence"}, "list": {"list", "List", "Sequence"}, "dict": _MAPPINGS}
        return not classes.isdisjoint(kinds.get(token.kind, set()))
    return isinstance(token, Instance) and token.info.name in classes


def _is_not_of(token: Token, classes: frozenset[str]) -> bool:
    """Whether the token surely is no instance of any of the classes."""
    known = SEQUENCES | _MAPPINGS | _TENSORS | {"Sequence"}
    if isinstance(token, Box):
        return classes <= known and not _is_of(token, classes)
    if isinstance(token, Instance):
        return classes <= known
    return token is NOTHING and classes.isdisjoint({"int", "float", "NoneType", "object"})


def _keep(evaluation: Evaluation, name: str, tokens: set[Token], *, keeps: bool) -> None:
    variables = evaluation.variables
    if variables is not None and name in variables:
        variables[name] = variables[name] & tokens if keeps else variables[name] - tokens


OTHER_CONTAINERS = _MAPPINGS | {"Sequence", "Iterable", "Collection", "Sized", "object"}
"""Classes of which a dict may be an instance where a tuple is not, or the other way round."""
