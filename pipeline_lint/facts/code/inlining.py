"""Writing a traced value once more with another operation in its place, and cleaning up what it no longer needs.

`log(p)` far below `p = sigmoid(f(x)).view(-1)` becomes `logsigmoid(logits).view(-1)`: the steps between are written out
at the new place, an operand that is not cheap and pure gets a name, and a definition that nobody else reads goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Edit, Place
from pipeline_lint.edits import remove_statement, replace
from pipeline_lint.facts.code.flow import Definition, Flow
from pipeline_lint.facts.code.origins import Link, Origin
from pipeline_lint.source import Source

_PURE_METHOD_NAMES = """
arange bool detach dim expand flatten float get_device int long narrow ndimension numel permute reshape select size
squeeze t to transpose type unsqueeze view
"""
_PURE_METHODS = frozenset(_PURE_METHOD_NAMES.split())
_PURE_FUNCTIONS = frozenset({"int", "len", "max", "min", "range", "slice"})
_PARENTHESIZED = (cst.GeneratorExp, cst.Tuple, cst.NamedExpr, cst.Yield)
_NEW_NAME = "logits"


def written_again(
    source: Source,
    at: cst.BaseExpression,
    origin: Origin,
    *,
    activation: Callable[[str], str],
    keeps_result: bool,
    new_name: str = _NEW_NAME,
) -> tuple[Edit, ...] | None:
    """The edits that put `activation(operand)`, in the shape of the traced value, in the place of `at`.

    `keeps_result`: whether the new operation keeps its result for the backward pass, as `log_softmax` does, or its
    operand, as `logsigmoid` does; that must not be changed in place later. `new_name` is for an operand that needs one.
    None where the new code could compute something else: an operand changed in between, other `with` blocks around, a
    comment that would be lost.
    """
    if origin.changes_memory or _is_kept_value_changed(source, at, origin, keeps_result=keeps_result):
        return None
    operand = argument_code(source, origin.activation.operand)
    if not origin.definitions:
        return _replaced(source, at, _spelled(source, origin.links, activation(operand)))
    if not _can_be_evaluated_again(source, origin, at):
        return None
    unused = _unused_definitions(source, origin.definitions)
    last = origin.definitions[-1]
    edits: list[Edit] = []
    touched = list(unused)
    if not _is_pure(origin.activation.operand):
        name = source.fact(_NewNames).name_for(last, new_name)
        naming = _named(source, last, origin.activation.operand, name, is_unused=last in unused)
        if naming is None:
            return None
        edits += naming
        operand = name
        touched.append(last)
    elif last in unused:
        edits.append(remove_statement(source, _small(last)))
    for definition in origin.definitions[:-1]:
        if definition in unused:
            edits.append(remove_statement(source, _small(definition)))
    # A definition that stays is named in the fix as it is, so that no other fix changes it in the same pass, and so
    # that the pass after the last of its uses went finds it unused.
    edits += [
        replace(source, definition.statement, source.code(definition.statement))
        for definition in origin.definitions
        if definition not in touched
    ]
    use = _replaced(source, at, _spelled(source, origin.links, activation(operand)))
    return (*edits, *use) if use is not None else None


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A formula that other code is to compute."""

    at: cst.BaseExpression
    operands: Sequence[cst.BaseExpression]
    definitions: Sequence[Definition]
    """Of the names between the formula and its operands."""
    num_uses: int = 1
    """How often the new code has each operand."""
    may_name: bool = False
    """Whether an operand that is not cheap and pure may get the name of a logit where it stands."""


def formula_written(source: Source, rewriting: Rewriting, code: Callable[..., str]) -> tuple[Edit, ...] | None:
    """The edits that put `code(*operands)` in the place of a formula.

    `code` is given the operands as arguments of a call are written. None where the new code could compute something
    else, or a comment would be lost.
    """
    flow = source.fact(Flow)
    at, operands = rewriting.at, rewriting.operands
    if rewriting.num_uses > 1 and not all(map(_is_pure, operands)):
        return None
    codes = [argument_code(source, operand) for operand in operands]
    ordered = sorted(rewriting.definitions, key=lambda definition: -source.span(definition.statement)[0])
    if not all(flow.has_same_modes(definition.statement, at) for definition in ordered):
        return None
    unused = _definitions_of_one(source, at, ordered)
    edits: list[Edit] = []
    named: Definition | None = None
    for index, operand in enumerate(operands):
        if at in source.ancestors(operand):
            continue
        if _is_pure(operand):
            if not flow.has_same_value(operand, at=at):
                return None
            continue
        named = next((each for each in ordered if each.statement in source.ancestors(operand)), None)
        if named is None or not rewriting.may_name or len(operands) > 1:
            return None
        name = source.fact(_NewNames).name_for(named, _NEW_NAME)
        naming = _named(source, named, operand, name, is_unused=named in unused)
        if naming is None:
            return None
        edits += naming
        codes[index] = name
    for definition in ordered:
        if definition is named:
            continue
        if definition in unused:
            edits.append(remove_statement(source, _small(definition)))
        else:
            # Named in the fix as it is, so that no other fix changes it in the same pass.
            edits.append(replace(source, definition.statement, source.code(definition.statement)))
    use = _replaced(source, at, _fitted(source, at, code(*codes)))
    return (*edits, *use) if use is not None else None


