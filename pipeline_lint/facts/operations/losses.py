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
    hazards: Callable[[Operands], tuple[Hazard, ...]] | tuple[Hazard, ...] = (),
) -> Row:
    def transfer(operands: Operands) -> Value:
        values = [operands[parameter] for parameter in inputs]
        bounds = [each.at_high if each.high == INFINITY else None for each in values]
        result = results.computed(
            operands,
            name,
            low,
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
    if "log_target" in operands:
        return ()
    smallest = results.limits_of(operands["target"].dtype).smallest
    return (Hazard("target", -INFINITY, -smallest, "nan", "finite"),)


def _of_poisson(operands: Operands) -> tuple[Hazard, ...]:
    if "log_input" in operands:
        return ()
    dtype = operands.input.dtype
    limit = floats.next_above(floats.rounded(results.limits_of(dtype).max_exp, dtype), dtype)
    return (Hazard("input", limit, INFINITY, "inf", "inf"),)


ROWS: dict[str, Row] = {
    "cross_entropy": _loss("cross_entropy"),
    "nll_loss": _loss("nll_loss", -INFINITY, zero=None),
    "binary_cross_entropy": _loss("binary_cross_entropy", hazards=_of_binary_cross_entropy),
    "binary_cross_entropy_with_logits": _loss("binary_cross_entropy_with_logits"),
    **{name: _difference(name) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")},
    "kl_div": _loss("kl_div", -INFINITY, zero=None, hazards=_of_kl_div),
    "gaussian_nll_loss": _loss("gaussian_nll_loss", -INFINITY, zero=None, inputs=("input", "target", "var")),
    "poisson_nll_loss": _loss("poisson_nll_loss", -INFINITY, zero=None, hazards=_of_poisson),
    "ctc_loss": _loss("ctc_loss", -INFINITY, zero=None, inputs=("log_probs",)),
    "soft_margin_loss": _loss("soft_margin_loss", zero=None),
    "multilabel_soft_margin_loss": _loss("multilabel_soft_margin_loss"),
    "multilabel_margin_loss": _loss("multilabel_margin_loss"),
    "multi_margin_loss": _loss("multi_margin_loss"),
    "hinge_embedding_loss": _loss("hinge_embedding_loss", -INFINITY, zero=_PERFECT),
    "margin_ranking_loss": _loss("margin_ranking_loss", inputs=("input1", "input2", "target")),
    "cosine_embedding_loss": _loss("cosine_embedding_loss", -1e-3, inputs=("input1", "input2", "target")),
    "triplet_margin_loss": _loss("triplet_margin_loss", inputs=("anchor", "positive", "negative")),
    "triplet_margin_with_distance_loss": _loss(
        "triplet_margin_with_distance_loss", inputs=("anchor", "positive", "negative")
    ),
}
