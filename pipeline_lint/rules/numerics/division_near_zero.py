"""TRN206: a division by a value that reaches zero."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.division.bounded_divisors import (
    divisor_bounded,
    is_never_negative,
    is_size_less_one,
    normalized,
)
from pipeline_lint.facts.division.divisor_guards import is_path
from pipeline_lint.facts.division.divisors import is_mean_over_mask, why_zero
from pipeline_lint.facts.division.implausible_zeros import in_practice
from pipeline_lint.facts.division.selections import why_empty
from pipeline_lint.facts.division.spreads import is_of_several, why_one
from pipeline_lint.facts.epsilon.epsilons import outside_of_quotient
from pipeline_lint.facts.guarding import shown
from pipeline_lint.facts.operations.row import Hazard
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import NUMBER, TENSOR, Evidence
from pipeline_lint.facts.trained_code import is_optimizer_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class DivisionNearZero(Rule):
    """A division by a value that can be 0 gives inf, and NaN where the numerator is 0 as well.

    Most NaN losses begin at a divisor that is 0 for one batch in thousands: the norm of a vector of zeros, the standard
    deviation or the range (max - min) of equal values, the number of elements that a mask selects, the sum of a row of
    an adjacency matrix for a node without neighbours, the union of two empty boxes or masks in an IoU or Dice score,
    the depth of a point in the plane of the camera, the sine of an angle, n - 1 for one element. The numerator is then
    mostly 0, too, and 0 / 0 is NaN: for x = torch.full((3,), 5.0), (x - x.mean()) / x.std() is NaN three times, and so
    is the gradient. With the next optimizer step every parameter is NaN.

    Half precision gets there much earlier, because what is small or close together rounds to 0: the square of 1.7e-4 is
    exactly 0.0 in float16 (in float32 that takes 2e-23), and the standard deviation of [0.1, 0.1001] is exactly 0.0 in
    bfloat16, in which the two numbers are one. A constant must survive in the dtype: x / (x.sum() + 1e-8) is NaN for
    zeros in float16, where 1e-8 is 0.0; `torch.finfo(x.dtype).eps` is right in every dtype (1.2e-7 in float32, 0.0078
    in bfloat16, 0.00098 in float16), and the gradients that it lets through stay finite.

    What a divisor can be is followed through a function. It is likely to be 0 where data make it so: the norms of given
    vectors, the spread and the peak of given images and signals, a mask that is summed, boxes and regions that may be
    empty, elements that relu, a mask or a comparison cut to 0; and where an activation rounds to 0. What a network
    gives, what it learns, what is drawn at random, weights and other shares of a whole that add up to something, counts
    of what is no padding and sizes of batches are 0 in theory only, and so possible defects.

    Bad:
        import torch

        def standardize(x):
            return (x - x.mean()) / x.std()
    Good:
        import torch

        def standardize(x):
            return (x - x.mean()) / x.std().clamp_min(torch.finfo(x.dtype).eps)
    Exempt: a divisor that is proven not to be 0: by an epsilon, `clamp`, `max(n, 1)`, `or 1`, `x[x == 0] = 1`, a
        branch, an early return, an assert; one that a test of its values guards in another way, or that `torch.where`
        picks; a quotient whose bad results are thrown away afterwards by `torch.where`, an index or `masked_fill`,
        which is where-nan-gradient; a mean over a mask (mean-of-empty), a spread of one element (std-of-one), an
        epsilon beside the quotient (misplaced-epsilon) or one that the dtype cannot hold (epsilon-lost-in-half);
        constants that are computed once (`__init__`, `register_buffer`, noise schedules), optimizers, `//` and `%`, and
        numpy but for `x / np.max(np.abs(x))` and the like beside torch. Possible defects, which
        `--min-confidence possible` shows, are also divisors of which nothing is known, such as the std of an image
        normalization, Python's numbers that are hardly ever 0 (the length of a loader, totals of a training loop), the
        code of tests, plots and metrics, and functions that ask elsewhere whether the divisor is 0 or the quotient NaN.
    Fix: Safe, unsafe for floats: a count, or n - 1, becomes at least 1, `n.clamp(min=1)` or `max(n, 1)`: whole numbers
        above 0 stay what they are. `x / x.norm(dim=1, keepdim=True)` becomes `F.normalize(x, dim=1)`, whose epsilon
        1e-12 changes nothing but vectors shorter than that; it is 0 in float16, so where that is the dtype, the fix
        passes another. Other divisors that are never negative get `.clamp_min(torch.finfo(x.dtype).eps)`, a sum of
        unknown sign `+ eps`, where a tensor is at hand whose dtype is one of floats; what may hold whole numbers, which
        `torch.finfo` refuses, gets 1e-6. There is none for differences, sines and coordinates, from which an epsilon
        only moves the pole away, for numbers of Python's that do not count, with `out=`, and where a comment would be
        lost.
    Source: the figures were measured with torch 2.13 on CPU.
    """

    code = "TRN206"
    triggers = ("torch", "keepdim", ".squeeze(")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every quotient whose divisor reaches 0, and is not another rule's."""
        for site in source.fact(Ranges).sites("div", "reciprocal", "pow"):
            hazard = _hazard(site)
            if hazard is None or site.is_masked(hazard) or hazard.operand not in site.operands:
                continue
            evidence = why_zero(source, site, hazard.operand)
            if evidence is not None and not _is_of_another_rule(source, site, hazard.operand):
                yield _finding(source, site, hazard, in_practice(source, site, hazard.operand, evidence))


