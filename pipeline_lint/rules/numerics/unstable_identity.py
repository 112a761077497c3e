"""TRN208: a formula written out by hand that torch has a stable function for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import safe_fix, unsafe_fix
from pipeline_lint.facts.consequences import Consequence, consequence_of
from pipeline_lint.facts.events import called_name, paths_read
from pipeline_lint.facts.exponents import Exponents, Reach
from pipeline_lint.facts.formulas import Formulas
from pipeline_lint.facts.identities import Identities, Identity, Kind
from pipeline_lint.facts.identity_code import identity_written
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_LARGEST = 80.0
"""An exponent up to here overflows in no dtype but float16."""
_COUNT_NAME = re.compile(
    r"deg(ree)?s?$|count|^n(um)?(_|$)|(_|^)n$|dur(ation)?s?$|len(gth)?s?$|^pos$|position|coord|rank|^steps?$|epoch|freq|"
    r"plus_(one|1)$|^(idx|index|indices)$",
    re.IGNORECASE,
)
_WHOLE_NUMBERS = frozenset({"floor", "ceil", "round", "trunc", "long", "int", "bincount", "degree", "count_nonzero"})


class _Defect(NamedTuple):
    formula: str
    problem: str
    remedy: str
    witness: str


_OVERFLOW = "exp(89.0) is inf in float32 and bfloat16, exp(12.0) in float16"
_UNDERFLOW = "exp(-104.0) is exactly 0.0 in float32, exp(-93.0) in bfloat16, exp(-18.0) in float16"
_ROUNDED_SUM = "1 + 1e-8 is exactly 1.0 in float32"
_ROUNDED_EXP = "exp(-1e-8) is exactly 1.0 in float32"

_SMALL_SOFTPLUS = _Defect(
    "log(1 + exp(x))",
    "is exactly 0 for an `x` below -17, because `1 + exp(x)` rounds to 1",
    "F.softplus(x)",
    "exp(-17.0) is 4e-8 in float32, and 1 + 4e-8 is exactly 1.0, so the result is 0.0",
)
_DEFECTS = {
    Kind.SOFTPLUS: _Defect(
        "log(1 + exp(x))", "is inf, and its gradient NaN, once `exp(x)` overflows", "F.softplus(x)", _OVERFLOW
    ),
    Kind.INVERSE_SOFTPLUS: _Defect(
        "log(exp(x) - 1)",
        "is inf, and its gradient NaN, once `exp(x)` overflows",
        "x + torch.log(-torch.expm1(-x))",
        _OVERFLOW,
    ),
    Kind.LOG_OF_COMPLEMENT: _Defect(
        "log(1 - exp(x))",
        "is -inf for an `x` so small that `exp(x)` rounds to 1",
        "torch.log(-torch.expm1(x))",
        f"{_ROUNDED_EXP}, so log(1 - exp(-1e-8)) is -inf and not -18.4",
    ),
    Kind.LOGSUMEXP: _Defect(
        "log(exp(x).sum(dim))",
        "is inf, and its gradient NaN, once `exp(x)` overflows",
        "torch.logsumexp(x, dim)",
        _OVERFLOW,
    ),
    Kind.LOG_OF_MEAN: _Defect(
        "log(exp(x).mean(dim))",
        "is inf, and its gradient NaN, once `exp(x)` overflows",
        "torch.logsumexp(x, dim) - math.log(x.shape[dim])",
        _OVERFLOW,
    ),
    Kind.SOFTPLUS_OF_LOGSUMEXP: _Defect(
        "log(1 + exp(x).sum(dim))",
        "is inf, and its gradient NaN, once `exp(x)` overflows",
        "F.softplus(torch.logsumexp(x, dim))",
        _OVERFLOW,
    ),
    Kind.LOGADDEXP: _Defect(
        "log(exp(a) + exp(b))",
        "is inf, and its gradient NaN, once `exp` overflows",
        "torch.logaddexp(a, b)",
        _OVERFLOW,
    ),
    Kind.SOFTMAX: _Defect(
        "exp(x) / exp(x).sum(dim)", "is NaN once `exp(x)` overflows", "torch.softmax(x, dim)", _OVERFLOW
    ),
    Kind.SIGMOID: _Defect(
        "1 / (1 + exp(-x))", "has a NaN gradient once `exp(-x)` overflows", "torch.sigmoid(x)", _OVERFLOW
    ),
    Kind.SIGMOID_OF_DIFFERENCE: _Defect(
        "exp(a) / (exp(a) + exp(b))", "is NaN once `exp` overflows", "torch.sigmoid(a - b)", _OVERFLOW
    ),
    Kind.TANH: _Defect("tanh", "written by `exp` is NaN once that overflows", "torch.tanh", _OVERFLOW),
    Kind.LOG1P: _Defect(
        "log(1 + x)",
        "is exactly 0 for small `x`, because `1 + x` rounds to 1",
        "torch.log1p(x)",
        f"{_ROUNDED_SUM}, so log(1 + 1e-8) is 0.0 and not 1e-8; in bfloat16 so below 0.0039, in float16 below 0.0005",
    ),
    Kind.EXPM1: _Defect(
        "exp(x) - 1",
        "is exactly 0 for small `x`, because `exp(x)` rounds to 1",
        "torch.expm1(x)",
        f"{_ROUNDED_EXP}, so exp(-1e-8) - 1 is 0.0 and not -1e-8; in bfloat16 so below 0.0039, in float16 below 0.0005",
    ),
}


class UnstableIdentity(Rule):
    """A formula written out by hand goes through a number that overflows or rounds away, though its value is harmless.

    log(1 + exp(x)) is about x for a large x, but exp(89.0) is inf in float32 and bfloat16, and exp(12.0) in float16,
    so that the loss is inf and its gradient NaN. The same happens to log(exp(x).sum()), to exp(x) / exp(x).sum(),
    where inf is divided by inf, and to the sigmoid and tanh written by exponentials; 1 / (1 + exp(-x)) has the right
    value, 0, at x = -89, but its gradient is 0 times inf, which is NaN. At the other end all exponentials underflow:
    exp(-104.0) is exactly 0.0 in float32 (exp(-93.0) in bfloat16, exp(-18.0) in float16), so that the sum is 0, its
    logarithm -inf and the softmax 0 / 0. Every one of these formulas has a function in torch which is finite, with a
    finite gradient, for all finite inputs in all three dtypes.

    The other group loses digits instead. 1 + x rounds to 1 for small x, below 6e-8 in float32, below 0.0039 in
    bfloat16, below 0.0005 in float16; then log(1 + x) is 0 where it should be x, and exp(x) - 1 is 0 likewise.
    `torch.log1p` and `torch.expm1` keep all digits. log(1 - exp(x)) even becomes -inf there: with exp(-1e-8) rounded to
    1, it is log(0), while log(-expm1(x)) gives -18.4.

    The formulas are found however they are spelled (operators, functions, methods, `torch.special`) and through the
    names of a function: `e = torch.exp(x)`, then `e / e.sum(-1, keepdim=True)`.

    Bad:
        import torch

        def loss(logits, target):
            log_z = torch.log(torch.exp(logits).sum(dim=1))
            return (log_z - logits.gather(1, target).squeeze(1)).mean()
    Good:
        import torch

        def loss(logits, target):
            log_z = torch.logsumexp(logits, dim=1)
            return (log_z - logits.gather(1, target).squeeze(1)).mean()
    Exempt: exponentials whose maximum was subtracted, which is the stable way; exponents that are bounded by a clamp, a
        tanh, a cosine or the like; tables of constants (`torch.linspace`, `torch.arange`, Gaussian windows of them);
        Python's `math` and numpy; whole numbers in log(1 + x). A possible defect only, which `--min-confidence
        possible` shows: log(1 + x) of counts, degrees, lengths and positions; differences that are added to something
        larger; log(1 + exp(-abs(x))), whose small values are rounded to 0; a Gaussian divided by its sum, which is
        0 / 0 only far from all centers; a product of a cosine and a scale. sqrt(x * x + y * y) is not here, because the
        gradient of `torch.hypot` is NaN at 0 as well.
    Fix: Safe, unsafe with an epsilon beside the sum and for log(1 + exp(x).sum()): the function gives the same values
        and gradients wherever the old code gave finite ones; an epsilon beside the sum changes the value a little, and
        where all x of a row are -inf, log(1 + exp(x).sum()) is 0 with gradient 0, but that of
        `F.softplus(torch.logsumexp(x, dim))` is NaN. Names that nobody else reads go. There is no fix for a softmax
        over an unknown dim, for weighted exponentials (their remedy is the weights' logarithm added to x), for work in
        place, where a variable has changed in between, and where something works later in place on what the function
        keeps for the backward pass.
    Source: M. Maechler, "Accurately Computing log(1 - exp(-|a|))" (2012); P. Blanchard, D. Higham, N. Higham,
        "Accurately computing the log-sum-exp and softmax functions" (2021); the figures were measured with torch 2.13
        on CPU.
    """

    code = "TRN208"
    triggers = ("exp(", "exp_(", "expm1", "log(", "log_(", "log1p", "exp as", "log as")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every identity that overflows or loses digits for a value that it can have."""
        if "torch" not in source.text:
            return
        for identity in source.fact(Identities).all:
            if identity.kind in _DEFECTS:
                assessment = _assessed(source, identity)
                if assessment is not None:
                    yield _finding(source, identity, *assessment)


def _assessed(source: Source, identity: Identity) -> tuple[Confidence, _Defect] | None:
    """How surely it goes wrong, and how; None where it does not."""
    reaches = [source.fact(Exponents).reach(operand) for operand in identity.operands]
    if all(reach.is_table for reach in reaches) or _is_called_at_once(source, identity.node):
        return None
    defect = _DEFECTS[identity.kind]
    match identity.kind:
        case Kind.LOG1P:
            confidence = _of_log1p(source, identity)
        case Kind.EXPM1:
            confidence = _of_expm1(source, identity)
        case Kind.LOG_OF_COMPLEMENT:
            is_bounded = source.fact(Formulas).of(identity.operands[0]).name.startswith("clamp")
            confidence = None if is_bounded or reaches[0].high < 0 else Confidence.CERTAIN
        case Kind.INVERSE_SOFTPLUS:
            confidence = Confidence.LIKELY if reaches[0].high > _LARGEST else None
        case Kind.LOGSUMEXP | Kind.LOG_OF_MEAN | Kind.SOFTMAX | Kind.LOGADDEXP | Kind.SIGMOID_OF_DIFFERENCE:
            return _of_exponentials(identity, reaches)
        case _:
            confidence = _of_overflow(identity, reaches[0])
            if confidence is not None and reaches[0].high <= _LARGEST:
                defect = _SMALL_SOFTPLUS
    return (confidence, _adapted(identity, defect)) if confidence is not None else None


def _is_called_at_once(source: Source, node: cst.BaseExpression) -> bool:
    """Whether it stands in `(lambda z: z.exp().log1p())(x.masked_fill(...))`, whose argument is bounded for it."""
    function = source.function_of(node)
    call = source.parent(function) if isinstance(function, cst.Lambda) else None
    return isinstance(call, cst.Call) and call.func is function


def _of_exponentials(identity: Identity, reaches: list[Reach]) -> tuple[Confidence, _Defect] | None:
    """Sums of exponentials: of one that is inf, or of none that is more than 0."""
    defect = _adapted(identity, _DEFECTS[identity.kind])
    high = max(reach.high for reach in reaches)
    if any(reach.is_shifted for reach in reaches):
        return None
    if high == math.inf:
        return (Confidence.LIKELY if identity.is_weighted else Confidence.CERTAIN), defect
    if high > _LARGEST:
        return Confidence.POSSIBLE, defect
    if identity.has_epsilon or min(reach.low for reach in reaches) >= -_LARGEST:
        return None
    is_ratio = identity.kind in (Kind.SOFTMAX, Kind.SIGMOID_OF_DIFFERENCE)
    problem = f"is {'NaN' if is_ratio else '-inf, and its gradient NaN,'} once every exponential underflows to 0"
    is_gaussian = any(reach.is_gaussian for reach in reaches)
    confidence = Confidence.POSSIBLE if is_gaussian else Confidence.LIKELY
    return confidence, defect._replace(problem=problem, witness=_UNDERFLOW)


def _of_overflow(identity: Identity, reach: Reach) -> Confidence | None:
    if reach.high == math.inf:
        is_quotient_of_something = identity.numerator is not None and not isinstance(identity.numerator, cst.BaseNumber)
        return Confidence.LIKELY if is_quotient_of_something else Confidence.CERTAIN
    if reach.high > _LARGEST:
        return Confidence.POSSIBLE
    is_log = any(operation.name == "log" for operation in identity.operations)
    return Confidence.POSSIBLE if identity.kind is Kind.SOFTPLUS and is_log and not reach.is_shifted else None


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


def _of_expm1(source: Source, identity: Identity) -> Confidence | None:
    match consequence_of(source, identity.node, identity.operands[0]):
        case Consequence.ROUNDED:
            return None
        case Consequence.ADDED:
            above = source.parent(identity.node)
            # `exp(x) - 1 - x` is smaller still than `exp(x) - 1`.
            others = (above.left, above.right) if isinstance(above, cst.BinaryOperation) else ()
            is_remainder = any(source.fact(Formulas).are_same(identity.operands[0], other) for other in others)
            return Confidence.LIKELY if is_remainder else Confidence.POSSIBLE
    return Confidence.POSSIBLE if _has_counts(identity) else Confidence.LIKELY


def _has_counts(identity: Identity) -> bool:
    """Whether a name says that the formula is about counts, lengths or positions."""
    names = [path.rpartition(".")[2] for path, _ in paths_read(identity.operands[0])]
    names += [definition.name for definition in identity.definitions]
    return any(_COUNT_NAME.search(name) for name in names)


def _adapted(identity: Identity, defect: _Defect) -> _Defect:
    """The defect as this formula has it."""
    names = {operation.name for operation in identity.operations}
    match identity.kind:
        case Kind.SOFTPLUS | Kind.SOFTPLUS_OF_LOGSUMEXP if "log1p" in names:
            return defect._replace(formula=defect.formula.replace("log(1 + ", "log1p("))
        case Kind.INVERSE_SOFTPLUS if "expm1" in names:
            return defect._replace(formula="log(expm1(x))")
        case Kind.SIGMOID if identity.factor > 0:
            return defect._replace(formula="exp(x) / (1 + exp(x))", problem="is NaN once `exp(x)` overflows")
        case Kind.SIGMOID if identity.numerator is not None:
            return defect._replace(formula="a / (1 + exp(-x))", remedy="a * torch.sigmoid(x)")
        case Kind.SOFTMAX if identity.is_weighted:
            return defect._replace(
                formula="w * exp(x) / (w * exp(x)).sum(dim)", remedy="torch.softmax(x + torch.log(w), dim)"
            )
        case Kind.LOGSUMEXP if identity.is_weighted:
            return defect._replace(
                formula="log((w * exp(x)).sum(dim))", remedy="torch.logsumexp(x + torch.log(w), dim)"
            )
    return defect


def _finding(source: Source, identity: Identity, confidence: Confidence, defect: _Defect) -> Finding:
    return Finding(
        at=identity.node,
        message=f"`{defect.formula}` {defect.problem}; write `{defect.remedy}`",
        confidence=confidence,
        witness=defect.witness,
        fix=lambda: _fix(source, identity),
        related=tuple(
            (source.place(definition.statement), f"`{definition.name}` is given its value here")
            for definition in identity.definitions
        ),
    )


def _fix(source: Source, identity: Identity) -> Fix | None:
    edits = identity_written(source, identity)
    if edits is None:
        return None
    is_changed = identity.has_epsilon or identity.kind is Kind.SOFTPLUS_OF_LOGSUMEXP
    return (unsafe_fix if is_changed else safe_fix)("Replace with the stable function", *edits)
