"""`torch.distributions`: where samples lie, and what can be said of probabilities, logarithms and parameters.

The parameters themselves are checked by torch when a distribution is made (a scale of 0 is a ValueError), so that they
are no hazards; samples and probabilities reach the ends of their ranges by rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.ranges.value import INFINITY, TENSOR, UNKNOWN, Evidence, Made, Value

_ROUNDED = Evidence(Confidence.LIKELY, "a probability of large logits rounds to 0 or 1")
_TAIL = Evidence(Confidence.LIKELY, "a cumulative probability is exactly 0 or 1 far from the mean, at 5.6 deviations")
_DRAWN_ZERO = Evidence(Confidence.LIKELY, "0 is drawn at times")
_UNIFORM_ZERO = Evidence(Confidence.LIKELY, "a uniform number is 0 about once in 16 million")


class Family(NamedTuple):
    """One kind of distribution."""

    parameters: tuple[str, ...]
    """Of its constructor, in their order."""
    low: float
    high: float
    """Between which its samples lie."""
    is_discrete: bool = False
    zero: Evidence | None = None
    """Why a sample is 0, where that is not rare."""
    is_nonzero: bool = False
    """Whether no sample is 0, by rounding either."""


_REAL, _POSITIVE, _UNIT = (-INFINITY, INFINITY), (0.0, INFINITY), (0.0, 1.0)
DISTRIBUTIONS = {
    "Bernoulli": Family(("probs", "logits"), *_UNIT, is_discrete=True, zero=_DRAWN_ZERO),
    "Beta": Family(("concentration1", "concentration0"), *_UNIT, is_nonzero=True),
    "Binomial": Family(("total_count", "probs", "logits"), *_POSITIVE, is_discrete=True, zero=_DRAWN_ZERO),
    "Categorical": Family(("probs", "logits"), *_POSITIVE, is_discrete=True, zero=_DRAWN_ZERO),
    "Cauchy": Family(("loc", "scale"), *_REAL),
    "Chi2": Family(("df",), *_POSITIVE, is_nonzero=True),
    "Dirichlet": Family(("concentration",), *_UNIT, is_nonzero=True),
    "Exponential": Family(("rate",), *_POSITIVE),
    "Gamma": Family(("concentration", "rate"), *_POSITIVE, is_nonzero=True),
    "Geometric": Family(("probs", "logits"), *_POSITIVE, is_discrete=True, zero=_DRAWN_ZERO),
    "Gumbel": Family(("loc", "scale"), *_REAL),
    "HalfCauchy": Family(("scale",), *_POSITIVE),
    "HalfNormal": Family(("scale",), *_POSITIVE),
    "Laplace": Family(("loc", "scale"), *_REAL),
    "LogNormal": Family(("loc", "scale"), *_POSITIVE),
    "LowRankMultivariateNormal": Family(("loc", "cov_factor", "cov_diag"), *_REAL),
    "MultivariateNormal": Family(("loc", "covariance_matrix", "precision_matrix", "scale_tril"), *_REAL),
    "NegativeBinomial": Family(("total_count", "probs", "logits"), *_POSITIVE, is_discrete=True, zero=_DRAWN_ZERO),
    "Normal": Family(("loc", "scale"), *_REAL),
    "OneHotCategorical": Family(("probs", "logits"), *_UNIT, is_discrete=True, zero=_DRAWN_ZERO),
    "OneHotCategoricalStraightThrough": Family(("probs", "logits"), *_UNIT, is_discrete=True, zero=_DRAWN_ZERO),
    "Poisson": Family(("rate",), *_POSITIVE, is_discrete=True, zero=_DRAWN_ZERO),
    "RelaxedBernoulli": Family(("temperature", "probs", "logits"), *_UNIT),
    "RelaxedOneHotCategorical": Family(("temperature", "probs", "logits"), *_UNIT),
    "StudentT": Family(("df", "loc", "scale"), *_REAL),
    "Uniform": Family(("low", "high"), *_REAL),
    "Weibull": Family(("scale", "concentration"), *_POSITIVE),
}
"""Weibull and LogNormal samples also become 0 and inf, for extreme parameters alone."""


def sample(family: Family, distribution: Value, made: Made, *, is_differentiable: bool) -> Value:
    """What `sample()` and `rsample()` give."""
    low, high, zero = family.low, family.high, family.zero
    if family is DISTRIBUTIONS["Uniform"]:
        given = _parameters(family, distribution)
        low, high = given["low"].low, given["high"].high
        zero = _UNIFORM_ZERO if low == 0 else None
    return Value(
        low,
        high,
        zero if low == 0 else None,
        None,
        zero,
        family.is_nonzero,
        dtype=None,
        kind=TENSOR,
        has_gradient=is_differentiable
        and any(each.has_gradient for each in _parameters(family, distribution).values()),
        made=made,
        is_count=family.is_discrete,
    )


def _log_prob(family: Family, distribution: Value, made: Made) -> Value:
    high = 0.0 if family.is_discrete else INFINITY
    return Value(high=high, kind=TENSOR, has_gradient=distribution.has_gradient, made=made)


def _cdf(_: Family, distribution: Value, made: Made) -> Value:
    return Value(*_UNIT, _TAIL, _TAIL, _TAIL, kind=TENSOR, has_gradient=distribution.has_gradient, made=made)


def _entropy(family: Family, distribution: Value, made: Made) -> Value:
    low = 0.0 if family.is_discrete else -INFINITY
    return Value(low, kind=TENSOR, has_gradient=distribution.has_gradient, made=made)


METHODS: dict[str, Callable[[Family, Value, Made], Value]] = {
    "sample": lambda family, distribution, made: sample(family, distribution, made, is_differentiable=False),
    "rsample": lambda family, distribution, made: sample(family, distribution, made, is_differentiable=True),
    "log_prob": _log_prob,
    "cdf": _cdf,
    "entropy": _entropy,
}


def attribute(family: Family, distribution: Value, name: str, made: Made) -> Value | None:
    """`d.probs`, `d.scale`; None for what is no parameter or moment."""
    given = _parameters(family, distribution).get(name, UNKNOWN)
    if name == "probs" and "probs" in family.parameters:
        # Computed from the logits, or divided by its sum.
        zero = _ROUNDED if given is UNKNOWN else None
        return Value(*_UNIT, zero, zero, zero, kind=TENSOR, has_gradient=distribution.has_gradient, made=made)
    if name == "logits" and "logits" in family.parameters:
        return Value(kind=TENSOR, has_gradient=distribution.has_gradient, made=made)
    if name in ("scale", "stddev", "variance", "rate", "concentration"):
        return Value(0.0, is_nonzero=True, kind=TENSOR, has_gradient=distribution.has_gradient, made=made)
    if name in ("loc", "mean"):
        return Value(family.low, family.high, kind=TENSOR, has_gradient=distribution.has_gradient, made=made)
    return None


def _parameters(family: Family, distribution: Value) -> dict[str, Value]:
    """The parameters that the constructor was given."""
    inputs = distribution.made.inputs if distribution.made is not None else ()
    return dict(zip(family.parameters, inputs, strict=False))
