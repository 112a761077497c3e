"""TRN213: an epsilon that rounds to nothing in the dtype of the value it is to protect."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import replace, unsafe_fix
from pipeline_lint.facts.algebra.formulas import Formulas
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.epsilon.dtype_operand import limit
from pipeline_lint.facts.epsilon.epsilons import is_needed
from pipeline_lint.facts.floats import DEFAULT_DTYPE, LIMITS, rounded
from pipeline_lint.facts.guarding import shown
from pipeline_lint.facts.half.half_support import HalfSupport
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import NUMBER, TENSOR, Value
from pipeline_lint.facts.trained_code import is_optimizer_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_SUMS = ("add", "sub")
_FACTORS = ("add", "sub", "rsub", "mul", "minimum")
_BOUNDS = ("clamp", "clamp_min", "maximum", "clamp_max")
_DEFAULTS = {"normalize": 1e-12, "cosine_similarity": 1e-8}
"""Functions with an epsilon of their own, as torch documents it."""
_CAST_UP = re.compile(r"\.(float|double)\(|float32|float64")
_LARGEST = 1e-4
"""A larger number is more than an epsilon."""


class EpsilonLostInHalf(Rule):
    """An epsilon that the dtype cannot hold is 0, and one that is too close to 1 is 1: it protects nothing.

    The smallest positive float16 is 6e-8. A smaller constant, such as the 1e-8 of many papers, is rounded to 0 when it
    meets a float16 tensor, so that x / (x.sum() + 1e-8) is 0 / 0 = NaN for a row of zeros, and log(p + 1e-8) is -inf
    for p = 0, just as without it. `F.normalize`, whose own epsilon is 1e-12, and `F.cosine_similarity` with 1e-8 give
    NaN for a vector of zeros in float16 for the same reason. bfloat16 has the range of float32 and holds 1e-8; what it
    lacks are digits.

    Close to 1 the digits count. 1 - 1e-7 is exactly 1.0 in bfloat16 and float16, and 1 - 1e-8 is 1.0 in float32
    already: p.clamp(1e-8, 1 - 1e-8) lets p = 1 pass, and log(1 - p) after it is -inf. The same is true of -1 + 1e-8, of
    log(1 + 1e-8 - p) and of acos(x * (1 - 1e-8)), where Python's number is rounded before it meets the tensor.

    | dtype | smallest positive number | nearest below 1 |
    |---|---|---|
    | float32 | 1e-45 | 1 - 6e-8 |
    | bfloat16 | 9e-41 | 1 - 4e-3 |
    | float16 | 6e-8 | 1 - 5e-4 |

    Bad:
        import torch

        def normalize(weights):
            weights = weights.half()
            return weights / (weights.amax(dim=-1, keepdim=True) + 1e-8)
    Good:
        import torch

        def normalize(weights):
            weights = weights.half()
            return weights / (weights.amax(dim=-1, keepdim=True) + torch.finfo(weights.dtype).eps)
    Exempt: an epsilon where nothing says that the value is float16: it is reported as possible only, which
        `--min-confidence possible` shows, also in a function that asks for float16, whose parameters are mostly
        float32; a bound that the value never reaches, as `torch.rand` never is 1; constants
        that are added for another reason than to keep a divisor, a root or a logarithm off 0; numbers of Python;
        `torch.finfo`; `F.normalize` where nothing says that it is of float16, but for a layer, `F.normalize(x) *
        self.scale`, in a file that casts to float32 and back; `F.layer_norm`, whose default of 1e-5 float16 holds,
        with finite gradients.
    Fix: Unsafe: `torch.finfo(x.dtype).eps` in the place of the constant, where an operand with the dtype is at hand:
        0.001 in float16, 1.2e-7 in float32. Results move by that much.
    Source: the figures were measured with torch 2.13 on CPU; IEEE 754 for the spacing of numbers.
    """

    code = "TRN213"
    triggers = ("e-", "eps", "normalize(", "cosine_similarity(", "0.0000")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every epsilon that is lost to rounding."""
        if "torch" not in source.text:
            return
        ranges = source.fact(Ranges)
        for site in ranges.sites(*_SUMS):
            yield from _of_sum(source, site)
        for site in ranges.sites(*_BOUNDS):
            yield from _of_bound(source, site)
        for site in ranges.sites(*_FACTORS):
            yield from _of_factor(source, site)
        for site in ranges.sites(*_DEFAULTS):
            yield from _of_default(source, site)


def _of_sum(source: Source, site: Site) -> Iterator[Finding]:
    """`x + 1e-8` where what it is for breaks at 0."""
    for name, other in (("other", "input"), ("input", "other")):
        epsilon, value = site.operands.get(name), site.values.get(other)
        number = source.fact(Formulas).number(epsilon) if epsilon is not None else None
        if number is None or value is None or epsilon is None or value.kind == NUMBER or not 0 < number <= _LARGEST:
            continue
        if not value.may_be_zero or not isinstance(site.node, cst.BaseExpression):
            continue
        if is_optimizer_code(source, site.node):
            continue
        found = _lost(number, value)
        if found is not None and is_needed(source, site.node):
            yield _finding(source, site, epsilon, number, other, found)


def _of_bound(source: Source, site: Site) -> Iterator[Finding]:
    """`clamp(min=1e-8)`, and the upper bound of `clamp(1e-8, 1 - 1e-8)`."""
    value = site.values.get("input")
    if value is None or value.kind == NUMBER:
        return
    for name in ("min", "other", "max"):
        bound = site.operands.get(name)
        number = source.fact(Formulas).number(bound) if bound is not None else None
        if number is None or bound is None:
            continue
        if name != "max" and 0 < number <= _LARGEST:
            found = _lost(number, value)
            if found is not None and isinstance(site.node, cst.BaseExpression) and is_needed(source, site.node):
                yield _finding(source, site, bound, number, "input", found)
        elif _is_lost_beside_one(number, value) and _bounds(number, name, value):
            dtype = value.dtype or DEFAULT_DTYPE
            yield _finding(source, site, bound, number, "input", (Confidence.CERTAIN, dtype))


