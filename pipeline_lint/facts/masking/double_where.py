"""Code that keeps an operand out of the elements that are thrown away later: `log(where(x > 0, x, 1))`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from pipeline_lint.diagnostic import Edit
from pipeline_lint.edits import replace
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.inlining import argument_code
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.guarding import is_repeatable, receiver_code
from pipeline_lint.facts.masking.exclusions import Exclusion
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.source import Source

_SAFE_OPERANDS = {
    **dict.fromkeys(("log", "log2", "log10", "sqrt", "rsqrt", "pow", "float_power", "div", "reciprocal", "xlogy"), "1"),
    **dict.fromkeys(("acos", "asin", "atanh", "erfinv", "exp", "exp2", "expm1", "log1p", "sinh", "cosh", "tan"), "0"),
    "acosh": "2",
    "logit": "0.5",
}
"""By operation, what it can be given without harm."""
_OF_ONE_TENSOR = frozenset(_SAFE_OPERANDS) - {"div", "pow", "float_power", "xlogy"}
_ELEMENTWISE_NAMES = """
abs acos add asin atan atan2 clamp clamp_max clamp_min cos div double exp expm1 float half log log10 log1p log2
masked_fill mul neg pow reciprocal relu rsqrt sigmoid sin softplus sqrt square sub tanh to where
"""
_ELEMENTWISE = frozenset(_ELEMENTWISE_NAMES.split())
_PURE_METHOD_NAMES = "abs all any bool detach dim eq float ge gt isfinite isinf isnan le lt ne size unsqueeze"
_PURE_METHODS = frozenset(_PURE_METHOD_NAMES.split())
_CASTS = frozenset({"float", "double", "half", "to", "type", "type_as", "int", "long"})


class Guard(NamedTuple):
    """What says which elements are kept."""

    condition: cst.BaseExpression
    keeps: bool
    """Whether they are kept where it is true."""
    branch: cst.BaseExpression
    """The expression whose elements are thrown away."""


class Guarded(NamedTuple):
    """An operation that meets only what is kept."""

    code: str
    edits: tuple[Edit, ...]


def guard_of(source: Source, site: Site, exclusion: Exclusion) -> Guard | None:
    """The condition of an exclusion; None where it does not stand by the operation, or by a name for its result."""
    for condition, keeps, branch in _candidates(source, exclusion):
        expression = _expression_of(source, site, branch)
        if expression is None:
            continue
        if expression is not branch and not _is_known_at(source, condition, site.node):
            return None
        return Guard(condition, keeps, expression)
    return None


def _candidates(source: Source, exclusion: Exclusion) -> Iterator[Guard]:
    """The expressions that something throws elements away from."""
    node = exclusion.node
    match node:
        case cst.BinaryOperation(left=left, right=right) if exclusion.kind == "multiply":
            for branch, mask in ((left, right), (right, left)):
                condition = _without_cast(mask)
                if isinstance(condition, cst.Comparison):
                    yield Guard(condition, True, branch)
            return
        case cst.Subscript(value=branch, slice=[cst.SubscriptElement(slice=cst.Index(value=condition))]):
            yield Guard(condition, True, branch)
            return
    operation = source.fact(Calls).operation(node)
    if operation is None or operation.is_inplace or "out" in operation.operands or operation.input is None:
        return
    if operation.name == "masked_fill":
        yield Guard(operation.operands["mask"], False, operation.input)
    elif operation.name == "where" and "other" in operation.operands:
        condition = operation.operands["condition"]
        yield Guard(condition, True, operation.input)
        yield Guard(condition, False, operation.operands["other"])


def _expression_of(source: Source, site: Site, branch: cst.BaseExpression) -> cst.BaseExpression | None:
    """What a branch is, if the operation is a part of it: the branch, or what its name was given for it alone."""
    expression = branch
    if isinstance(branch, cst.Name):
        flow = source.fact(Flow)
        definition = flow.definition_of(branch)
        function = source.function_of(branch)
        if definition is None or not isinstance(function, cst.FunctionDef) or not definition.is_alone:
            return None
        if flow.num_uses(branch.value, within=function) != 1 or flow.num_bindings(branch.value, at=branch) != 1:
            return None
        expression = definition.value
    is_inside = expression is site.node or any(above is expression for above in source.ancestors(site.node))
    return expression if is_inside else None


def _is_known_at(source: Source, condition: cst.BaseExpression, node: cst.CSTNode) -> bool:
    """Whether a condition has its value already at a node that stands before it."""
    flow = source.fact(Flow)
    waiting: list[cst.CSTNode] = [condition]
    while waiting:
        name = waiting.pop()
        if not isinstance(name, cst.Name):
            waiting.extend(name.children)
            continue
        num_bindings = flow.num_bindings(name.value, at=name)
        definition = flow.definition_of(name) if num_bindings == 1 else None
        if definition is not None and source.span(definition.statement)[0] < source.span(node)[0]:
            continue
        if num_bindings:
            return False
    return True


def guarded_operand(source: Source, site: Site, exclusion: Exclusion, guard: Guard) -> Guarded | None:
    """The operation with its operand guarded; None where that might compute another thing."""
    safe, operand = _SAFE_OPERANDS.get(site.name), site.operands.get(exclusion.hazard.operand)
    if safe is None or operand is None or not isinstance(site.node, cst.Call | cst.BinaryOperation):
        return None
    operation = source.fact(Calls).operation(site.node)
    if operation is not None and (operation.is_inplace or "out" in operation.operands):
        return None
    if exclusion.hazard.operand == "exponent":
        safe = "0"
    if not is_pure(guard.condition) or "#" in source.code(exclusion.node):
        return None
    if exclusion.kind == "index":
        return _indexed(source, site, operand, guard, exclusion)
    if not _is_elementwise(source, site.node, guard.branch):
        return None
    reference = source.fact(Names).reference("torch.where", at=site.node)
    kept, condition = argument_code(source, operand), argument_code(source, guard.condition)
    branches = f"{kept}, {safe}" if guard.keeps else f"{safe}, {kept}"
    code = f"{reference.code}({condition}, {branches})"
    whole = _with_operand(source, site.node, operand, code)
    return Guarded(whole, (*reference.edits, replace(source, operand, code)))


def is_pure(node: cst.CSTNode) -> bool:
    """Whether a condition is cheap and gives the same when it is evaluated once more."""
    match node:
        case cst.Comparison(left=left, comparisons=targets):
            return is_pure(left) and all(is_pure(target.comparator) for target in targets)
        case cst.BinaryOperation(left=left, right=right) | cst.BooleanOperation(left=left, right=right):
            return is_pure(left) and is_pure(right)
        case cst.UnaryOperation(expression=inner):
            return is_pure(inner)
        case cst.Call(func=cst.Attribute(value=value, attr=cst.Name(value=name)), args=arguments):
            return name in _PURE_METHODS and is_pure(value) and all(is_pure(each.value) for each in arguments)
    return is_repeatable(node)


def _indexed(
    source: Source, site: Site, operand: cst.BaseExpression, guard: Guard, exclusion: Exclusion
) -> Guarded | None:
    """`log(x[mask])` for `log(x)[mask]`."""
    is_of_one = site.name in _OF_ONE_TENSOR or all(
        isinstance(node, cst.BaseNumber) for name, node in site.operands.items() if name != exclusion.hazard.operand
    )
    if guard.branch is not site.node or not is_of_one:
        return None
    code = f"{receiver_code(source, operand)}[{argument_code(source, guard.condition)}]"
    whole = _with_operand(source, site.node, operand, code)
    return Guarded(whole, (replace(source, exclusion.node, whole),))


def _with_operand(source: Source, node: cst.BaseExpression, operand: cst.BaseExpression, code: str) -> str:
    start, _ = source.span(node)
    first, last = (offset - start for offset in source.span(operand))
    whole = source.code(node)
    return f"{whole[:first]}{code}{whole[last:]}"


def _is_elementwise(source: Source, node: cst.CSTNode, top: cst.CSTNode) -> bool:
    """Whether all that is done to a result up to `top` keeps its elements in their places."""
    if node is top:
        return True
    for above in source.ancestors(node):
        match above:
            case cst.BinaryOperation(operator=operator) if not isinstance(operator, cst.MatrixMultiply):
                pass
            case cst.UnaryOperation() | cst.Arg():
                pass
            case cst.Attribute() if isinstance(source.parent(above), cst.Call):
                pass
            case cst.Call():
                operation = source.fact(Calls).operation(above)
                if operation is None or operation.name not in _ELEMENTWISE:
                    return False
            case _:
                return False
        if above is top:
            return True
    return False


def _without_cast(node: cst.BaseExpression) -> cst.BaseExpression:
    match node:
        case cst.Call(func=cst.Attribute(value=value, attr=cst.Name(value=name))) if name in _CASTS:
            return value
    return node