def activation_place(source: Source, origin: Origin) -> tuple[tuple[Place, str], ...]:
    """What a finding says is related: the place of an activation that stands apart."""
    activation = origin.activation
    return ((source.place(activation.call), f"the {activation.name} is taken here"),) if origin.definitions else ()


def argument_code(source: Source, node: cst.BaseExpression) -> str:
    """The node as the only argument of a call: without parentheses that it does not need there."""
    code = source.code(node)
    return code[1:-1].strip() if len(node.lpar) == 1 and not isinstance(node, _PARENTHESIZED) else code


def negated_code(code: str) -> str:
    """`-x` for the code `x`, and `x` for `-x`."""
    match cst.parse_expression(f"({code})"):
        case cst.UnaryOperation(operator=cst.Minus(), expression=inner):
            return cst.Module([]).code_for_node(_bare(inner))
        case cst.Name() | cst.Attribute() | cst.Call() | cst.Subscript() | cst.BaseNumber():
            return f"-{code}"
    return f"-({code})"


def _is_kept_value_changed(source: Source, at: cst.BaseExpression, origin: Origin, *, keeps_result: bool) -> bool:
    """Whether code after `at` changes in place what the backward pass of the new operation needs."""
    flow = source.fact(Flow)
    if keeps_result:
        return flow.is_result_changed_later(at)
    operand = origin.activation.operand
    if isinstance(operand, cst.UnaryOperation):
        # `-x` is a tensor of its own, but `negated_code` may have made it `x`.
        operand = operand.expression
    return flow.is_changed_later(operand, after=at)


def _can_be_evaluated_again(source: Source, origin: Origin, at: cst.BaseExpression) -> bool:
    """Whether all that is written out at `at` is cheap, and gives there what it gave where it stands."""
    flow = source.fact(Flow)
    if not all(flow.has_same_modes(definition.statement, at) for definition in origin.definitions):
        return False
    # Of the links only those behind the first name move; the operand does not where it gets a name.
    first = next(index for index, link in enumerate(origin.links) if link.definition is not None)
    activation = Link(origin.activation.call, origin.activation.operand, is_reshape=True)
    moved = [node for link in (*origin.links[first:], activation) for node in _arguments(link)]
    if not all(_is_pure(node) for node in moved):
        return False
    if _is_pure(origin.activation.operand):
        moved.append(origin.activation.operand)
    return all(flow.has_same_value(node, at=at) for node in moved)


def _spelled(source: Source, links: Sequence[Link], core: str) -> str:
    """`core` with the reshapes that stand between it and the traced value."""
    text = core
    for link in reversed(links):
        if link.is_reshape:
            code, (start, _) = source.code(link.node), source.span(link.node)
            inner_start, inner_end = source.span(link.inner)
            text = code[: inner_start - start] + text + code[inner_end - start :]
            if link.node.lpar:
                text = text[1:-1].strip()
    return text


def _replaced(source: Source, at: cst.BaseExpression, code: str) -> tuple[Edit, ...] | None:
    """The edit that puts `code` in the place of `at`, or None where a comment would be lost."""
    old = source.code(at)
    if old.count("#") > code.count("#"):
        return None
    if "\n" in code or "\r" in code:
        try:
            cst.parse_expression(code)
        except cst.ParserSyntaxError:
            code = f"({code})"
    return (replace(source, at, code),)


def _unused_definitions(source: Source, definitions: Sequence[Definition]) -> list[Definition]:
    """Those that only the traced value reads, from its end on; they can go with it."""
    flow = source.fact(Flow)
    unused: list[Definition] = []
    for definition in definitions:
        statement = definition.statement
        function = source.function_of(statement)
        if not isinstance(function, cst.FunctionDef) or not definition.is_alone:
            break
        if flow.num_uses(definition.name, within=function) != 1:
            break
        if flow.num_bindings(definition.name, at=statement) != 1 or _has_comment(source, statement):
            break
        unused.append(definition)
    return unused


def _definitions_of_one(source: Source, at: cst.CSTNode, definitions: Sequence[Definition]) -> list[Definition]:
    """Those that only `at`, or one of them after it, reads; they can go when `at` is written otherwise.

    The definitions come last first.
    """
    flow = source.fact(Flow)
    unused: list[Definition] = []
    for definition in definitions:
        statement = definition.statement
        function = source.function_of(statement)
        if not isinstance(function, cst.FunctionDef) or not definition.is_alone or _has_comment(source, statement):
            continue
        readers = {id(at), *(id(later.statement) for later in unused)}
        uses = flow.uses(definition.name, within=function)
        are_gone = all(any(id(above) in readers for above in (use, *source.ancestors(use))) for use in uses)
        if are_gone and flow.num_bindings(definition.name, at=statement) == 1:
            unused.append(definition)
    return unused