def _hazard(site: Site) -> Hazard | None:
    """That the divisor is 0; of powers only those with a negative exponent divide."""
    return next((each for each in site.hazards if each.low == each.high == 0 and each.value != "finite"), None)


def _is_of_another_rule(source: Source, site: Site, name: str) -> bool:
    """Whether a mean over a mask, a spread of nothing or of one element, an optimizer or a path is divided.

    Or an epsilon stands outside of the quotient, which is misplaced-epsilon.
    """
    if is_mean_over_mask(site) or is_optimizer_code(source, site.node) or is_path(source, site):
        return True
    if outside_of_quotient(source, site.node) is not None:
        return True
    spread = source.fact(Ranges).site(site.operands[name])
    if spread is None or spread.name not in ("std", "var"):
        return False
    if why_empty(source, spread) is not None:
        return True
    return not is_of_several(source, spread) and why_one(source, spread).confidence > Confidence.POSSIBLE


def _finding(source: Source, site: Site, hazard: Hazard, evidence: Evidence) -> Finding:
    name = hazard.operand
    divisor = site.operands[name]
    gives = "is NaN" if hazard.value == "nan" else "is inf or NaN"
    if site.values[name].kind == NUMBER and all(value.kind != TENSOR for value in site.values.values()):
        is_of_numbers = all(value.kind == NUMBER for value in site.values.values())
        gives = "raises ZeroDivisionError" if is_of_numbers else "is NaN, or raises ZeroDivisionError,"
    because = f" ({evidence.witness})" if evidence.confidence > Confidence.POSSIBLE else ""
    return Finding(
        at=divisor,
        message=f"`{shown(source, site.node)}` {gives} where `{shown(source, divisor)}` is 0{because}; "
        f"{_remedy(source, site, name)}",
        confidence=evidence.confidence,
        witness=evidence.witness,
        fix=lambda: divisor_bounded(source, site, name) if _may_change(source, site) else None,
    )


def _remedy(source: Source, site: Site, name: str) -> str:
    value = site.values[name]
    if value.is_count or is_size_less_one(value):
        return f"divide by at least 1, as in `{'n.clamp(min=1)' if value.kind == TENSOR else 'max(n, 1)'}`"
    if name == "other" and normalized(source, site) is not None:
        return "write `F.normalize(x, dim)`"
    if value.kind == NUMBER:
        return "divide only where it is not 0"
    if is_never_negative(value):
        return "bound it, as in `d.clamp_min(torch.finfo(d.dtype).eps)`"
    return "keep it away from 0, or divide only where it is not 0"


def _may_change(source: Source, site: Site) -> bool:
    """Whether no `out=` tensor takes the result."""
    operation = source.fact(Calls).operation(site.node)
    return operation is None or "out" not in operation.operands