def _of_factor(source: Source, site: Site) -> Iterator[Finding]:
    """`x * (1 - 1e-8)`, `1 + 1e-8 - p`: the number is 1 beside a tensor."""
    for name, other in (("other", "input"), ("input", "other")):
        factor, value = site.operands.get(name), site.values.get(other)
        number = source.fact(Formulas).number(factor) if factor is not None else None
        if factor is None or value is None or number is None or value.kind == NUMBER:
            continue
        if _is_lost_beside_one(number, value) and (value.kind == TENSOR or _is_argument(source, site.node)):
            dtype = value.dtype or DEFAULT_DTYPE
            yield _finding(source, site, factor, number, other, (Confidence.CERTAIN, dtype))


def _is_argument(source: Source, node: cst.CSTNode) -> bool:
    """Whether what is computed goes to a function of torch, so that it is a tensor."""
    above = source.parent(node)
    call = source.parent(above) if isinstance(above, cst.Arg) else None
    return call is not None and source.fact(Calls).operation(call) is not None


def _bounds(number: float, name: str, value: Value) -> bool:
    """Whether a value gets as far as the bound; `torch.rand` never gives 1."""
    return value.high >= 1 if name == "max" and number > 0 else name != "max" and number < 0 and value.low <= -1


def _is_lost_beside_one(number: float, value: Value) -> bool:
    """Whether a number that differs a little from 1 or -1 is that beside a value."""
    is_close = 0 < abs(1 - abs(number)) <= _LARGEST
    return is_close and abs(rounded(number, value.dtype)) == 1


def _of_default(source: Source, site: Site) -> Iterator[Finding]:
    """`F.normalize(x)` of a float16 tensor."""
    name = "x1" if site.name == "cosine_similarity" else "input"
    value, operand = site.values.get(name), site.operands.get(name)
    if value is None or operand is None or "eps" in site.operands or site.autocast is not None:
        return
    if value.dtype != "float16" and not (value.dtype is None and _is_layer_of_half(source, site, operand)):
        return
    number = _DEFAULTS[site.name]
    yield Finding(
        at=site.node,
        message=(
            f"the epsilon of `{shown(source, site.node)}` is {number:g}, which is 0 in float16, so that a vector of "
            "zeros gives NaN; compute it in float32, with `.float()`, or give it `eps=1e-3`"
        ),
        confidence=Confidence.LIKELY,
        witness=f"{number:g} is 0 in float16, so the normal of a vector of zeros is 0 / 0",
    )


def _is_layer_of_half(source: Source, site: Site, operand: cst.BaseExpression) -> bool:
    """Whether it is a normalization layer, whose inputs may be all zeros, in a file that casts half up and back.

    Autocast does so by itself: it runs the norm in `F.normalize` in float32.
    """
    if site.name != "normalize" or _CAST_UP.search(source.code(operand)) or not source.fact(HalfSupport).casts_back:
        return False
    node: cst.CSTNode = site.node
    while isinstance(above := source.parent(node), cst.BinaryOperation):
        if isinstance(above.operator, cst.Multiply) and source.code(above.right).startswith("self."):
            return True
        node = above
    return False


def _lost(number: float, value: Value) -> tuple[Confidence, str] | None:
    """How sure it is that a small number is 0 beside a value, and in which dtype."""
    if value.dtype in LIMITS:
        return (Confidence.CERTAIN, value.dtype) if rounded(number, value.dtype) == 0 else None
    if value.dtype is not None or rounded(number, "float16") != 0:
        return None
    return Confidence.POSSIBLE, "float16"


def _finding(
    source: Source, site: Site, epsilon: cst.BaseExpression, number: float, name: str, found: tuple[Confidence, str]
) -> Finding:
    confidence, dtype = found
    code = shown(source, epsilon)
    if abs(number) > 0.5:
        one = math.copysign(1.0, number)
        is_bound = site.name in _BOUNDS or site.name == "minimum"
        effect = f"this bound lets {one:g} pass" if is_bound else "the epsilon is lost"
        problem = f"`{code}` is exactly {one} in {dtype}, so that {effect}"
        witness = f"{code} is exactly {one} in {dtype}"
    else:
        condition = "" if confidence is Confidence.CERTAIN else " where the value is half"
        problem = f"`{code}` is 0 in {dtype}, so that it protects nothing{condition}"
        witness = f"{number:g} is less than half of 6e-8, the smallest positive float16"
    return Finding(
        at=epsilon,
        message=f"{problem}; use `torch.finfo(x.dtype).eps`",
        confidence=confidence,
        witness=witness,
        fix=lambda: _fix(source, site, epsilon, number, name),
    )


def _fix(source: Source, site: Site, epsilon: cst.BaseExpression, number: float, name: str) -> Fix | None:
    operand = site.operands.get(name)
    operation = source.fact(Calls).operation(site.node)
    if operand is None or (operation is not None and "out" in operation.operands):
        return None
    eps = limit(source, operand, site.values[name], "eps", at=site.node)
    if eps is None:
        return None
    code = eps.code
    if abs(number) > 0.5:
        code = f"{math.copysign(1, number):.0f} {'-' if (abs(number) < 1) == (number > 0) else '+'} {eps.code}"
        code = code if isinstance(source.parent(epsilon), cst.Arg) else f"({code})"
    return unsafe_fix("Use an epsilon that the dtype holds", *eps.edits, replace(source, epsilon, code))
