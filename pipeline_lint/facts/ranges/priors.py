"""What the name of a value says about its size, where the code says nothing: what `likely` rests on."""

from __future__ import annotations

import functools
import re

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.ranges.value import INFINITY, TENSOR, UNKNOWN_KIND, Evidence, Value, fresh_number

_LOGARITHM = re.compile(r"log|logit|energy|ll$|nll", re.IGNORECASE)
_MASK = re.compile(r"(^|_)(mask|masks|is_[a-z]+|valid|padding_mask|attention_mask)$", re.IGNORECASE)
_PROBABILITY = re.compile(r"(^|_)(p|probs?|probabilit(y|ies)|pt|softmax|posteriors?|alphas?_cumprod)(_|$)|^prob[a-z]?$")
_VARIANCE_LOGARITHM = re.compile(
    r"(^|_)(log_?(var|variance|std|sigma|scale|sigma2|sigmasq|stddev)s?|log_?v(ar)?|lsgms?|log_alpha|log_temperature"
    r"|logit_scale)(_|$)",
    re.IGNORECASE,
)
_LOG_PROBABILITY = re.compile(
    r"(^|_)(log_?p(rob|robs|i|df)?|log_?probabilit(y|ies)|logp|lp)(_|s$|$|[a-z]?$)", re.IGNORECASE
)
_AREA = re.compile(r"(^|_)(areas?\d*|area_?\w?|unions?|intersections?|inter|volumes?)(_|$)", re.IGNORECASE)
_COUNT = re.compile(r"^(n|num|count|cnt)_|_(count|cnt|num)s?$|^(count|cnt)s?$", re.IGNORECASE)
_COSINE = re.compile(r"(^|_)(cos(ine)?(_?(sim|similarity|theta|angle|dist))?s?)(_|$)", re.IGNORECASE)


def value_named(name: str) -> Value | None:
    """What a value of this name usually is; None where the name says nothing."""
    usual = _usual(name)
    # A value of its own: two values of one name are not the same.
    return usual.but(number=fresh_number(), root=0) if usual is not None else None


@functools.lru_cache(maxsize=8192)
def _usual(name: str) -> Value | None:
    if _VARIANCE_LOGARITHM.search(name):
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
    if _PROBABILITY.search(name):
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
    if _COUNT.search(name):
        return Value(0.0, INFINITY, is_count=True, kind=UNKNOWN_KIND)
    return None
