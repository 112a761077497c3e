"""TRN205: a square root, or another root, of a value that reaches zero, where its slope is infinite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import replace, safe_fix, unsafe_fix
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.epsilon.epsilons import epsilon_outside
from pipeline_lint.facts.epsilon.root_hazards import ROOTS, is_below_relu, is_root, why_reached
from pipeline_lint.facts.epsilon.roots import deviation_code, norm_code
from pipeline_lint.facts.gradient_reach import may_be_differentiated
from pipeline_lint.facts.guarding import has_comment, shown, with_method
from pipeline_lint.facts.operations.row import Hazard
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import NUMBER, TENSOR, Evidence
from pipeline_lint.facts.trained_code import is_model_or_loss, is_near_models, is_optimizer_code
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_BOUND = "1e-7"
"""Not 0 in any dtype; smaller ones are in float16."""


class SqrtNearZero(Rule):
    """The slope of a square root is infinite at 0, so one zero in a batch makes every parameter NaN.

    The value is fine: sqrt(0) is 0. The gradient is 1 / (2 * sqrt(0)), infinite, and most often it meets a 0 from the
    inner derivative: sqrt(((a - b) ** 2).sum()) of two equal vectors has the gradient inf * 0, which is NaN. The loss
    of that step still looks right, and the next one is NaN. Zeros are not rare: a distance of a point to itself, the
    norm of padding, the standard deviation of a constant patch, the error of a sample that is fit exactly, an
    activation that is off. It is the same in float32, bfloat16 and float16, and for every power between 0 and 1;
    `torch.hypot(0, 0)` has a NaN gradient as well. Where rounding takes the argument below 0, as in
    sqrt(mean(x ** 2) - mean(x) ** 2) or sqrt(2 - 2 * cosine), even the value is NaN.

    `clamp(min=0)` before the root does not help: at its bound it passes the gradient on. `relu` does, since its
    gradient at 0 is 0. An epsilon helps only inside the root, and only if it is not lost: 1e-8 is 0 in float16.
    For a norm, torch defines the gradient at 0 as 0: `torch.linalg.vector_norm(x, dim=d)` instead of the root of the
    sum of squares, `x.std()` instead of the root of `x.var()`.

    Bad:
        import torch

        def distance_loss(a, b):
            distance = torch.sqrt(((a - b) ** 2).sum(dim=-1))
            return distance.mean()
    Good:
        import torch

        def distance_loss(a, b):
            return torch.linalg.vector_norm(a - b, dim=-1).mean()
    Exempt: code through which no gradient flows, for the gradient: no_grad, detach, whole numbers, metrics, data
        preparation, schedules and optimizers, results that are only compared or reported, here or by all callers in
        the file; what a bound, a condition or a constant keeps above 0; a relu directly
        below the root; `x.norm()`, `torch.linalg.norm`, `torch.cdist` and `x.std()`, whose gradients at 0 are finite;
        a root to which an epsilon is added outside (misplaced-epsilon) and one whose result is masked
        (where-nan-gradient). A root of a value of which nothing is known is a possible defect, which
        `--min-confidence possible` shows; so is one of what hardly comes to 0: learned parameters, exponentials,
        embeddings, distances along the edges of a graph, the variance of a distribution.
    Fix: Safe for the root of a sum of squares, which becomes `torch.linalg.vector_norm` with the same dim and keepdim,
        and for the root of a variance, which becomes `std`: the same values and gradients wherever the old ones were
        finite. Unsafe otherwise: `.clamp_min(1e-7)` inside the root, which gives 3e-4 for what was less, with the
        gradient 0; 1e-7 is a number of every dtype, and the square root's slope there is at most 1.6e3. None for
        `hypot` and in-place roots.
    Source: "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), on square roots; the
        figures were measured with torch 2.13 on CPU.
    """

    code = "TRN205"
    triggers = ("sqrt", "pow", "hypot", "** ", "**0", "**.", "**(")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every root whose argument reaches 0 where a gradient may flow, or falls below 0 by rounding."""
        for site in source.fact(Ranges).sites(*ROOTS):
            defect = _defect(source, site)
            if defect is not None:
                yield _finding(source, site, defect)


