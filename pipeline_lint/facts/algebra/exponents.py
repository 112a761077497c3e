"""How far the argument of an exponential reaches, as far as its formula and its names tell.

A formula such as `-(a - b) ** 2`, `x - x.max()` or `F.cosine_similarity(a, b)` bounds its own value. Where nothing
does, the value is taken to be any number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace

import libcst as cst

from pipeline_lint.facts.algebra.formulas import Formula, Formulas
from pipeline_lint.facts.algebra.rebindings import Rebindings
from pipeline_lint.facts.code.calls import Operation
from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.reach import Reach
from pipeline_lint.source import Source

_INF = math.inf
_UNIT = frozenset({"sin", "cos", "tanh", "erf", "cosine_similarity", "hardtanh", "sign", "softsign", "normalize"})
_FRACTION = frozenset({"sigmoid", "softmax", "hardsigmoid", "rand", "rand_like", "erfc"})
_POSITIVE_NAMES = """
abs relu relu6 square exp softplus norm linalg_norm vector_norm matrix_norm cdist pairwise_distance dist var std sqrt
mse_loss l1_loss smooth_l1_loss huber_loss cross_entropy nll_loss binary_cross_entropy logaddexp count_nonzero
binary_cross_entropy_with_logits
"""
_POSITIVE = frozenset(_POSITIVE_NAMES.split())
_NEGATIVE = frozenset({"logsigmoid", "log_softmax"})
_TABLES = frozenset({"arange", "linspace", "tensor", "zeros", "ones", "full", "zeros_like", "ones_like", "full_like"})
_TABLE_CALLS = frozenset({"Tensor", "FloatTensor", "scalar_tensor", "logspace", "meshgrid", "len", "range"})
_KEEPS_RANGE = """
mean amax amin max min clone contiguous detach view reshape flatten expand expand_as repeat squeeze unsqueeze transpose
t permute to float double half bfloat16 cpu gather index_select masked_select select narrow flip roll sort triu tril
type_as masked_fill
"""
_RANGE_KEEPERS = frozenset(_KEEPS_RANGE.split())
_SCALE_NAME = re.compile(
    r"^(tau|temp\w*|t|s|scale|\w*_scale|sigma\w*|std|bandwidth|gamma|alpha|beta|eta|kappa|lengthscale|\w*temperature)$",
    re.IGNORECASE,
)
_MAXIMUM_NAME = re.compile(r"max|logsumexp|(?:^|_)lse(?:_|$)", re.IGNORECASE)
_SHIFTED_NAME = re.compile(r"shifted|stable|centered", re.IGNORECASE)
_LOG_PROBABILITY_NAME = re.compile(r"^log_?p(rob(abilitie)?s?|t|i)?$|log_?prob|^lp$", re.IGNORECASE)
_DISTANCE_NAME = re.compile(r"dist(ance)?s?(_mat|_matrix|_sq\w*)?$|^d2$|^sq_?d", re.IGNORECASE)
_SIZE_NAME = re.compile(r"^(n|num_\w+|\w*size|\w*length|radius|center|half|steps)$")
_IMAGE_NAME = re.compile(r"^(image|img|pixel(_value)?)s?\d*$", re.IGNORECASE)
_MARGIN_NAME = re.compile(r"(^|_)margin$", re.IGNORECASE)
_LARGEST_MARGIN = 10.0
_LARGEST_SCALE = 100.0
_LARGEST_LOGARITHM = 70.0
"""Of a number that was clamped at an epsilon, or of one over it."""
_LOGARITHMS = frozenset({"log", "log2", "log10", "logit"})
_MOST_STEPS = 12


_UNKNOWN = Reach()


class Exponents:
    """What exponents of one file can reach: `source.fact(Exponents)`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._formulas = source.fact(Formulas)
        self._rebindings = source.fact(Rebindings)
        self._waiting: set[tuple[int, str]] = set()
        self._begun: dict[tuple[int, str], Reach] = {}
        """What variables that are being looked at are known to be so far."""
        # Names share what they stand for, so that paths through a chain of assignments are exponentially many.
        self._reached: dict[tuple[int, int], Reach] = {}
        self._maxima: dict[tuple[int, int], bool] = {}

    def reach(self, expression: cst.BaseExpression, _steps: int = _MOST_STEPS) -> Reach:
        """The values that an expression can have."""
        if _steps == 0:
            return _UNKNOWN
        key = (id(expression), _steps)
        if key not in self._reached:
            self._reached[key] = self._read(expression, _steps)
        return self._reached[key]

    def _read(self, expression: cst.BaseExpression, steps: int) -> Reach:
        number = self._formulas.number(expression)
        if number is not None:
            return Reach(number, number, is_table=True)
        formula = self._formulas.of(expression)
        if formula.name == "":
            return self._leaf(formula.node, steps)
        if formula.operation is not None and formula.operation.is_inplace:
            inplace = replace(formula.operation, is_inplace=False)
            formula = Formula(formula.name, formula.node, formula.operands, inplace)
        return self._calculated(formula, steps - 1)

    def is_rebound(self, expression: cst.BaseExpression) -> bool:
        """Whether it is a variable that is given several values in turn, so that its formula is not known."""
        formula = self._formulas.of(expression)
        if formula.name or not isinstance(formula.node, cst.Name):
            return False
        return bool(self._rebindings.given(formula.node.value, at=formula.node))

    def _leaf(self, node: cst.BaseExpression, steps: int) -> Reach:
        match node:
            case cst.IfExp(body=one, orelse=other):
                return self.reach(one, steps - 1).joined(self.reach(other, steps - 1))
            case cst.Subscript(value=inner):
                return self.reach(inner, steps - 1)
            case cst.Attribute(value=inner, attr=cst.Name(value="T" | "mT" | "data" | "values")):
                return self.reach(inner, steps - 1)
            case cst.Name(value=name):
                return self._named(node, name, steps)
            case cst.Attribute(attr=cst.Name(value=name)):
                return _by_name(name)
            case cst.BinaryOperation(operator=cst.FloorDivide()):
                return Reach(is_table=True)
            case cst.Call() if called_name(node) in _TABLE_CALLS:
                return Reach(is_table=True)
            case cst.Call() if _DISTANCE_NAME.search(called_name(node)):
                return Reach(0.0)
            case cst.Call(func=cst.Attribute(value=cst.Name(value="math"))):
                return Reach(is_table=True)
        return _UNKNOWN

    def _named(self, node: cst.Name, name: str, steps: int) -> Reach:
        """A name that is bound more than once, unpacked, or a parameter."""
        function = self._source.function_of(node)
        key = (id(function), name)
        if key in self._waiting:
            return self._begun.get(key, _by_name(name))
        self._waiting.add(key)
        try:
            changes = self._rebindings.changes(name, at=node)
            taken_off = (each.value for each in changes if isinstance(each.operator, cst.SubtractAssign))
            if any(self._is_maximum(value) for value in taken_off):
                return Reach(high=0.0, is_shifted=True)
            values = self._rebindings.given(name, at=node)
            default = self._rebindings.default(name, at=node) if not values else None
            number = self._formulas.number(default) if default is not None else None
            if number is not None:
                # A setting, which others set to what is of the same size.
                bound = _LARGEST_SCALE * abs(number)
                return Reach(-bound if number < 0 else 0.0, bound if number > 0 else 0.0, is_table=True)
            reaches = [self.reach(value, steps - 1) for value in values]
            if any(reach.is_shifted for reach in reaches):
                return Reach(high=0.0, is_shifted=True)
            if reaches and all(reach.is_table for reach in reaches):
                return Reach(is_table=True)
            begun = self._begun_at(node, name, steps)
            if begun is not None:
                return begun
        finally:
            self._waiting.discard(key)
            self._begun.pop(key, None)
        return _by_name(name)

    def _begun_at(self, node: cst.Name, name: str, steps: int) -> Reach | None:
        """What a variable is before a node, where it begins with what is bounded and has bounded values added."""
        key = (id(self._source.function_of(node)), name)
        place = self._source.span(node)[0]
        before = [each for each in self._rebindings.given(name, at=node) if self._source.span(each)[1] < place]
        if len(before) != 1:
            return None
        reach = self.reach(before[0], steps - 1)
        for change in self._rebindings.changes(name, at=node):
            if not math.isfinite(reach.low) or not math.isfinite(reach.high):
                return None
            if not isinstance(change.operator, cst.AddAssign) or self._source.enclosing(change, cst.For) is not None:
                return None
            if self._source.span(change)[1] >= place:
                continue
            self._begun[key] = reach
            reach = reach.plus(self.reach(change.value, steps - 1))
        return reach if math.isfinite(reach.low) and math.isfinite(reach.high) else None

    def _calculated(self, formula: Formula, steps: int) -> Reach:
        name, operands = formula.name, formula.operands
        if name in _TABLES:
            return Reach(is_table=True)
        if name in _UNIT:
            return Reach(-1.0, 1.0)
        if name in _FRACTION:
            return Reach(0.0, 1.0)
        if name in _POSITIVE:
            inner = self.reach(operands[0], steps) if operands else _UNKNOWN
            return Reach(0.0, is_table=inner.is_table)
        if name in _NEGATIVE:
            return Reach(high=0.0)
        if name in _LOGARITHMS and operands and self._is_clamped(operands[0], steps):
            return Reach(-_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)
        if name in ("clamp", "clamp_min", "clamp_max", "hardtanh") and formula.operation is not None:
            return self._clamped(formula.operation, steps)
        if name in _RANGE_KEEPERS and operands:
            return self.reach(operands[0], steps)
        if name == "where" and formula.operation is not None and "other" in formula.operation.operands:
            other = self.reach(formula.operation.operands["other"], steps)
            return self.reach(operands[0], steps).joined(other)
        if name == "sum" and operands:
            inner = self.reach(operands[0], steps)
            low, high = (0.0 if inner.low >= 0 else -_INF), (0.0 if inner.high <= 0 else _INF)
            return replace(inner, low=low, high=high, is_shifted=False)
        if name == "neg" and operands:
            return self.reach(operands[0], steps).negated()
        if len(operands) != 2:
            return _UNKNOWN
        left, right = operands
        match name:
            case "add":
                return self.reach(left, steps).plus(self.reach(right, steps))
            case "sub":
                if self._is_maximum(right):
                    return Reach(high=0.0, is_shifted=True)
                return self.reach(left, steps).plus(self.reach(right, steps).negated())
            case "mul":
                if self._formulas.are_same(left, right):
                    return Reach(0.0, is_table=self.reach(left, steps).is_table, is_gaussian=True)
                if self._formulas.are_opposite(left, right):
                    return Reach(high=0.0, is_table=self.reach(left, steps).is_table, is_gaussian=True)
                return self._scaled(left, right, steps, is_quotient=False)
            case "div":
                return self._scaled(left, right, steps, is_quotient=True)
            case "pow":
                inner, power = self.reach(left, steps), self._formulas.number(right)
                is_even = power is not None and power % 2 == 0
                low = 0.0 if is_even or inner.low >= 0 else -_INF
                return Reach(low, is_table=inner.is_table, is_gaussian=is_even)
        return _UNKNOWN

    def _scaled(self, left: cst.BaseExpression, right: cst.BaseExpression, steps: int, *, is_quotient: bool) -> Reach:
        """A product or quotient; a scale without a known value is taken to be positive."""
        one, other = self.reach(left, steps), self.reach(right, steps)
        if not is_quotient and _is_scale(left) and not _is_scale(right):
            left, right, one, other = right, left, other, one
        if not is_quotient and one.low == one.high and math.isfinite(one.low):
            one, other = other, one
        is_table = one.is_table and (other.is_table or _is_scale(right))
        is_gaussian = one.is_gaussian or other.is_gaussian
        if other.low == other.high and math.isfinite(other.low) and (other.low or not is_quotient):
            factor = 1 / other.low if is_quotient else other.low
            return replace(one.times(factor), is_table=is_table, is_gaussian=is_gaussian)
        if one.is_shifted or other.is_shifted:
            return Reach(high=0.0, is_shifted=True)
        is_positive = other.low >= 0 or _is_scale(right) or is_quotient
        if math.isfinite(one.low) and math.isfinite(one.high) and _is_scale(right):
            bound = _LARGEST_SCALE * max(abs(one.low), abs(one.high))
            return Reach(-bound if one.low < 0 else 0.0, bound if one.high > 0 else 0.0, is_table=is_table)
        if not is_quotient and all(map(math.isfinite, (one.low, one.high, other.low, other.high))):
            products = [one.low * other.low, one.low * other.high, one.high * other.low, one.high * other.high]
            return Reach(min(products), max(products), is_table=is_table)
        low = 0.0 if is_positive and one.low >= 0 else -_INF
        high = 0.0 if is_positive and one.high <= 0 else _INF
        if not is_quotient and is_gaussian and any(map(_is_negative, (left, right))):
            # `-precision * (a - b) ** 2`, whatever the precision is called.
            high = 0.0
        return Reach(low, high, is_table=is_table, is_gaussian=is_gaussian)

    def _is_clamped(self, expression: cst.BaseExpression, steps: int) -> bool:
        """Whether what a logarithm is of is clamped, or the quotient of what is."""
        formula = self._formulas.of(expression)
        if formula.name in ("clamp", "clamp_min"):
            return True
        is_followed = formula.name in ("div", "sub", "rsub", "neg", "reciprocal") and steps > 0
        return is_followed and any(self._is_clamped(operand, steps - 1) for operand in formula.operands)

    def _clamped(self, operation: Operation, steps: int) -> Reach:
        inner = self.reach(operation.input, steps) if operation.input is not None else _UNKNOWN
        low, high = inner.low, inner.high
        bounds = {"min": operation.operands.get("min"), "max": operation.operands.get("max")}
        for name, bound in bounds.items():
            number = self._formulas.number(bound) if bound is not None else None
            if bound is not None and name == "min":
                low = max(low, number if number is not None else -_LARGEST_SCALE)
            elif bound is not None:
                # A bound without a known value is taken to be one that the author chose well.
                high = min(high, number if number is not None else 0.0)
        return replace(inner, low=min(low, high), high=high)

    def _is_maximum(self, node: cst.BaseExpression, steps: int = 4) -> bool:
        """Whether an expression is called a maximum, calls one, or has its value from what does."""
        key = (id(node), steps)
        if key not in self._maxima:
            self._maxima[key] = self._names_maximum(node, steps)
        return self._maxima[key]

    def _names_maximum(self, node: cst.BaseExpression, steps: int) -> bool:
        names = [each for each in _evaluated(node) if isinstance(each, cst.Name)]
        if any(_MAXIMUM_NAME.search(each.value) for each in names):
            return True
        values = (value for each in names for value in self._rebindings.given(each.value, at=node))
        return steps > 0 and any(
            isinstance(value, cst.Call | cst.Attribute | cst.Subscript | cst.Name)
            and self._is_maximum(value, steps - 1)
            for value in values
        )


