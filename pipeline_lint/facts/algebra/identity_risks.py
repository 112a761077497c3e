"""How surely a formula written out by hand goes wrong, and by what."""

from __future__ import annotations

import enum
import math
import re
from typing import NamedTuple

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.algebra.consequences import Consequence, consequence_of
from pipeline_lint.facts.algebra.exponents import Exponents
from pipeline_lint.facts.algebra.formulas import Formulas
from pipeline_lint.facts.algebra.identity import Identity, Kind
from pipeline_lint.facts.code.events import called_name, paths_read
from pipeline_lint.facts.code.reach import Reach
from pipeline_lint.source import Source

_LARGEST = 80.0
"""An exponent up to here overflows in no dtype but float16."""
_COUNT_NAME = re.compile(
    r"deg(ree)?s?$|count|^n(um)?(_|$)|(_|^)n$|dur(ation)?s?$|len(gth)?s?$|^pos$|position|coord|rank|^steps?$|epoch|freq|"
    r"plus_(one|1)$|^(idx|index|indices)$",
    re.IGNORECASE,
)
_WHOLE_NUMBERS = frozenset({"floor", "ceil", "round", "trunc", "long", "int", "bincount", "degree", "count_nonzero"})


class Cause(enum.Enum):
    """What makes the result wrong."""

    OVERFLOW = "an exponential is inf"
    UNDERFLOW = "every exponential of a sum is 0"
    ROUNDING = "a small number added to 1 is lost"


class Risk(NamedTuple):
    """How surely it goes wrong, and by what."""

    confidence: Confidence
    cause: Cause


def risk_of(source: Source, identity: Identity) -> Risk | None:
    """The risk of an identity; None where nothing goes wrong, as its operands are bounded or do not vary."""
    reaches = [source.fact(Exponents).reach(operand) for operand in identity.operands]
    if all(reach.is_table for reach in reaches) or _is_called_at_once(source, identity.node):
        return None
    match identity.kind:
        case Kind.LOG1P:
            return _rounding(_of_log1p(source, identity))
        case Kind.EXPM1 | Kind.COMPLEMENT_OF_EXP | Kind.COMPLEMENT_OF_COS:
            return _rounding(_of_difference(source, identity))
        case Kind.LOG_OF_COMPLEMENT:
            is_bounded = source.fact(Formulas).of(identity.operands[0]).name.startswith("clamp")
            return None if is_bounded or reaches[0].high < 0 else Risk(Confidence.CERTAIN, Cause.ROUNDING)
        case Kind.INVERSE_SOFTPLUS:
            return Risk(Confidence.LIKELY, Cause.OVERFLOW) if reaches[0].high > _LARGEST else None
        case Kind.LOGSUMEXP | Kind.LOG_OF_MEAN | Kind.SOFTMAX | Kind.LOGADDEXP | Kind.SIGMOID_OF_DIFFERENCE:
            return _of_exponentials(identity, reaches)
    return _of_one_exponential(identity, reaches[0])


def _rounding(confidence: Confidence | None) -> Risk | None:
    return Risk(confidence, Cause.ROUNDING) if confidence is not None else None


def _is_called_at_once(source: Source, node: cst.BaseExpression) -> bool:
    """Whether it stands in `(lambda z: z.exp().log1p())(x.masked_fill(...))`, whose argument is bounded for it."""
    function = source.function_of(node)
    call = source.parent(function) if isinstance(function, cst.Lambda) else None
    return isinstance(call, cst.Call) and call.func is function


