"""What the name of a value says about its size, where the code says nothing: what `likely` rests on."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.operations.results import EMPTY_GROUP
from pipeline_lint.facts.ranges.value import INFINITY, TENSOR, UNKNOWN_KIND, Evidence, Value, fresh_number, same

_LOGARITHM = re.compile(r"log|logit|energy|ll$|nll", re.IGNORECASE)
_MASK = re.compile(r"(^|_)(mask|masks|is_[a-z]+|valid|padding_mask|attention_mask)$", re.IGNORECASE)
_PROBABILITY = re.compile(r"^p(_|$)|(^|_)(probs?|probabilit(y|ies)|pt|softmax|posteriors?)(_|$)|^prob[a-z]?$")
_MOMENT = re.compile(r"(^|_)(mean|var(iance)?|std|cov(ariance)?|scale|loc|precision)s?(_|$)", re.IGNORECASE)
"""What is of a distribution and no probability: `posterior_variance`."""
_NOISE_SCHEDULE = re.compile(r"(^|_)alphas?_(cum)?prod(_|$)")
_VARIANCE_LOGARITHM = re.compile(
    r"(^|_)(log_?(var|variance|std|sigma|scale|sigma2|sigmasq|stddev)s?|log_?v(ar)?|lsgms?)(_|$)",
    re.IGNORECASE,
)
_CLIPPED = re.compile(r"clip|clamp|posterior|^model_log", re.IGNORECASE)
"""What its author has bounded, or the noise schedule of a diffusion model gives: `posterior_log_variance_clipped`."""
_LOG_PROBABILITY = re.compile(
    r"(^|_)(log_?p(rob|robs|i|df)?|log_?probabilit(y|ies)|logp|lp)(_|s$|$|[a-z]?$)", re.IGNORECASE
)
_AREA = re.compile(
    r"(^|_)(areas?\d*|unions?|volumes?)$|^area_?\w?$|^inter(section)?s?$|_intersections?$", re.IGNORECASE
)
_DEGREE = re.compile(r"(^|_)(in_|out_)?deg(ree)?s?$", re.IGNORECASE)
_SCORE = re.compile(
    r"(^|_)(dice|iou|giou|jaccard|tversky|f1|fbeta)(_(score|coeff?|coefficient|index))?$", re.IGNORECASE
)
_DISTANCE = re.compile(r"(^|_)(pairwise_)?dist(ance)?s?$", re.IGNORECASE)
_DOT = re.compile(r"(^|_)(dot|inner)(_product)?$", re.IGNORECASE)
_GROUPED = re.compile(r"^(scatter|segment|global|group)_(add|sum|add_pool|sum_pool)_?$|^index_add$", re.IGNORECASE)
_COUNT = re.compile(r"(^|_)(n|num|counts?|cnts?|totals?)(_|s?$)", re.IGNORECASE)
_INPUT = re.compile(r"^(input_values|input_features|pixel_values|past_values|waveforms?)$")
"""What a model is given: nobody asks for its gradient."""
_COSINE = re.compile(r"(^|_)(cos(ine)?(_?(sim|similarity|theta|angle|dist))?s?)(_|$)", re.IGNORECASE)


def value_named(name: str) -> Value | None:
    """What a value of this name usually is; None where the name says nothing."""
    usual = _usual(name)
    # A value of its own: two values of one name are not the same.
    return usual.but(number=fresh_number(), root=0) if usual is not None else None


def is_log_probability(name: str) -> bool:
    """Whether a name says logarithm of a probability."""
    return _LOG_PROBABILITY.search(name) is not None


def is_telling(name: str) -> bool:
    """Whether a name says more of a value than arithmetic on unknown values does."""
    return _AREA.search(name) is not None


def value_of_attribute(name: str) -> Value | None:
    """What `object.name` usually is."""
    if name == "variance":
        # Of a distribution, whose class keeps it off 0.
        return Value(0.0, INFINITY, kind=TENSOR)
    return value_named(name)


def value_of_call(name: str, arguments: Sequence[Value]) -> Value | None:
    """What a function of this name, of which nothing else is known, usually gives."""
    if _SCORE.search(name):
        apart = Evidence(Confidence.LIKELY, "a score is 0 where nothing overlaps")
        equal = Evidence(Confidence.LIKELY, "a score is 1 where all is equal")
        return Value(0.0, 1.0, apart, equal, apart, kind=UNKNOWN_KIND)
    if _DOT.search(name) and len(arguments) >= 2 and same(arguments[0], arguments[1]):
        zeros = Evidence(Confidence.LIKELY, "a vector of zeros")
        return Value(0.0, INFINITY, zeros, None, zeros, kind=UNKNOWN_KIND)
    if _DISTANCE.search(name):
        equal = Evidence(Confidence.LIKELY, "equal points")
        return Value(0.0, INFINITY, equal, None, equal, kind=UNKNOWN_KIND)
    if _GROUPED.search(name) and arguments and arguments[0].low >= 0:
        return Value(0.0, INFINITY, EMPTY_GROUP, None, EMPTY_GROUP, kind=TENSOR)
    return value_named(name)


@functools.lru_cache(maxsize=8192)
def _usual(name: str) -> Value | None:
    if _VARIANCE_LOGARITHM.search(name):
        if _CLIPPED.search(name):
            return None
        free = Evidence(Confidence.LIKELY, f"nothing bounds `{name}`")
        return Value(at_low=free, at_high=free, kind=UNKNOWN_KIND)
    if _LOG_PROBABILITY.search(name):
        free = Evidence(Confidence.LIKELY, f"nothing bounds `{name}` from below")
        return Value(at_low=free, kind=UNKNOWN_KIND)
    if _LOGARITHM.search(name):
        return None
    if _MASK.search(name):
        none = Evidence(Confidence.LIKELY, f"`{name}` is 0 where it selects nothing")
        one = Evidence(Confidence.LIKELY, f"`{name}` is 1 where it selects")
        return Value(0.0, 1.0, none, one, none, kind=TENSOR, has_gradient=False)
    if _NOISE_SCHEDULE.search(name):
        # Schedules are made to stay inside.
        return Value(0.0, 1.0, kind=UNKNOWN_KIND)
    if _PROBABILITY.search(name) and not _MOMENT.search(name):
        zero = Evidence(Confidence.LIKELY, f"a probability such as `{name}` rounds to 0")
        one = Evidence(Confidence.LIKELY, f"a probability such as `{name}` rounds to 1")
        return Value(0.0, 1.0, zero, one, zero, kind=UNKNOWN_KIND)
    if _AREA.search(name):
        zero = Evidence(Confidence.LIKELY, f"`{name}` is 0 for an empty region")
        return Value(0.0, INFINITY, zero, None, zero, kind=UNKNOWN_KIND)
    if _COSINE.search(name):
        low = Evidence(Confidence.LIKELY, "the cosine of opposite vectors is -1")
        high = Evidence(Confidence.LIKELY, "the cosine of parallel vectors is 1")
        return Value(-1.0, 1.0, low, high, kind=UNKNOWN_KIND)
    if _DEGREE.search(name):
        isolated = Evidence(Confidence.LIKELY, f"`{name}` of an isolated node is 0")
        return Value(0.0, INFINITY, isolated, None, isolated, kind=UNKNOWN_KIND, has_gradient=False)
    if _COUNT.search(name):
        return Value(0.0, INFINITY, is_count=True, kind=UNKNOWN_KIND)
    if _INPUT.search(name):
        return Value(kind=UNKNOWN_KIND, has_gradient=False)
    return None