def _by_name(name: str) -> Reach:
    if _SHIFTED_NAME.search(name):
        return Reach(high=0.0, is_shifted=True)
    if _LOG_PROBABILITY_NAME.search(name):
        return Reach(high=0.0)
    if _DISTANCE_NAME.search(name):
        return Reach(0.0)
    if _IMAGE_NAME.match(name):
        return Reach(0.0, 255.0)
    if _MARGIN_NAME.search(name):
        return Reach(0.0, _LARGEST_MARGIN)
    if _SIZE_NAME.match(name):
        return Reach(0.0, is_table=True)
    return _UNKNOWN


def _is_scale(node: cst.BaseExpression) -> bool:
    """Whether an expression is a temperature or width by its name, a number, or made of such."""
    match node:
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return bool(_SCALE_NAME.match(name)) or (name.isupper() and len(name) > 1)
        case cst.BinaryOperation(left=left, right=right):
            return _is_scale(left) and _is_scale(right)
        case cst.Call(func=cst.Attribute(value=inner)):
            return _is_scale(inner)
        case cst.Subscript(value=inner):
            return _is_scale(inner)
    return isinstance(node, cst.BaseNumber)


def _is_negative(node: cst.BaseExpression) -> bool:
    return isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus)


def _evaluated(root: cst.CSTNode) -> Iterator[cst.CSTNode]:
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.children)
