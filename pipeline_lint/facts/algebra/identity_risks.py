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
from pipeline_lint.facts.algebra.learned_attributes import LearnedAttributes
from pipeline_lint.facts.code.events import called_name, paths_read
from pipeline_lint.facts.code.reach import Reach
from pipeline_lint.facts.gradient_reach import may_be_differentiated
from pipeline_lint.facts.gradient_uses import loses_gradient
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.trained_code import is_sampler_code, is_trained_code
from pipeline_lint.source import Source

_LARGEST = 80.0
"""An exponent up to here overflows in no dtype but float16."""
_COUNT_NAME = re.compile(
    r"deg(ree)?s?$|count|^n(um)?(_|$)|(_|^)n$|dur(ation)?s?$|len(gth)?s?$|^pos$|position|coord|rank|^steps?$|epoch|freq|"
    r"plus_(one|1)$|^(idx|index|indices)$",
    re.IGNORECASE,
)
_VARIANCE_NAME = re.compile(
    r"^(?!log).*(^|_)(vars?|variances?|cov|covars?|covariances?|sigma_?(sq|squared|2))(_|$)", re.IGNORECASE
)
"""A variance is often tiny, and one of 0 spoils what is computed from it."""
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
            # What a parameter starts with is small; what is trained need not be.
            is_start = not is_trained_code(source, identity.node) or loses_gradient(source, identity.node)
            confidence = Confidence.POSSIBLE if is_start else Confidence.LIKELY
            return Risk(confidence, Cause.OVERFLOW) if reaches[0].high > _LARGEST else None
        case Kind.LOGSUMEXP | Kind.LOG_OF_MEAN | Kind.SOFTMAX | Kind.LOGADDEXP | Kind.SIGMOID_OF_DIFFERENCE:
            return _weighed(source, identity, _of_exponentials(identity, reaches))
    return _weighed(source, identity, _of_one_exponential(source, identity, reaches[0]))


def _weighed(source: Source, identity: Identity, risk: Risk | None) -> Risk | None:
    """The risk, less where an exponent is a parameter, or a variable that was changed on the way."""
    if risk is None:
        return None
    if any(_is_learned(source, operand) or _is_ordered(source, operand) for operand in identity.operands):
        return risk._replace(confidence=Confidence.POSSIBLE)
    is_vague = any(
        source.fact(Exponents).is_rebound(operand) or _is_of_learned(source, operand) for operand in identity.operands
    )
    return risk._replace(confidence=min(risk.confidence, Confidence.LIKELY)) if is_vague else risk


def _is_ordered(source: Source, operand: cst.BaseExpression) -> bool:
    """Whether it is the difference of two names that a condition around compares: `exp(b - a)` below `if a >= b:`."""
    formula, _ = source.fact(Formulas).without_reshapes(operand)
    names = [each.value for each in formula.operands if isinstance(each, cst.Name)]
    if formula.name != "sub" or len(names) != 2:
        return False
    tests = [above.test for above in source.ancestors(operand) if isinstance(above, cst.If | cst.IfExp)]
    return any(isinstance(test, cst.Comparison) and all(name in source.code(test) for name in names) for test in tests)


def _is_of_learned(source: Source, operand: cst.BaseExpression) -> bool:
    """Whether it is a sum of products of parameters."""
    formula, _ = source.fact(Formulas).without_reshapes(operand)
    if formula.name in ("sum", "mul", "matmul", "dot"):
        return bool(formula.operands) and all(_is_of_learned(source, each) for each in formula.operands)
    return _is_learned(source, formula.node)


def _is_learned(source: Source, operand: cst.BaseExpression) -> bool:
    """Whether it is a parameter of the module, perhaps reshaped, negated or times a number."""
    formulas = source.fact(Formulas)
    formula, _ = formulas.without_reshapes(operand)
    match formula.name, formula.node:
        case "", cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)) as node:
            return source.fact(LearnedAttributes).is_learned(node, name)
        case "neg", _:
            return _is_learned(source, formula.operands[0])
        case "mul" | "div", _:
            others = [each for each in formula.operands if formulas.number(each) is None]
            return len(others) == 1 and _is_learned(source, others[0])
    return False


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


