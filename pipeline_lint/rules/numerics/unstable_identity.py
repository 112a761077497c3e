"""TRN208: a formula written out by hand that torch has a stable function for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import safe_fix, unsafe_fix
from pipeline_lint.facts.algebra.identities import Identities
from pipeline_lint.facts.algebra.identity import Identity, Kind
from pipeline_lint.facts.algebra.identity_code import identity_written
from pipeline_lint.facts.algebra.identity_risks import Cause, Risk, risk_of
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


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
        possible` shows: log(1 + x) and exp(x) - 1 whose result is neither divided by, nor divided by what is as small,
        nor given to another logarithm, for their error is at most 6e-8 in float32, but for variances (exp(v) - 1 and
        log(1 + v / m ** 2)) and for x.sign() * log(1 + x.abs()) and its inverse; the steps of the samplers of diffusion
        models; log(1 + exp(-abs(x))), whose small values are rounded to 0; 1 / (1 + exp(-x)) that nobody
        differentiates; exponents that are an `nn.Parameter`, which starts near 0 and stays there, or a setting times an
        image; log(exp(x) - 1) where parameters get their first values; a Gaussian divided by its sum, which is 0 / 0
        only far from all centers; a product of a cosine and a scale. sqrt(x * x + y * y) is not here, because the
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
            risk = risk_of(source, identity) if identity.kind in _DEFECTS else None
            if risk is not None:
                yield _finding(source, identity, risk)


def _defect(identity: Identity, cause: Cause) -> _Defect:
    """The defect as this formula has it."""
    defect = _DEFECTS[identity.kind]
    if identity.kind is Kind.SOFTPLUS and cause is Cause.ROUNDING:
        return _SMALL_SOFTPLUS
    if cause is Cause.UNDERFLOW:
        is_ratio = identity.kind in (Kind.SOFTMAX, Kind.SIGMOID_OF_DIFFERENCE)
        problem = f"is {'NaN' if is_ratio else '-inf, and its gradient NaN,'} once every exponential underflows to 0"
        defect = defect._replace(problem=problem, witness=_UNDERFLOW)
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


def _finding(source: Source, identity: Identity, risk: Risk) -> Finding:
    defect = _defect(identity, risk.cause)
    return Finding(
        at=identity.node,
        message=f"`{defect.formula}` {defect.problem}; write `{defect.remedy}`",
        confidence=Confidence.POSSIBLE if is_test_code(source) else risk.confidence,
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