def _fitted(source: Source, at: cst.BaseExpression, code: str) -> str:
    """The code in the parentheses that it needs in the place of `at`, an operator for the same or a call."""
    if isinstance(cst.parse_expression(f"({code})"), cst.Name | cst.Attribute | cst.Call | cst.Subscript):
        return code
    is_alone = isinstance(source.parent(at), cst.Arg | cst.Assign | cst.AnnAssign | cst.AugAssign | cst.Return)
    return code if not at.lpar and (is_alone or not isinstance(at, cst.Call)) else f"({code})"


def _has_comment(source: Source, statement: cst.CSTNode) -> bool:
    """Whether a comment speaks of the statement: inside, behind or right above it."""
    start, end = source.span(statement)
    document = source.document
    row = document.row_of(start)
    above = document.line(row - 1).strip() if row > 1 else ""
    behind = document.line(document.row_of(end))
    return above.startswith("#") or "#" in source.text[start:end] or "#" in behind


def _named(
    source: Source, definition: Definition, operand: cst.BaseExpression, name: str, *, is_unused: bool
) -> list[Edit] | None:
    """`name = operand` before the statement that holds the operand, or in its place where nobody reads that."""
    line = source.parent(definition.statement)
    if not isinstance(line, cst.SimpleStatementLine) or len(line.body) != 1:
        return None
    if getattr(definition.statement, "value", None) is not definition.value:
        # One of several values of an unpacking, which are evaluated in their order.
        return None
    value = argument_code(source, operand)
    if "\n" in value or "\r" in value:
        value = f"({value})"
    if is_unused:
        return [replace(source, definition.statement, f"{name} = {value}")]
    start, _ = source.span(definition.statement)
    row_start = source.document.line_starts[source.document.row_of(start) - 1]
    indent = source.text[row_start:start]
    code = source.code(definition.statement)
    inner_start, inner_end = (offset - start for offset in source.span(operand))
    rest = code[:inner_start] + name + code[inner_end:]
    newline = source.module.default_newline
    return [replace(source, definition.statement, f"{name} = {value}{newline}{indent}{rest}")]


def _bare(node: cst.BaseExpression) -> cst.BaseExpression:
    if len(node.lpar) == 1 and not isinstance(node, _PARENTHESIZED):
        return node.with_changes(lpar=(), rpar=())
    return node


class _NewNames:
    """The names given to operands in one file; fixes of one pass share them, and must not mean two things by one."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._given: dict[int, str] = {}

    def name_for(self, definition: Definition, wanted: str) -> str:
        """A name for the operand in a definition, which the function around it does not use; always the same."""
        key = id(definition.statement)
        if key not in self._given:
            scope = self._source.function_of(definition.statement)
            names = self._source.nodes(cst.Name)
            used = {node.value for node in names if scope is None or scope in self._source.ancestors(node)}
            used.update(self._given.values())
            name, number = wanted, 1
            while name in used:
                name = f"{definition.name}_{wanted}" if number == 1 else f"{wanted}_{number}"
                number += 1
            self._given[key] = name
        return self._given[key]


def _small(definition: Definition) -> cst.BaseSmallStatement:
    assert isinstance(definition.statement, cst.BaseSmallStatement)
    return definition.statement


def _arguments(link: Link) -> list[cst.BaseExpression | cst.SubscriptElement]:
    """What a reshape, or the activation, evaluates besides the value that it works on."""
    if not link.is_reshape:
        return []
    if isinstance(link.node, cst.Call):
        return [argument.value for argument in link.node.args if argument.value is not link.inner]
    return list(link.node.slice) if isinstance(link.node, cst.Subscript) else []


def _is_pure(root: cst.CSTNode) -> bool:
    """Whether an expression is cheap, and gives the same when it is evaluated once more."""
    match root:
        case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value=name)), args=args):
            return name in _PURE_METHODS and _is_pure(receiver) and all(_is_pure(arg.value) for arg in args)
        case cst.Call(func=cst.Name(value=name), args=args):
            return name in _PURE_FUNCTIONS and all(_is_pure(arg.value) for arg in args)
        case cst.BinaryOperation(operator=cst.MatrixMultiply()):
            return False
        case cst.SubscriptElement(slice=cst.Index(value=value)):
            return _is_pure(value)
        case cst.SubscriptElement(slice=cst.Slice(lower=lower, upper=upper, step=step)):
            return all(part is None or _is_pure(part) for part in (lower, upper, step))
        case cst.Attribute(value=value):
            return _is_pure(value)
        case cst.Subscript(value=value, slice=parts):
            return _is_pure(value) and all(_is_pure(part) for part in parts)
        case cst.UnaryOperation(expression=value):
            return _is_pure(value)
        case cst.BinaryOperation(left=left, right=right):
            return _is_pure(left) and _is_pure(right)
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            return all(_is_pure(element.value) for element in elements)
    return isinstance(root, cst.Name | cst.BaseNumber | cst.SimpleString | cst.Ellipsis)