def _of_exponentials(identity: Identity, reaches: list[Reach]) -> Risk | None:
    """Sums of exponentials: of one that is inf, or of none that is more than 0."""
    if any(reach.is_shifted for reach in reaches):
        return None
    high = max(reach.high for reach in reaches)
    if high == math.inf:
        return Risk(Confidence.LIKELY if identity.is_weighted else Confidence.CERTAIN, Cause.OVERFLOW)
    if high > _LARGEST:
        return Risk(Confidence.POSSIBLE, Cause.OVERFLOW)
    if identity.has_epsilon or min(reach.low for reach in reaches) >= -_LARGEST:
        return None
    is_gaussian = any(reach.is_gaussian for reach in reaches)
    return Risk(Confidence.POSSIBLE if is_gaussian else Confidence.LIKELY, Cause.UNDERFLOW)


def _of_one_exponential(identity: Identity, reach: Reach) -> Risk | None:
    """One plus one exponential: inf where that is, and 1 where that is small, which matters to a logarithm alone."""
    if reach.high == math.inf:
        is_quotient_of_something = identity.numerator is not None and not isinstance(identity.numerator, cst.BaseNumber)
        return Risk(Confidence.LIKELY if is_quotient_of_something else Confidence.CERTAIN, Cause.OVERFLOW)
    if reach.high > _LARGEST:
        return Risk(Confidence.POSSIBLE, Cause.OVERFLOW)
    is_log = any(operation.name == "log" for operation in identity.operations)
    is_softplus = identity.kind is Kind.SOFTPLUS and is_log and not reach.is_shifted
    return Risk(Confidence.POSSIBLE, Cause.ROUNDING) if is_softplus else None


def _of_log1p(source: Source, identity: Identity) -> Confidence | None:
    """Whole numbers lose nothing by adding 1 to them, and counts are mostly whole numbers."""
    operand = identity.operands[0]
    formula = source.fact(Formulas).of(operand)
    if formula.name in _WHOLE_NUMBERS or called_name(formula.node) in _WHOLE_NUMBERS:
        return None
    if formula.name == "sum" and isinstance(formula.operands[0], cst.Comparison):
        return None
    if _has_counts(identity):
        return Confidence.POSSIBLE
    is_small = consequence_of(source, identity.node, identity.operands[0]) in (Consequence.USED, Consequence.MAGNIFIED)
    return Confidence.LIKELY if is_small else Confidence.POSSIBLE


def _of_difference(source: Source, identity: Identity) -> Confidence | None:
    """`exp(x) - 1` is written for its small values; 1 minus something mostly as a weight between 0 and 1."""
    match consequence_of(source, identity.node, identity.operands[0]):
        case Consequence.ROUNDED:
            return None
        case Consequence.ADDED:
            above = source.parent(identity.node)
            # `exp(x) - 1 - x` is smaller still than `exp(x) - 1`.
            others = (above.left, above.right) if isinstance(above, cst.BinaryOperation) else ()
            is_remainder = identity.kind is Kind.EXPM1 and any(
                source.fact(Formulas).are_same(identity.operands[0], other) for other in others
            )
            return Confidence.LIKELY if is_remainder else Confidence.POSSIBLE
        case Consequence.MAGNIFIED if identity.kind is not Kind.EXPM1:
            return Confidence.POSSIBLE if _is_choice(source, identity.node) else Confidence.LIKELY
    is_likely = identity.kind is Kind.EXPM1 and not _has_counts(identity)
    return Confidence.LIKELY if is_likely else Confidence.POSSIBLE


def _is_choice(source: Source, node: cst.BaseExpression) -> bool:
    """Whether the value is one of those that `torch.where` chooses from, perhaps by the size of x."""
    for above in source.ancestors(node):
        if isinstance(above, cst.Call) and called_name(above) == "where":
            return True
        if isinstance(above, cst.BaseSmallStatement | cst.BaseCompoundStatement):
            return False
    return False


def _has_counts(identity: Identity) -> bool:
    """Whether a name says that the formula is about counts, lengths or positions."""
    names = [path.rpartition(".")[2] for path, _ in paths_read(identity.operands[0])]
    names += [definition.name for definition in identity.definitions]
    return any(_COUNT_NAME.search(name) for name in names)