class _Defect(NamedTuple):
    hazard: Hazard
    evidence: Evidence


def _defect(source: Source, site: Site) -> _Defect | None:
    """The surest way in which a root goes wrong."""
    value = site.values.get("input")
    if value is None or value.kind == NUMBER or value.is_integer or not is_root(site):
        return None
    if is_optimizer_code(source, site.node):
        return None
    found = []
    for hazard in site.hazards:
        evidence = why_reached(source, site, hazard)
        if evidence is None or site.is_masked(hazard):
            continue
        may_flow = may_be_differentiated(source, site)
        if hazard.value == "finite":
            if not may_flow or is_below_relu(value) or epsilon_outside(source, site.node) is not None:
                continue
        elif not may_flow and value.kind != TENSOR:
            # Perhaps a Python number, which is somebody else's matter.
            continue
        found.append(_Defect(hazard, evidence))
    return max(found, key=lambda each: (each.evidence.confidence, each.hazard.value != "finite"), default=None)


def _finding(source: Source, site: Site, defect: _Defect) -> Finding:
    hazard, evidence = defect
    confidence = evidence.confidence
    subject = f"`{shown(source, site.node)}`"
    if evidence.witness.startswith("clamp") or not is_model_or_loss(source, site.node):
        # What the clamp moved to its bound has no gradient; only what was exactly 0 before has an infinite one.
        confidence = min(confidence, Confidence.LIKELY)
    if hazard.value == "finite" and not is_near_models(source, site.node):
        confidence = Confidence.POSSIBLE
    if hazard.value == "finite":
        problem = f"{subject} has no finite gradient where its argument is 0 ({evidence.witness})"
    elif hazard.value == "nan":
        problem = f"{subject} is NaN where its argument is below 0 ({evidence.witness})"
    else:
        problem = f"{subject} is infinite where its argument is 0 ({evidence.witness})"
    return Finding(
        at=site.node,
        message=f"{problem}; {_remedy(source, site)}",
        confidence=confidence,
        witness=evidence.witness,
        fix=lambda: _fix(source, site),
    )


def _remedy(source: Source, site: Site) -> str:
    norm = norm_code(source, site.node)
    if norm is not None:
        return f"write `{norm.code}`"
    deviation = deviation_code(source, site.node)
    if deviation is not None:
        return f"write `{deviation}`"
    if site.name == "hypot":
        return f"write `torch.sqrt((x * x + y * y).clamp_min({_BOUND}))`"
    if _zero_bound(source, site) is not None:
        return f"`clamp(min=0)` passes the gradient at 0, so clamp at `{_BOUND}`"
    return f"keep it away from 0 with `.clamp_min({_BOUND})` inside"


def _fix(source: Source, site: Site) -> Fix | None:
    node = site.node
    norm = norm_code(source, node)
    if norm is not None:
        return safe_fix("Replace with `vector_norm`", *norm.edits, replace(source, node, norm.code))
    deviation = deviation_code(source, node)
    if deviation is not None:
        return safe_fix("Replace with `std`", replace(source, node, deviation))
    operation = source.fact(Calls).operation(node)
    is_changed = isinstance(node, cst.AugAssign) or (operation is not None and operation.is_inplace)
    operand = site.operands.get("input")
    if site.name == "hypot" or operand is None or is_changed or has_comment(source, operand):
        return None
    bound = _zero_bound(source, site)
    edit = replace(source, bound, _BOUND) if bound is not None else with_method(source, operand, f"clamp_min({_BOUND})")
    return unsafe_fix(f"Clamp at `{_BOUND}` inside the root", edit)


def _zero_bound(source: Source, site: Site) -> cst.BaseExpression | None:
    """The 0 of a `clamp(min=0)` that the root is taken of."""
    operation = source.fact(Calls).operation(site.operands["input"])
    if operation is None or operation.name not in ("clamp", "clamp_min"):
        return None
    bound = operation.operands.get("min")
    is_zero = isinstance(bound, cst.Integer | cst.Float) and float(bound.evaluated_value) == 0
    return bound if is_zero else None
