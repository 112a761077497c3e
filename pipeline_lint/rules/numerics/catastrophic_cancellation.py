"""TRN216: a difference of nearly equal numbers, of which rounding leaves nothing, or something negative."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Edit, Fix
from pipeline_lint.edits import safe_fix
from pipeline_lint.facts.algebra.identities import Identities
from pipeline_lint.facts.algebra.identity import Identity, Kind
from pipeline_lint.facts.algebra.identity_code import identity_written
from pipeline_lint.facts.algebra.identity_risks import risk_of
from pipeline_lint.facts.algebra.variance_uses import VarianceUse, variance_uses
from pipeline_lint.facts.algebra.variances import Variance, Variances
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.inlining import Rewriting, formula_written
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_SQUARE = re.compile(r"\*\* ?2|\bpow\(|square|\b([\w.]+) \* ?\1\b|mul\(|(?:mean|avg|mu|sum)\w* ?\*")
_WITNESS_VARIANCE = "the variance of 1000 values around 10000 with variance 1 comes out as -24.0 in float32"
_DIFFERENCES = {
    Kind.COMPLEMENT_OF_EXP: (
        "`1 - exp(x)` is exactly 0 for small `x`, because `exp(x)` rounds to 1; write `-torch.expm1(x)`",
        "exp(-1e-8) is exactly 1.0 in float32, so 1 - exp(-1e-8) is 0.0 and not 1e-8; in bfloat16 so below 0.002",
    ),
    Kind.COMPLEMENT_OF_COS: (
        "`1 - cos(x)` is exactly 0 for small `x`, because `cos(x)` rounds to 1; write `2 * torch.sin(x / 2) ** 2`",
        "cos(2e-4) is exactly 1.0 in float32, and (1 - cos(x)) / x ** 2 then 0.0, not 0.5; in bfloat16 so up to 0.06",
    ),
}


class CatastrophicCancellation(Rule):
    """A difference of two nearly equal numbers keeps their rounding errors and loses all else.

    mean(x ** 2) - mean(x) ** 2 is the variance in exact arithmetic. In floating point both terms are rounded first, and
    when the mean is large beside the spread, their difference is mostly rounding error: 1000 values around 10000 with
    variance 1 gave -24.0 in float32, where `torch.var` gives 0.94, and seven times 1000.1 gave -0.125. A negative
    variance has a NaN square root; one that is 0 or far too small makes a division blow up. In bfloat16 a mean of only
    16 times the standard deviation is enough, as its squares are known to 1 part in 256; in float16 x ** 2 itself is
    inf from x = 256 on. Local variances, `F.avg_pool2d(x * x, 3) - mu * mu` as in SSIM, have the same defect: smooth
    images with values near 0.9 gave -3e-7 in float32 and -5e-4 in float16.

    1 - exp(x) and 1 - cos(x) cancel near x = 0: exp(-1e-8) is exactly 1.0 in float32, and so is cos(2e-4), so the
    difference is 0. Where it is divided by something as small, as (1 - cos(x)) / x ** 2 is in every exponential map of
    a rotation, or its logarithm is taken, the result is 0 or -inf where it should be 0.5 or -18.4. In bfloat16
    exp is 1.0 for x between -0.002 and 0.0039, and cos(x) for x below 0.06; in float16 0.0002, 0.0005 and 0.022.
    `torch.expm1` and 2 * sin(x / 2) ** 2 compute the same without a difference.

    Bad:
        import torch

        def standardized(x):
            mean = x.mean(dim=1, keepdim=True)
            mean_sq = (x * x).mean(dim=1, keepdim=True)
            return (x - mean) / torch.sqrt(mean_sq - mean ** 2 + 1e-3)
    Good:
        import torch

        def standardized(x):
            mean = x.mean(dim=1, keepdim=True)
            return (x - mean) / torch.sqrt(x.var(dim=1, correction=0, keepdim=True) + 1e-3)
    Exempt: numpy and Python's `math`; sums of squares that are not divided by the number of values, as in factorization
        machines; covariances, E[xy] - E[x] E[y], which may be negative; tables of constants. A possible defect only,
        which `--min-confidence possible` shows: a variance that is clamped at 0, or made positive otherwise, before it
        is used; one of a neighbourhood, by pooling or convolution, of which no root or logarithm is taken, and by which
        nothing is divided; one that is divided by with a constant that absorbs the error, as C2 of SSIM does in
        float32; 1 - exp(x) and 1 - cos(x) that divide nothing, whose logarithm is not taken, and that nothing as small
        divides, because their absolute error is at most 6e-8 in float32; the steps of the samplers of diffusion models,
        which are not that small; a branch of `torch.where`, which another formula may stand in for where x is small.
    Fix: Safe: `torch.var` with correction=0 where both means are those of torch over the same dims of the same value;
        `-torch.expm1(x)`; `2 * torch.sin(x / 2) ** 2`. Values and gradients agree wherever the old code had digits
        left. A name that nobody else reads goes. There is none for means by pooling, convolution, `scatter` or
        functions of your own: subtract a rough mean from x first, average (x - mean) ** 2, or clamp the result at 0.
        There is none either where a variable has changed in between, or where `torch.var` would keep a value that is
        changed in place later.
    Source: T. Chan, G. Golub, R. LeVeque, "Algorithms for Computing the Sample Variance" (1983); W. Kahan, "How
        Futile are Mindless Assessments of Roundoff in Floating-Point Computation?" (2006); the figures were measured
        with torch 2.13 on CPU.
    """

    code = "TRN216"
    triggers = ("mean", "sum", "pool", "conv", "exp(", "cos(", "** 2", "**2", "pow(")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every variance by a difference, and every complement of an exponential or cosine."""
        if "torch" not in source.text:
            return
        if _SQUARE.search(source.text):
            for variance in source.fact(Variances).all:
                yield _of_variance(source, variance)
        if "exp" not in source.text and "cos" not in source.text:
            return
        for identity in source.fact(Identities).all:
            if identity.kind in _DIFFERENCES:
                yield from _of_identity(source, identity)


