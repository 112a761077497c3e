"""Variances written as the mean of the squares minus the square of the mean."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.algebra.formulas import Formula, Formulas
from pipeline_lint.facts.code.calls import NO_TENSOR_PACKAGES, Calls, Operation
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Definition
from pipeline_lint.facts.code.names import Names, dotted_name
from pipeline_lint.source import Source

_TOTALS = frozenset({"sum", "nansum", "cumsum"})
_ELEMENTWISE_NAMES = """
abs acos add asin atan clamp clamp_min clamp_max clone contiguous cos cosh detach div double exp expm1 flatten float
gather half index_select log log1p mul neg permute pow reciprocal relu reshape rsqrt select sigmoid sign sin softmax
sqrt square squeeze stack sub tanh to transpose unsqueeze view zeros_like
"""
_ELEMENTWISE = frozenset(_ELEMENTWISE_NAMES.split())
"""Operations that make no average of what they are given."""
_MEAN_NAME = re.compile(r"mean|avg|average|^mu|_mu(?:_|$)|moment|^e_?x|expect", re.IGNORECASE)
_SQUARES_NAME = re.compile(r"sq(?:uare[sd]?)?(?:_|$)|(?:_|^)sq|2$|_2_|second", re.IGNORECASE)
_AVERAGE_NAME = re.compile(r"mean|avg|average|mu|sum|total", re.IGNORECASE)
_LOCAL_AVERAGE = re.compile(r"conv|pool|filter|blur|gauss|window|unfold", re.IGNORECASE)
_NUMPY_CALL = re.compile(r"\b(?:np|numpy|jnp|math)\.")


@dataclass(frozen=True, slots=True, eq=False)
class Variance:
    """`mean(x ** 2) - mean(x) ** 2`, whatever makes the means."""

    node: cst.BaseExpression
    operand: cst.BaseExpression | None
    """`x`; None where only the names say what is subtracted from what."""
    definitions: tuple[Definition, ...]
    means: tuple[Operation, Operation] | None
    """Both means, where they are `mean` of torch over the same dims."""
    is_local: bool = False
    """Whether the means are of the few values around each."""


@dataclass(frozen=True, slots=True, eq=False)
class _Average:
    """A linear function of a value: a mean, a sum, a pooling, a convolution, an aggregation."""

    value: cst.BaseExpression
    key: tuple[str, ...]
    """What is done to the value; equal for both averages of a variance."""
    formula: Formula
    is_divided: bool
    definitions: tuple[Definition, ...]


class Variances:
    """The variances of one file: `source.fact(Variances)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._formulas = source.fact(Formulas)
        self._calls = source.fact(Calls)
        self._names = source.fact(Names)
        differences: list[cst.BaseExpression] = [
            node
            for node in source.nodes(cst.BinaryOperation)
            if isinstance(node.operator, cst.Subtract) and not isinstance(node.left, cst.BaseNumber)
        ]
        differences += [operation.call for operation in self._calls.operations("sub")]
        found = [self._variance(node) for node in differences]
        self.all = [variance for variance in found if variance is not None]

    def _variance(self, node: cst.BaseExpression) -> Variance | None:
        difference = self._formulas.of(node)
        if difference.name != "sub" or len(difference.operands) != 2:
            return None
        left, right = difference.operands
        if not self._may_be_square(right):
            return None
        squared = self._squared_average(right)
        if squared is None:
            return self._by_name(node, left, right)
        mean, definitions, is_divided = squared
        squares = self._average(left)
        if squares is None:
            return None
        square = self._formulas.of(squares.value)
        base = self._base(square)
        if base is None or not self._formulas.are_same(base, mean.value) or squares.key[:1] != mean.key[:1]:
            return None
        if mean.key[0] in _TOTALS and not (is_divided or squares.is_divided):
            return None
        definitions = (*definitions, *squares.definitions, *square.definitions)
        is_local = _LOCAL_AVERAGE.search(mean.key[0]) is not None
        return Variance(node, base, tuple(dict.fromkeys(definitions)), self._means(squares, mean), is_local)

    def _means(self, squares: _Average, mean: _Average) -> tuple[Operation, Operation] | None:
        one, other = squares.formula.operation, mean.formula.operation
        if one is None or other is None or one.name != "mean" or squares.key != mean.key:
            return None
        return None if squares.is_divided or mean.is_divided else (one, other)

    def _may_be_square(self, node: cst.BaseExpression) -> bool:
        """A quick look at the spelling, so that the names of most differences are never followed."""
        match node:
            case cst.BinaryOperation(left=left, operator=cst.Divide()):
                return self._may_be_square(left)
            case cst.Name(value=name):
                return name in self._names_of_squares
        return _is_spelled_as_square(node)

    @functools.cached_property
    def _names_of_squares(self) -> frozenset[str]:
        """Names that are given what is spelled as a square somewhere in the file."""
        found: set[str] = set()
        for assign in self._source.nodes(cst.Assign):
            for target in assign.targets:
                names: list[cst.CSTNode] = [target.target]
                values = [assign.value]
                if isinstance(target.target, cst.Tuple) and isinstance(assign.value, cst.Tuple):
                    names = [element.value for element in target.target.elements]
                    values = [element.value for element in assign.value.elements]
                pairs = zip(names, values, strict=False)
                found.update(
                    name.value for name, value in pairs if isinstance(name, cst.Name) and _is_spelled_as_square(value)
                )
        return frozenset(found)

    def _base(self, formula: Formula) -> cst.BaseExpression | None:
        """`x` of `x ** 2`, `x * x` and `torch.square(x)`."""
        match formula.name, formula.operands:
            case "square", (inner,):
                return inner
            case "pow", (inner, power) if self._formulas.number(power) == 2:
                return inner
            case "mul", (one, other) if self._formulas.are_same(one, other):
                return one
        return None

    def _squared_average(self, node: cst.BaseExpression) -> tuple[_Average, tuple[Definition, ...], bool] | None:
        """The average whose square it is, perhaps divided, the names followed, and whether anything is divided."""
        formula = self._formulas.of(node)
        if formula.name == "div" and formula.operands:
            inner = self._squared_average(formula.operands[0])
            return (inner[0], (*formula.definitions, *inner[1]), True) if inner is not None else None
        base = self._base(formula)
        if base is not None:
            average = self._average(base)
            if average is None:
                return None
            return average, (*formula.definitions, *average.definitions), average.is_divided
        if formula.name == "mul" and len(formula.operands) == 2:
            # `mean * sum`, as in `(sum_of_squares - mean * sum) / n`.
            one, other = (self._average(operand) for operand in formula.operands)
            if one is None or other is None or one.key != other.key:
                return None
            if self._formulas.are_same(one.value, other.value):
                definitions = (*formula.definitions, *one.definitions, *other.definitions)
                return one, definitions, one.is_divided or other.is_divided
        return None

    def _average(self, node: cst.BaseExpression) -> _Average | None:
        formula = self._formulas.of(node)
        definitions = formula.definitions
        if formula.name == "div" and formula.operands:
            inner = self._average(formula.operands[0])
            if inner is None:
                return None
            return _Average(inner.value, inner.key, inner.formula, True, (*definitions, *inner.definitions))
        if not formula.name:
            return self._own_average(node)
        if formula.operation is None or not formula.operands or formula.name in _ELEMENTWISE:
            return None
        rest = (
            f"{name}={self._source.code(operand)}"
            for name, operand in sorted(formula.operation.operands.items())
            if name != "input"
        )
        return _Average(formula.operands[0], (formula.name, *rest), formula, False, definitions)

    def _own_average(self, node: cst.BaseExpression) -> _Average | None:
        """A function of the program's own, `filter2d(x, kernel)`, that both averages call."""
        definitions: tuple[Definition, ...] = ()
        value = node
        if isinstance(node, cst.Name):
            definition = self._formulas.definition_of(node)
            if definition is None:
                return None
            definitions, value = (definition,), definition.value
        if not isinstance(value, cst.Call) or not value.args or self._calls.operation(value) is not None:
            return None
        name = dotted_name(value.func)
        path = self._names.resolve(value.func) or ""
        if path.lstrip(".").partition(".")[0] in NO_TENSOR_PACKAGES:
            return None
        first = value.args[0]
        if not name or first.star or (first.keyword is not None and first.keyword.value not in ("input", "x")):
            return None
        rest = (self._source.code(argument) for argument in value.args[1:])
        return _Average(first.value, (name, *rest), Formula("", value), False, definitions)

    def _by_name(
        self, node: cst.BaseExpression, left: cst.BaseExpression, right: cst.BaseExpression
    ) -> Variance | None:
        """`mean_of_squares - mean ** 2`, where the values come from elsewhere."""
        base = self._base(self._formulas.of(right))
        if base is None or self._formulas.of(base).name or self._formulas.of(left).name:
            return None
        squares, mean = (dotted_name(each).rpartition(".")[2] for each in (left, base))
        are_means = all(name and _MEAN_NAME.search(name) for name in (squares, mean))
        if not are_means or squares == mean or not _SQUARES_NAME.search(squares) or "sq" in mean:
            return None
        function = self._source.function_of(node)
        if function is None or _NUMPY_CALL.search(self._source.code(function)):
            # Names do not tell tensors from arrays.
            return None
        return Variance(node, None, self._formulas.of(right).definitions, None)


def _is_spelled_as_square(node: cst.BaseExpression) -> bool:
    """Whether it is `x ** 2`, `x * x`, `x.pow(2)`, `mean * total` or the like."""
    match node:
        case cst.BinaryOperation(operator=cst.Power(), right=power):
            return isinstance(power, cst.BaseNumber)
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right):
            one, other = dotted_name(left), dotted_name(right)
            if one and other:
                return one == other or any(map(_AVERAGE_NAME.search, (one, other)))
            return type(left) is type(right) and isinstance(left, cst.Call)
        case cst.Call():
            return called_name(node) in ("pow", "square", "mul")
    return False
