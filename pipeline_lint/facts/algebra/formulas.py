"""Arithmetic read as formulas: `1 + x`, `torch.add(x, 1)` and `x.add(1)` are one sum, and a name is what it was given.

A name is followed only where `flow.py` says what gave it its value; what it stands for otherwise is a leaf.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.calls import Calls, Operation
from pipeline_lint.facts.code.flow import Definition, Flow
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.code.origins import EPSILON_NAME, LARGEST_EPSILON
from pipeline_lint.source import Source

_BINARY = {
    cst.Add: "add",
    cst.Subtract: "sub",
    cst.Multiply: "mul",
    cst.Divide: "div",
    cst.Power: "pow",
    cst.MatrixMultiply: "matmul",
}
_TWO_OPERANDS = {"add": "other", "sub": "other", "mul": "other", "div": "other", "pow": "exponent"}
_RESHAPES = frozenset(
    {"unsqueeze", "view", "reshape", "expand", "expand_as", "repeat", "contiguous", "detach", "clone"}
)
_PURE_METHODS = frozenset({"detach", "dim", "float", "item", "long", "size", "type"})
_RANDOM = frozenset(
    {"bernoulli", "dropout", "gumbel_softmax", "multinomial", "rand", "rand_like", "randn", "randn_like"}
)
_MOST_NAMES = 8
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """One operation and what it is applied to."""

    name: str
    """`add`, `sub`, `mul`, `div`, `pow`, `neg` for operators and functions alike, else the operation; empty: a leaf."""
    node: cst.BaseExpression
    operands: tuple[cst.BaseExpression, ...] = ()
    operation: Operation | None = None
    """Where it is spelled as a call."""
    definitions: tuple[Definition, ...] = ()
    """Of the names that were followed to come here, the last one first."""


@dataclass(frozen=True, slots=True)
class Term:
    """`sign * node` in a sum."""

    node: cst.BaseExpression
    sign: int


class Formulas:
    """The formulas of one file: `source.fact(Formulas)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._calls = source.fact(Calls)
        self._flow = source.fact(Flow)
        self._names = source.fact(Names)
        self._formulas: dict[int, Formula] = {}
        self._spellings: dict[int, str] = {}
        self._numbers: dict[int, float | None] = {}

    def of(self, expression: cst.BaseExpression) -> Formula:
        """The outermost operation of an expression, or of what its name stands for."""
        key = id(expression)
        if key not in self._formulas:
            self._formulas[key] = self._read(expression)
        return self._formulas[key]

    def definition_of(self, name: cst.Name) -> Definition | None:
        """What gave a name its value, however little a formula it is."""
        return self._flow.definition_of(name) if not self._names.is_imported(name.value) else None

    def number(self, expression: cst.BaseExpression) -> float | None:
        """The value of a number, of a name for one, of a sum or quotient of numbers, or of `torch.ones_like(x)`."""
        formula = self.of(expression)
        # Kept by node: generated polynomials share their terms through names, so that paths to a term are exponential.
        key = id(formula.node)
        if key not in self._numbers:
            self._numbers[key] = self._number(formula)
        return self._numbers[key]

    def _number(self, formula: Formula) -> float | None:
        match formula.name, formula.operands:
            case "number", _:
                return _evaluated(formula.node)
            case "neg", (inner,):
                value = self.number(inner)
                return -value if value is not None else None
            case ("add" | "sub" | "mul" | "div") as name, (left, right):
                one, other = self.number(left), self.number(right)
                return _calculated(name, one, other) if one is not None and other is not None else None
            case "ones_like", _:
                return 1.0
            case (("tensor" | "as_tensor"), _) if formula.operation is not None:
                data = formula.operation.operands.get("data")
                return self.number(data) if data is not None else None
        return None

    def is_epsilon(self, expression: cst.BaseExpression) -> bool:
        """Whether it is a small positive number, or is called an epsilon."""
        number = self.number(expression)
        if number is not None:
            return 0 < number <= LARGEST_EPSILON
        name = expression.attr if isinstance(expression, cst.Attribute) else expression
        return isinstance(name, cst.Name) and EPSILON_NAME.search(name.value) is not None

    def two_terms(self, formula: Formula) -> tuple[Term, Term] | None:
        """Both sides of a sum or difference, signs taken out of them."""
        if formula.name not in ("add", "sub") or len(formula.operands) != 2:
            return None
        left, right = formula.operands
        return self._signed(left, 1), self._signed(right, 1 if formula.name == "add" else -1)

    def number_and_term(self, formula: Formula) -> tuple[float, Term] | None:
        """`number + sign * term` where one side of a sum is a number and the other is not."""
        terms = self.two_terms(formula)
        if terms is None:
            return None
        for one, other in (terms, terms[::-1]):
            number = self.number(one.node)
            if number is not None and self.number(other.node) is None:
                return one.sign * number, other
        return None

    def without_reshapes(self, expression: cst.BaseExpression) -> tuple[Formula, bool]:
        """The formula behind `e.unsqueeze(1)`, `e[:, None]` and the like, and whether there was any of them."""
        is_reshaped = False
        definitions: tuple[Definition, ...] = ()
        for _ in range(_MOST_NAMES):
            formula = self.of(expression)
            definitions = (*definitions, *formula.definitions)
            match formula:
                case Formula(name=name, operation=Operation(operands={"input": inner})) if name in _RESHAPES:
                    expression = inner
                case Formula(node=cst.Subscript(value=inner, slice=parts)) if _only_adds_dimensions(parts):
                    expression = inner
                case _:
                    break
            is_reshaped = True
        found = Formula(formula.name, formula.node, formula.operands, formula.operation, definitions)
        return found, is_reshaped

    def are_same(self, one: cst.BaseExpression, other: cst.BaseExpression) -> bool:
        """Whether two expressions are spelled alike and give the same value, both evaluated once."""
        if one is other:
            return True
        if type(one) is not type(other) or self._spelling(one) != self._spelling(other) or not self._is_repeatable(one):
            return False
        return self._flow.has_same_value(one, at=other) or self._flow.has_same_value(other, at=one)

    def are_opposite(self, one: cst.BaseExpression, other: cst.BaseExpression) -> bool:
        """Whether one is spelled as minus the other: `x` and `-x`, `-2 * x` and `2 * x`."""
        return any(
            is_negative_product(first)
            and self._spelling_without_minus(first) == self._spelling(second)
            and self._is_repeatable(second)
            and (self._flow.has_same_value(first, at=second) or self._flow.has_same_value(second, at=first))
            for first, second in ((one, other), (other, one))
        )

    def _read(self, expression: cst.BaseExpression) -> Formula:
        definitions: list[Definition] = []
        node = expression
        while isinstance(node, cst.Name) and len(definitions) < _MOST_NAMES:
            definition = self.definition_of(node)
            if definition is None:
                break
            definitions.append(definition)
            node = definition.value
        name, operands, operation = self._operation(node)
        if not name:
            # What a leaf's name stands for is nobody's business, so that its code stays the name.
            return Formula("", expression)
        return Formula(name, node, operands, operation, tuple(definitions))

    def _operation(self, node: cst.BaseExpression) -> tuple[str, tuple[cst.BaseExpression, ...], Operation | None]:
        match node:
            case cst.BinaryOperation(left=left, operator=operator, right=right) if type(operator) in _BINARY:
                return _BINARY[type(operator)], (left, right), None
            case cst.UnaryOperation(operator=cst.Minus(), expression=inner):
                return "neg", (inner,), None
            case cst.Integer() | cst.Float():
                return "number", (), None
            case cst.Call():
                operation = self._calls.operation(node)
                if operation is None:
                    return "", (), None
                return operation.name, _operands(operation), operation
        return "", (), None

    def _signed(self, node: cst.BaseExpression, sign: int) -> Term:
        """A term without its own minus sign, as it is written there."""
        while True:
            match node:
                case cst.UnaryOperation(operator=cst.Minus(), expression=inner):
                    node, sign = inner, -sign
                case cst.Call() if (formula := self.of(node)).name == "neg" and formula.operands:
                    node, sign = formula.operands[0], -sign
                case _:
                    return Term(node, sign)

    def _spelling(self, node: cst.BaseExpression) -> str:
        """The code without spaces and outer parentheses, from rendering the node alone and not its statement."""
        key = id(node)
        if key not in self._spellings:
            code = _SPACES.sub("", self._source.module.code_for_node(node))
            self._spellings[key] = code[len(node.lpar) : len(code) - len(node.rpar)]
        return self._spellings[key]

    def _spelling_without_minus(self, node: cst.BaseExpression) -> str:
        if isinstance(node, cst.UnaryOperation):
            return self._spelling(node.expression)
        return self._spelling(node)[1:]

    def _is_repeatable(self, root: cst.BaseExpression) -> bool:
        """Whether an expression gives the same when it is evaluated once more: no call of who knows what."""
        if isinstance(root, cst.Name):
            return True
        return all(self._is_repeatable_call(node) for node in _calls_in(root))

    def _is_repeatable_call(self, call: cst.Call) -> bool:
        operation = self._calls.operation(call)
        if operation is not None:
            return operation.name not in _RANDOM and not operation.is_inplace
        return isinstance(call.func, cst.Attribute) and call.func.attr.value in _PURE_METHODS


def _operands(operation: Operation) -> tuple[cst.BaseExpression, ...]:
    """The operands of arithmetic; none where an argument changes what is computed."""
    first = operation.input
    if first is None:
        return ()
    if operation.name in _TWO_OPERANDS:
        second = operation.operands.get(_TWO_OPERANDS[operation.name])
        is_plain = not {"alpha", "rounding_mode"} & operation.operands.keys()
        return (first, second) if second is not None and is_plain else ()
    return (first,)


def _only_adds_dimensions(parts: Sequence[cst.SubscriptElement]) -> bool:
    """Whether a subscript is made of `:`, `...` and `None`."""
    for part in parts:
        match part.slice:
            case cst.Slice(lower=None, upper=None, step=None):
                continue
            case cst.Index(value=cst.Ellipsis() | cst.Name(value="None")):
                continue
            case _:
                return False
    return True


def is_negative_product(node: cst.BaseExpression) -> bool:
    """Whether the minus sign that an expression begins with stands for all of it: not so in `-a + b`."""
    match node:
        case cst.BinaryOperation(left=left, operator=cst.Multiply() | cst.Divide()):
            return not left.lpar and is_negative_product(left)
    return isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus)


def _evaluated(node: cst.BaseExpression) -> float | None:
    return float(node.evaluated_value) if isinstance(node, cst.Integer | cst.Float) else None


def _calculated(name: str, one: float, other: float) -> float | None:
    match name:
        case "add":
            return one + other
        case "sub":
            return one - other
        case "mul":
            return one * other
    return one / other if other else None


def _calls_in(root: cst.CSTNode) -> Iterator[cst.Call]:
    stack: list[cst.CSTNode] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, cst.Call):
            yield node
        stack.extend(node.children)