def _of_variance(source: Source, variance: Variance) -> Finding:
    remedy = "torch.var(x, dim, correction=0)"
    if variance.means is None:
        remedy = "mean((x - mean(x)) ** 2)"
    return Finding(
        at=variance.node,
        message="`mean(x ** 2) - mean(x) ** 2` is mostly rounding error, and often negative, where `x` varies little "
        f"around a large mean; write `{remedy}`",
        confidence=_confidence(source, variance),
        witness=_WITNESS_VARIANCE,
        fix=lambda: _variance_fix(source, variance),
        related=tuple(
            (source.place(definition.statement), f"`{definition.name}` is given its value here")
            for definition in variance.definitions
        ),
    )


def _confidence(source: Source, variance: Variance) -> Confidence:
    """How surely somebody meets the error: local means are of a few values, whose mean is seldom large."""
    uses = variance_uses(source, variance.node)
    if VarianceUse.GUARDED in uses:
        return Confidence.POSSIBLE
    if variance.means is not None:
        return Confidence.CERTAIN
    is_met = not uses.isdisjoint({VarianceUse.ROOT, VarianceUse.DIVISOR})
    is_met |= VarianceUse.ABSORBED in uses and _is_half(source, variance)
    is_met |= VarianceUse.ABSORBED not in uses and not variance.is_local
    return Confidence.LIKELY if is_met else Confidence.POSSIBLE


def _is_half(source: Source, variance: Variance) -> bool:
    site = source.fact(Ranges).site(variance.node)
    return site is not None and (site.autocast is not None or site.result.dtype in ("float16", "bfloat16"))


def _variance_fix(source: Source, variance: Variance) -> Fix | None:
    if variance.means is None or variance.operand is None:
        return None
    squares, mean = variance.means
    if not squares.operands.keys() <= {"input", "dim", "keepdim"} or squares.rest or mean.rest:
        return None
    flow = source.fact(Flow)
    if flow.is_changed_later(variance.operand, after=variance.node):
        return None
    dim, keepdim = squares.operands.get("dim"), squares.operands.get("keepdim")
    arguments = f"dim={source.code(dim)}, correction=0" if dim is not None else "correction=0"
    if keepdim is not None:
        arguments += f", keepdim={source.code(keepdim)}"
    moved = [each for each in (dim, keepdim) if each is not None and variance.node not in source.ancestors(each)]
    if not all(_is_constant(each) or flow.has_same_value(each, at=variance.node) for each in moved):
        return None
    imports: list[Edit] = []

    def written(operand: str) -> str:
        is_atom = isinstance(cst.parse_expression(f"({operand})"), cst.Name | cst.Attribute | cst.Subscript | cst.Call)
        if mean.is_method and is_atom:
            return f"{operand}.var({arguments})"
        reference = source.fact(Names).reference("torch.var", at=variance.node)
        imports.extend(reference.edits)
        return f"{reference.code}({operand}, {arguments})"

    edits = formula_written(source, Rewriting(variance.node, (variance.operand,), variance.definitions), written)
    return safe_fix("Replace with `torch.var`", *imports, *edits) if edits is not None else None


def _is_constant(node: cst.BaseExpression) -> bool:
    match node:
        case cst.Tuple(elements=elements) | cst.List(elements=elements):
            return all(_is_constant(element.value) for element in elements)
        case cst.UnaryOperation(expression=inner):
            return _is_constant(inner)
    return isinstance(node, cst.Integer) or (isinstance(node, cst.Name) and node.value in ("True", "False"))


def _of_identity(source: Source, identity: Identity) -> Iterator[Finding]:
    risk = risk_of(source, identity)
    if risk is None:
        return
    message, witness = _DIFFERENCES[identity.kind]
    yield Finding(
        at=identity.node,
        message=message,
        confidence=risk.confidence,
        witness=witness,
        fix=lambda: _identity_fix(source, identity),
        related=tuple(
            (source.place(definition.statement), f"`{definition.name}` is given its value here")
            for definition in identity.definitions
        ),
    )


def _identity_fix(source: Source, identity: Identity) -> Fix | None:
    edits = identity_written(source, identity)
    return safe_fix("Replace with a formula that does not cancel", *edits) if edits is not None else None
