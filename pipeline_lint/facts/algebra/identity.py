"""Formulas written out by hand that torch has a function for, and what is noted while one is recognised."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import libcst as cst

from pipeline_lint.facts.algebra.formulas import Formula, Formulas
from pipeline_lint.facts.code.calls import Operation
from pipeline_lint.facts.code.flow import Definition


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
class Reading:
    """What one attempt at an identity has gone through."""

    formulas: Formulas
    definitions: list[Definition] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    nodes: list[cst.BaseExpression] = field(default_factory=list)

    def of(self, expression: cst.BaseExpression) -> Formula:
        """The formula of an expression, which is part of the identity."""
        return self.note(self.formulas.of(expression))

    def note(self, formula: Formula) -> Formula:
        """A formula that is part of the identity."""
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

    def reduction_with_epsilon(self, formula: Formula) -> Formula | None:
        """The sum or mean in `e.sum(1) + eps` and `e.sum(1).clamp(min=eps)`."""
        if formula.name in ("clamp", "clamp_min") and formula.operands:
            inner, _ = self.formulas.without_reshapes(formula.operands[0])
            return inner if inner.name in ("sum", "mean") else None
        terms = self.formulas.two_terms(formula)
        for one, other in (terms, terms[::-1]) if terms is not None else ():
            inner, _ = self.formulas.without_reshapes(one.node)
            if inner.name in ("sum", "mean") and one.sign == other.sign == 1 and self.formulas.is_epsilon(other.node):
                return inner
        return None

    def identity(
        self, kind: Kind, node: cst.BaseExpression, *operands: cst.BaseExpression, **details: object
    ) -> Identity:
        """What was recognised, with all that was noted."""
        reduction = details.get("reduction")
        operations = tuple(each for each in self.operations if each is not reduction)
        return Identity(kind, node, operands, tuple(dict.fromkeys(self.definitions)), operations, **details)  # type: ignore[arg-type] # checked where they are written