def _of_one_exponential(source: Source, identity: Identity, reach: Reach) -> Risk | None:
    """One plus one exponential: inf where that is, and 1 where that is small, which matters to a logarithm alone."""
    if identity.kind is Kind.SIGMOID and identity.factor < 0 and not _is_differentiated(source, identity):
        # 1 / inf is 0, as it should be.
        return Risk(Confidence.POSSIBLE, Cause.OVERFLOW) if reach.high > _LARGEST else None
    if reach.high == math.inf:
        is_quotient_of_something = identity.numerator is not None and not isinstance(identity.numerator, cst.BaseNumber)
        return Risk(Confidence.LIKELY if is_quotient_of_something else Confidence.CERTAIN, Cause.OVERFLOW)
    if reach.high > _LARGEST:
        return Risk(Confidence.POSSIBLE, Cause.OVERFLOW)
    is_log = any(operation.name == "log" for operation in identity.operations)
    is_softplus = identity.kind is Kind.SOFTPLUS and is_log and not reach.is_shifted
    return Risk(Confidence.POSSIBLE, Cause.ROUNDING) if is_softplus else None


def _is_differentiated(source: Source, identity: Identity) -> bool:
    site = source.fact(Ranges).site(identity.node)
    return site is None or may_be_differentiated(source, site)


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
    consequence = consequence_of(source, identity.node, identity.operands[0])
    return Confidence.LIKELY if _matters(source, identity, consequence) else Confidence.POSSIBLE


def _of_difference(source: Source, identity: Identity) -> Confidence | None:
    """`exp(x) - 1`, `1 - exp(x)`, `1 - cos(x)`: small where x is, and then all of it is rounding."""
    consequence = consequence_of(source, identity.node, identity.operands[0])
    if consequence is Consequence.ROUNDED:
        return None
    if consequence is Consequence.ADDED:
        # `exp(x) - 1 - x` is smaller still than `exp(x) - 1`.
        above = source.parent(identity.node)
        others = (above.left, above.right) if isinstance(above, cst.BinaryOperation) else ()
        if any(source.fact(Formulas).are_same(identity.operands[0], other) for other in others):
            assert isinstance(above, cst.BinaryOperation)
            consequence = consequence_of(source, above, identity.operands[0])
    return Confidence.LIKELY if _matters(source, identity, consequence) else Confidence.POSSIBLE


def _matters(source: Source, identity: Identity, consequence: Consequence) -> bool:
    """Whether anybody meets the loss of a small value's digits.

    Its absolute error is at most 6e-8 in float32: that counts where it is magnified, and of variances and symmetric
    transforms, whose values are mostly that small. The steps of a sampler are not.
    """
    if is_sampler_code(source, identity.node):
        return False
    if consequence is Consequence.MAGNIFIED:
        return not _is_choice(source, identity.node)
    if consequence is not Consequence.USED or identity.kind not in (Kind.LOG1P, Kind.EXPM1):
        return False
    return _has_variance(source, identity) or _is_symmetric(source, identity)


def _has_variance(source: Source, identity: Identity) -> bool:
    """Whether it is one of the moments of a log-normal: exp(variance) - 1, log(1 + variance / mean ** 2)."""
    if identity.kind is Kind.LOG1P and source.fact(Formulas).of(identity.operands[0]).name != "div":
        return False
    names = [path.rpartition(".")[2] for path, _ in paths_read(identity.operands[0])]
    return any(_VARIANCE_NAME.search(name) for name in names)


def _is_symmetric(source: Source, identity: Identity) -> bool:
    """Whether it stands in `x.sign() * log(1 + x.abs())` or its inverse, which are there for small values."""
    above = source.parent(identity.node)
    if not isinstance(above, cst.BinaryOperation) or not isinstance(above.operator, cst.Multiply):
        return False
    return any(isinstance(side, cst.Call) and called_name(side) == "sign" for side in (above.left, above.right))


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
