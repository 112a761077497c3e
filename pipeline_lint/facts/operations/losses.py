"""Losses: what is never negative, and 0 for a perfect prediction."""

from __future__ import annotations

from collections.abc import Callable

from pipeline_lint.facts import floats
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.row import Hazard, Row
from pipeline_lint.facts.ranges.value import INFINITY, TENSOR, Evidence, Operands, Value, either, same

_PERFECT = Evidence(results.LIKELY, "a perfect prediction")


def _loss(
    name: str,
    low: float = 0.0,
    *,
    zero: Evidence | None = _PERFECT,
    inputs: tuple[str, ...] = ("input", "target"),
    num_steps: int = 0,
    hazards: Callable[[Operands], tuple[Hazard, ...]] | tuple[Hazard, ...] = (),
) -> Row:
    """A loss that is `low` and more, but for so many steps of rounding."""

    def transfer(operands: Operands) -> Value:
        values = [operands[parameter] for parameter in inputs]
        margin = num_steps * results.limits_of(values[0].dtype).eps
        if num_steps and values[0].dtype == "float16":
            # Squares of its elements are added up in float16: small vectors have a norm of nearly nothing.
            margin = INFINITY
        bounds = [each.at_high if each.high == INFINITY else None for each in values]
        result = results.computed(
            operands,
            name,
            low - margin,
            INFINITY,
            *values,
            at_high=either(*bounds),
            zero=zero,
            nan=either(*(each.empty for each in values)),
            dtype=results.float_dtype(values[0]),
            kind=TENSOR,
        )
        result.empty = None
        return result

    return Row(transfer, hazards)


def _difference(name: str) -> Row:
    """`mse_loss`, `l1_loss` and what lies between them."""

    def transfer(operands: Operands) -> Value:
        one, other = operands.input, operands["target"]
        dtype = results.result_dtype(one, other)
        if same(one, other):
            return results.exactly(operands, name, 0.0, "equal values", one, other, dtype=dtype)
        result = results.computed(
            operands,
            name,
            0.0,
            INFINITY,
            one,
            other,
            zero=results.EQUAL,
            nan=either(one.empty, other.empty),
            dtype=dtype,
            kind=TENSOR,
        )
        result.empty = None
        return result

    return Row(transfer)


def _of_binary_cross_entropy(operands: Operands) -> tuple[Hazard, ...]:
    """Its logarithm is kept above -100, and 1e-12 its divisor: which float16 does not hold."""
    if floats.rounded(1e-12, operands.input.dtype) != 0:
        return ()
    return Hazard("input", 0.0, 0.0, "finite", "nan"), Hazard("input", 1.0, 1.0, "finite", "nan")


def _of_kl_div(operands: Operands) -> tuple[Hazard, ...]:
    if results.is_on(operands, "log_target"):
        return _overflow("target", operands["target"].dtype, "nan")
    smallest = results.limits_of(operands["target"].dtype).smallest
    return (Hazard("target", -INFINITY, -smallest, "nan", "finite"),)


def _of_poisson(operands: Operands) -> tuple[Hazard, ...]:
    dtype = operands.input.dtype
    if operands.number("log_input", 1.0) != 0:
        return _overflow("input", dtype, "inf")
    eps = operands.number("eps", 1e-8)
    below = Hazard("input", -INFINITY, -results.limits_of(dtype).smallest, "nan", "finite")
    if eps is not None and floats.rounded(eps, dtype) == 0:
        return below, Hazard("input", 0.0, 0.0, "nan", "nan")
    return (below,)


def _of_gaussian(operands: Operands) -> tuple[Hazard, ...]:
    """The variance is kept above an epsilon, whose reciprocal may overflow."""
    dtype = operands["var"].dtype
    eps = floats.rounded(operands.number("eps", 1e-6) or 0.0, dtype)
    if eps == 0 or 1 / eps > results.limits_of(dtype).max:
        return (Hazard("var", 0.0, 0.0, "inf", "inf"),)
    return ()


def _of_cosine(operands: Operands) -> tuple[Hazard, ...]:
    """The epsilon in its norms is 1e-12, which float16 does not hold."""
    return tuple(
        Hazard(name, 0.0, 0.0, "nan", "nan")
        for name in ("input1", "input2")
        if floats.rounded(1e-12, operands[name].dtype) == 0
    )


def _of_soft_margin(operands: Operands) -> tuple[Hazard, ...]:
    """Its exponential is computed as it is written."""
    (above,) = _overflow("input", operands.input.dtype, "inf")
    return above, Hazard("input", -INFINITY, -above.low, "inf", "inf")


def _overflow(operand: str, dtype: str | None, value: str) -> tuple[Hazard, ...]:
    """Beyond the largest argument whose exponential is finite."""
    limit = floats.next_above(floats.rounded(results.limits_of(dtype).max_exp, dtype), dtype)
    return (Hazard(operand, limit, INFINITY, value, "inf"),)


ROWS: dict[str, Row] = {
    "cross_entropy": _loss("cross_entropy"),
    "nll_loss": _loss("nll_loss", -INFINITY, zero=None),
    "binary_cross_entropy": _loss("binary_cross_entropy", hazards=_of_binary_cross_entropy),
    "binary_cross_entropy_with_logits": _loss("binary_cross_entropy_with_logits"),
    **{name: _difference(name) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")},
    "kl_div": _loss("kl_div", -INFINITY, zero=None, hazards=_of_kl_div),
    "gaussian_nll_loss": _loss(
        "gaussian_nll_loss", -INFINITY, zero=None, inputs=("input", "target", "var"), hazards=_of_gaussian
    ),
    "poisson_nll_loss": _loss("poisson_nll_loss", -INFINITY, zero=None, hazards=_of_poisson),
    "ctc_loss": _loss("ctc_loss", -INFINITY, zero=None, inputs=("log_probs",)),
    "soft_margin_loss": _loss("soft_margin_loss", zero=None, hazards=_of_soft_margin),
    "multilabel_soft_margin_loss": _loss("multilabel_soft_margin_loss"),
    "multilabel_margin_loss": _loss("multilabel_margin_loss"),
    "multi_margin_loss": _loss("multi_margin_loss"),
    "hinge_embedding_loss": _loss("hinge_embedding_loss", -INFINITY, zero=_PERFECT),
    "margin_ranking_loss": _loss("margin_ranking_loss", inputs=("input1", "input2", "target")),
    "cosine_embedding_loss": _loss(
        "cosine_embedding_loss", num_steps=4, inputs=("input1", "input2", "target"), hazards=_of_cosine
    ),
    "triplet_margin_loss": _loss("triplet_margin_loss", inputs=("anchor", "positive", "negative")),
    "triplet_margin_with_distance_loss": _loss(
        "triplet_margin_with_distance_loss", inputs=("anchor", "positive", "negative")
    ),
}
