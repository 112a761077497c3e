"""Formulas written out by hand that torch has a function for: `log(1 + exp(x))` is a softplus.

An identity is found however its parts are spelled and through the names of a function. Each node belongs to one
identity at most, the largest: in `log(1 - exp(x))` the difference is no identity of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import libcst as cst

from pipeline_lint.facts.calls import Calls, Operation
from pipeline_lint.facts.events import called_name
from pipeline_lint.facts.flow import Definition
from pipeline_lint.facts.formulas import Formula, Formulas
from pipeline_lint.source import Source


class Kind(enum.Enum):
    """What an identity computes, by the function that computes it well."""

    SOFTPLUS = "log(1 + exp(x))"
    INVERSE_SOFTPLUS = "log(exp(x) - 1)"
    LOG_OF_COMPLEMENT = "log(1 - exp(x))"
    LOGSUMEXP = "log(exp(x).sum())"
    LOG_OF_MEAN = "log(exp(x).mean())"
    SOFTPLUS_OF_LOGSUMEXP = "log(1 + exp(x).sum())"
    LOGADDEXP = "log(exp(a) + exp(b))"
    LOG1P = "log(1 + x)"
    SOFTMAX = "exp(x) / exp(x).sum()"
    SIGMOID = "1 / (1 + exp(-x))"
    SIGMOID_OF_DIFFERENCE = "exp(a) / (exp(a) + exp(b))"
    TANH = "tanh(x) from exponentials"
    EXPM1 = "exp(x) - 1"
    COMPLEMENT_OF_EXP = "1 - exp(x)"
    COMPLEMENT_OF_COS = "1 - cos(x)"


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """One formula written out by hand."""

    kind: Kind
    node: cst.BaseExpression
    """What the function takes the place of."""
    operands: tuple[cst.BaseExpression, ...]
    """The arguments of the exponentials, of the cosine, or what is added to 1."""
    definitions: tuple[Definition, ...] = ()
    """Of the names between the node and its operands, in no order."""
    operations: tuple[Operation, ...] = ()
    """The calls that the formula is made of, the reduction apart."""
    reduction: Operation | None = None
    """The sum or mean."""
    has_epsilon: bool = False
    """Whether a small constant is added to the sum."""
    is_weighted: bool = False
    """Whether the exponentials in the sum have factors, which the function does not take."""
    is_reshaped: bool = False
    numerator: cst.BaseExpression | None = None
    """What stands above `1 + exp(x)`, unless it is 1."""
    factor: float = 1.0
    """`tanh(factor * x)`, `sigmoid(factor * x)`."""


@dataclass(slots=True)
class _Reading:
    """What one attempt at an identity has gone through."""

    formulas: Formulas
    definitions: list[Definition] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    nodes: list[cst.BaseExpression] = field(default_factory=list)

    def of(self, expression: cst.BaseExpression) -> Formula:
        return self.note(self.formulas.of(expression))

    def note(self, formula: Formula) -> Formula:
        self.definitions += formula.definitions
        self.nodes.append(formula.node)
        if formula.operation is not None:
            self.operations.append(formula.operation)
        return formula

    def exponent(self, expression: cst.BaseExpression) -> cst.BaseExpression | None:
        """`x` of an expression that is `exp(x)`."""
        formula = self.formulas.of(expression)
        if formula.name != "exp" or not formula.operands:
            return None
        return self.note(formula).operands[0]

    def identity(
        self, kind: Kind, node: cst.BaseExpression, *operands: cst.BaseExpression, **details: object
    ) -> Identity:
        reduction = details.get("reduction")
        operations = tuple(each for each in self.operations if each is not reduction)
        return Identity(kind, node, operands, tuple(dict.fromkeys(self.definitions)), operations, **details)  # type: ignore[arg-type] # checked where they are written


class Identities:
    """The identities of one file: `source.fact(Identities)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._calls = source.fact(Calls)
        self._formulas = source.fact(Formulas)
        self._taken: set[int] = set()
        self._has_exponentials = bool(self._calls.operations("exp"))
        self.all = list(self._find())

    def _find(self) -> Iterator[Identity]:
        """Logarithms and quotients first, because sums are parts of them."""
        sources = (
            (self._logarithms(), self._of_logarithm),
            (self._quotients(), self._of_softmax),
            (self._quotients(), self._of_quotient),
            (self._sums(), self._of_sum),
        )
        for nodes, recognise in sources:
            for node in nodes:
                if id(node) in self._taken:
                    continue
                reading = _Reading(self._formulas)
                identity = recognise(node, reading)
                if identity is not None:
                    self._taken.update(map(id, reading.nodes))
                    yield identity

    def _logarithms(self) -> Iterator[cst.Call]:
        return (operation.call for operation in self._calls.operations("log", "log1p"))

    def _quotients(self) -> Iterator[cst.BaseExpression]:
        if not self._has_exponentials:
            return
        for node in self._source.nodes(cst.BinaryOperation):
            match node:
                case cst.BinaryOperation(operator=cst.Divide(), right=divisor) if not isinstance(
                    divisor, cst.BaseNumber
                ):
                    yield node
                case cst.BinaryOperation(operator=cst.Power(), right=cst.UnaryOperation()):
                    yield node
        yield from (operation.call for operation in self._calls.operations("div", "reciprocal", "pow"))

    def _sums(self) -> Iterator[cst.BaseExpression]:
        """Sums with a number: names are not looked up for all others."""
        if not self._has_exponentials and not self._calls.operations("cos"):
            return
        for node in self._source.nodes(cst.BinaryOperation):
            if isinstance(node.operator, cst.Add | cst.Subtract) and any(map(_may_be_one, (node.left, node.right))):
                yield node
        yield from (operation.call for operation in self._calls.operations("add", "sub"))

    def _of_logarithm(self, node: cst.BaseExpression, reading: _Reading) -> Identity | None:
        log = reading.of(node)
        if not log.operands:
            return None
        argument = log.operands[0]
        if log.name == "log1p":
            return self._of_one_plus(argument, node, reading)
        formula = self._formulas.of(argument)
        if formula.name in ("sum", "mean", "expm1", "add", "sub"):
            reading.note(formula)
        if formula.name in ("sum", "mean"):
            kind = Kind.LOGSUMEXP if formula.name == "sum" else Kind.LOG_OF_MEAN
            return self._of_reduction(kind, formula, node, reading)
        if formula.name == "expm1" and formula.operands:
            return reading.identity(Kind.INVERSE_SOFTPLUS, node, formula.operands[0])
        reduced = self._reduction_with_epsilon(formula)
        if reduced is not None:
            kind = Kind.LOGSUMEXP if reduced.name == "sum" else Kind.LOG_OF_MEAN
            found = self._of_reduction(kind, reading.note(reduced), node, reading)
            return replace(found, has_epsilon=True) if found is not None else None
        split = self._formulas.number_and_term(formula)
        if split is None:
            return self._of_two_exponentials(formula, node, reading)
        number, term = split
        exponent = reading.exponent(term.node)
        if (number, term.sign) == (1.0, 1):
            return self._of_one_plus(term.node, node, reading)
        if (number, term.sign) == (1.0, -1) and exponent is not None:
            return reading.identity(Kind.LOG_OF_COMPLEMENT, node, exponent)
        if (number, term.sign) == (-1.0, 1) and exponent is not None:
            return reading.identity(Kind.INVERSE_SOFTPLUS, node, exponent)
        return None

    def _of_one_plus(self, node: cst.BaseExpression, at: cst.BaseExpression, reading: _Reading) -> Identity | None:
        """The logarithm `at` of 1 plus `node`."""
        exponent = reading.exponent(node)
        if exponent is not None:
            return reading.identity(Kind.SOFTPLUS, at, exponent)
        formula = self._formulas.of(node)
        if formula.name == "sum":
            inner = self._of_reduction(Kind.SOFTPLUS_OF_LOGSUMEXP, reading.note(formula), at, reading)
            if inner is not None:
                return inner
        is_log = isinstance(at, cst.Call) and (operation := self._calls.operation(at)) and operation.name == "log"
        return reading.identity(Kind.LOG1P, at, node) if is_log else None

    def _of_reduction(self, kind: Kind, formula: Formula, at: cst.BaseExpression, reading: _Reading) -> Identity | None:
        """The logarithm `at` of a sum or mean of exponentials, perhaps weighted ones."""
        if not formula.operands:
            return None
        summand = self._formulas.of(formula.operands[0])
        for factor in summand.operands if summand.name == "mul" else ():
            exponent = reading.exponent(factor)
            if exponent is not None:
                reading.note(summand)
                return reading.identity(kind, at, exponent, reduction=formula.operation, is_weighted=True)
        exponent = reading.exponent(formula.operands[0])
        return reading.identity(kind, at, exponent, reduction=formula.operation) if exponent is not None else None

    def _reduction_with_epsilon(self, formula: Formula) -> Formula | None:
        """The sum or mean in `e.sum(1) + eps` and `e.sum(1).clamp(min=eps)`."""
        if formula.name in ("clamp", "clamp_min") and formula.operands:
            inner, _ = self._formulas.without_reshapes(formula.operands[0])
            return inner if inner.name in ("sum", "mean") else None
        terms = self._formulas.two_terms(formula)
        for one, other in (terms, terms[::-1]) if terms is not None else ():
            inner, _ = self._formulas.without_reshapes(one.node)
            if inner.name in ("sum", "mean") and one.sign == other.sign == 1 and self._formulas.is_epsilon(other.node):
                return inner
        return None

    def _of_two_exponentials(self, formula: Formula, at: cst.BaseExpression, reading: _Reading) -> Identity | None:
        terms = self._formulas.two_terms(formula)
        if terms is None or any(term.sign < 0 for term in terms):
            return None
        one, other = (reading.exponent(term.node) for term in terms)
        return reading.identity(Kind.LOGADDEXP, at, one, other) if one is not None and other is not None else None

    def _of_quotient(self, node: cst.BaseExpression, reading: _Reading) -> Identity | None:
        quotient = reading.of(node)
        match quotient.name, quotient.operands:
            case "div", (above, below):
                numerator: cst.BaseExpression | None = None if self._formulas.number(above) == 1 else above
            case "reciprocal", (below,):
                numerator = None
            case "pow", (below, power) if self._formulas.number(power) == -1:
                numerator = None
            case _:
                return None
        divisor = self._formulas.of(below)
        terms = self._formulas.two_terms(divisor)
        if terms is None or any(term.sign < 0 for term in terms):
            return None
        split = self._formulas.number_and_term(divisor)
        if split is not None:
            exponent = reading.exponent(split[1].node) if split[0] == 1 else None
            if exponent is None:
                return None
            reading.note(divisor)
            return self._of_logistic(node, numerator, exponent, reading)
        one, other = (reading.exponent(term.node) for term in terms)
        if numerator is None or one is None or other is None:
            return None
        reading.note(divisor)
        return self._of_exponential_pair(node, numerator, (one, other), reading)

    def _of_logistic(
        self,
        node: cst.BaseExpression,
        numerator: cst.BaseExpression | None,
        exponent: cst.BaseExpression,
        reading: _Reading,
    ) -> Identity:
        """`numerator / (1 + exp(exponent))`."""
        if numerator is None:
            return reading.identity(Kind.SIGMOID, node, exponent, factor=-1.0)
        above = self._formulas.of(numerator)
        if self._is_exponential_of(numerator, exponent):
            reading.note(above)
            return reading.identity(Kind.SIGMOID, node, exponent)
        split = self._formulas.number_and_term(above)
        is_difference = split is not None and split[0] == -split[1].sign
        if split is not None and is_difference and self._is_exponential_of(split[1].node, exponent):
            reading.note(above)
            reading.of(split[1].node)
            return reading.identity(Kind.TANH, node, exponent, factor=0.5 * split[1].sign)
        return reading.identity(Kind.SIGMOID, node, exponent, numerator=numerator, factor=-1.0)

    def _of_exponential_pair(
        self,
        node: cst.BaseExpression,
        numerator: cst.BaseExpression,
        exponents: tuple[cst.BaseExpression, cst.BaseExpression],
        reading: _Reading,
    ) -> Identity | None:
        """`numerator / (exp(a) + exp(b))`."""
        above = self._formulas.of(numerator)
        for one, other in (exponents, exponents[::-1]):
            if self._is_exponential_of(numerator, one):
                reading.note(above)
                return reading.identity(Kind.SIGMOID_OF_DIFFERENCE, node, one, other)
        terms = self._formulas.two_terms(above)
        if terms is None or not self._formulas.are_opposite(*exponents):
            return None
        positive, negative = sorted(terms, key=lambda term: -term.sign)
        if (positive.sign, negative.sign) != (1, -1):
            return None
        for one, other in (exponents, exponents[::-1]):
            if self._is_exponential_of(positive.node, one) and self._is_exponential_of(negative.node, other):
                reading.note(above)
                reading.of(positive.node)
                reading.of(negative.node)
                return reading.identity(Kind.TANH, node, one)
        return None

    def _of_softmax(self, node: cst.BaseExpression, reading: _Reading) -> Identity | None:
        quotient = reading.of(node)
        if quotient.name != "div" or not quotient.operands:
            return None
        above, below = quotient.operands
        divisor, is_reshaped = self._formulas.without_reshapes(below)
        reduced = self._reduction_with_epsilon(divisor)
        if reduced is not None:
            reading.note(divisor)
            divisor, has_epsilon = reduced, True
        else:
            has_epsilon = False
        if divisor.name != "sum" or not divisor.operands:
            return None
        summand, numerator, is_weighted = divisor.operands[0], above, False
        summed = self._formulas.of(summand)
        if summed.name == "mul" and self._have_same_formula(numerator, summand):
            factor = next((each for each in summed.operands if self._formulas.of(each).name == "exp"), None)
            if factor is None:
                return None
            reading.note(summed)
            summand, numerator, is_weighted = factor, factor, True
        exponent = reading.exponent(summand)
        if exponent is None or not self._is_exponential_of(numerator, exponent):
            return None
        reading.note(divisor)
        reading.of(numerator)
        return reading.identity(
            Kind.SOFTMAX,
            node,
            exponent,
            reduction=divisor.operation,
            has_epsilon=has_epsilon,
            is_weighted=is_weighted,
            is_reshaped=is_reshaped,
        )

    def _of_sum(self, node: cst.BaseExpression, reading: _Reading) -> Identity | None:
        split = self._formulas.number_and_term(reading.of(node))
        if split is None or split[0] != -split[1].sign:
            return None
        is_complement = split[0] > 0
        exponent = reading.exponent(split[1].node)
        if exponent is not None:
            return reading.identity(Kind.COMPLEMENT_OF_EXP if is_complement else Kind.EXPM1, node, exponent)
        formula = self._formulas.of(split[1].node)
        if is_complement and formula.name == "cos" and formula.operands:
            return reading.identity(Kind.COMPLEMENT_OF_COS, node, reading.note(formula).operands[0])
        return None

    def _is_exponential_of(self, node: cst.BaseExpression, exponent: cst.BaseExpression) -> bool:
        formula = self._formulas.of(node)
        if formula.name != "exp" or not formula.operands:
            return False
        return self._formulas.are_same(formula.operands[0], exponent)

    def _have_same_formula(self, one: cst.BaseExpression, other: cst.BaseExpression) -> bool:
        first, second = self._formulas.of(one), self._formulas.of(other)
        return first.node is second.node or self._formulas.are_same(first.node, second.node)


def _may_be_one(node: cst.BaseExpression) -> bool:
    match node:
        case cst.UnaryOperation(expression=inner):
            return _may_be_one(inner)
        case cst.Call():
            return called_name(node) in ("ones_like", "tensor", "as_tensor")
    return isinstance(node, cst.BaseNumber)
