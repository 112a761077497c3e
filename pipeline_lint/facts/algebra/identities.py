"""The formulas of a file that are written out by hand although torch has a function for them.

An identity is found however its parts are spelled and through the names of a function. Each node belongs to one
identity at most, the largest: in `log(1 - exp(x))` the difference is no identity of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.algebra.formulas import Formulas
from pipeline_lint.facts.algebra.identity import Identity, Kind, Reading
from pipeline_lint.facts.algebra.logarithm_identities import identity_of_logarithm
from pipeline_lint.facts.algebra.quotient_identities import identity_of_logistic, identity_of_softmax
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.source import Source


class Identities:
    """The identities of one file: `source.fact(Identities)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._calls = source.fact(Calls)
        self._formulas = source.fact(Formulas)
        self._taken: set[int] = set()
        self._has_exponentials = bool(self._calls.operations("exp"))
        self.all = list(self._find())

    def covers(self, node: cst.CSTNode) -> bool:
        """Whether a node is a part of an identity, so that what is to be said of it is said there."""
        return id(node) in self._taken

    def _find(self) -> Iterator[Identity]:
        """Logarithms and quotients first, because sums are parts of them."""
        sources = (
            (self._logarithms(), identity_of_logarithm),
            (self._quotients(), identity_of_softmax),
            (self._quotients(), identity_of_logistic),
            (self._sums(), _identity_of_sum),
        )
        for nodes, recognise in sources:
            for node in nodes:
                if id(node) in self._taken:
                    continue
                reading = Reading(self._formulas)
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


def _identity_of_sum(node: cst.BaseExpression, reading: Reading) -> Identity | None:
    """The difference that `x.expm1()` or the like computes without cancellation."""
    split = reading.formulas.number_and_term(reading.of(node))
    if split is None or split[0] != -split[1].sign:
        return None
    is_complement = split[0] > 0
    exponent = reading.exponent(split[1].node)
    if exponent is not None:
        return reading.identity(Kind.COMPLEMENT_OF_EXP if is_complement else Kind.EXPM1, node, exponent)
    formula = reading.formulas.of(split[1].node)
    if is_complement and formula.name == "cos" and formula.operands:
        return reading.identity(Kind.COMPLEMENT_OF_COS, node, reading.note(formula).operands[0])
    return None


def _may_be_one(node: cst.BaseExpression) -> bool:
    match node:
        case cst.UnaryOperation(expression=inner):
            return _may_be_one(inner)
        case cst.Call():
            return called_name(node) in ("ones_like", "tensor", "as_tensor")
    return isinstance(node, cst.BaseNumber)
