"""Logarithms that are a part of a known formula: log(sigmoid(x)), log(exp(x).sum()), p * log(p)."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.algebra.identities import Identities
from pipeline_lint.facts.algebra.identity import Kind
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.origins import LARGEST_EPSILON, Origins
from pipeline_lint.facts.guarding import is_repeatable
from pipeline_lint.source import Source

_ACTIVATIONS = frozenset({"sigmoid", "softmax", "exp"})
_NO_REMEDY = frozenset({Kind.LOG1P})
"""Identities whose function has the same infinity: log(1 + x) and log1p(x) at -1."""
_MOST_FACTORS = 20


class LogarithmFormulas:
    """The logarithms of one file that other rules look at: `source.fact(LogarithmFormulas)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._calls = source.fact(Calls)
        self._origins = source.fact(Origins)
        self._identities = {
            id(identity.node) for identity in source.fact(Identities).all if identity.kind not in _NO_REMEDY
        }
        self._complements: set[tuple[int, str]] = set()
        self._plain: set[tuple[int, str]] = set()
        """What log(1 - x) and log(x) are of, by function."""
        for operation in self._calls.operations("log", "log1p", "log2", "log10"):
            if operation.input is not None:
                function = id(source.function_of(operation.call))
                if operation.name == "log1p":
                    # Who writes log1p(-x) knows what x is.
                    continue
                complement = _complement(operation.input)
                if complement is not None:
                    self._complements.add((function, source.code(complement)))
                else:
                    self._plain.add((function, source.code(operation.input)))

    def is_beside_complement(self, log: cst.Call, argument: cst.BaseExpression) -> bool:
        """Whether this is log(x) or log(1 - x), and the other stands in the same function: x is a probability."""
        operation, function = self._calls.operation(log), id(self._source.function_of(log))
        if operation is None or operation.name == "log1p":
            return False
        complement = _complement(argument)
        if complement is not None:
            return (function, self._source.code(complement)) in self._plain
        return (function, self._source.code(argument)) in self._complements

    def has_function_of_its_own(self, log: cst.Call, argument: cst.BaseExpression) -> bool:
        """Whether a logarithm is of an activation or of exponentials, which another function computes directly."""
        if id(log) in self._identities:
            return True
        operation, origin = self._calls.operation(log), self._origins.origin(argument)
        if operation is None or origin is None or abs(origin.scale) != 1.0:
            return False
        name = origin.activation.name
        if name not in _ACTIVATIONS or (name == "softmax" and (origin.scale < 0 or operation.name == "log1p")):
            return False
        rest = origin.offset + (operation.name == "log1p") - (origin.scale < 0)
        return 0 <= rest <= LARGEST_EPSILON


def _complement(argument: cst.BaseExpression) -> cst.BaseExpression | None:
    """`x` of 1 - x."""
    match argument:
        case cst.BinaryOperation(left=cst.Integer(value="1") | cst.Float(), operator=cst.Subtract(), right=right):
            return right
    return None


def feeds_only_its_argument_times(source: Source, log: cst.BaseExpression, argument: cst.BaseExpression) -> bool:
    """Whether all that is done with log(p) is p * log(p), which is 0 at 0 if only the logarithm is finite."""
    if not is_repeatable(argument):
        return False
    if _is_multiplied_by(source, log, argument):
        return True
    statement = source.parent(log)
    match statement:
        case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))]):
            flow, function = source.fact(Flow), source.function_of(statement)
            if function is None or flow.num_bindings(name, at=statement) != 1:
                return False
            uses = flow.uses(name, within=function)
            return bool(uses) and all(
                _is_multiplied_by(source, use, argument) and flow.has_same_value(argument, at=use) for use in uses
            )
    return False


def _is_multiplied_by(source: Source, log: cst.BaseExpression, argument: cst.BaseExpression) -> bool:
    """Whether an expression stands in a product of which another factor is `argument`."""
    product: cst.BaseExpression = log
    above = source.parent(product)
    while isinstance(above, cst.BinaryOperation | cst.UnaryOperation):
        if not isinstance(above.operator, cst.Multiply | cst.Minus):
            break
        product, above = above, source.parent(above)
    call = source.parent(above) if isinstance(above, cst.Arg) else None
    operation = source.fact(Calls).operation(call) if isinstance(call, cst.Call) else None
    others = list(operation.operands.values()) if operation is not None and operation.name == "mul" else []
    code = source.code(argument)
    return any(
        factor is not log and source.code(factor) == code for part in (product, *others) for factor in factors(part)
    )


def factors(product: cst.BaseExpression) -> Iterator[cst.BaseExpression]:
    """The factors of a product, without their signs."""
    waiting = [product]
    for _ in range(_MOST_FACTORS):
        if not waiting:
            return
        node = waiting.pop()
        match node:
            case cst.BinaryOperation(operator=cst.Multiply(), left=left, right=right):
                waiting += [left, right]
            case cst.UnaryOperation(operator=cst.Minus(), expression=inner):
                waiting.append(inner)
            case _:
                yield node
