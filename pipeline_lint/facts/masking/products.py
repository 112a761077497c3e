"""Products with a mask that make NaN of what they should throw away, or leave a weight to what they should mask."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.gradient_reach import may_be_differentiated
from pipeline_lint.facts.masking.exclusions import Exclusion, spoiled_products
from pipeline_lint.facts.masking.fills import fills
from pipeline_lint.facts.masking.infinities import infinity_in, keeping_chain
from pipeline_lint.facts.masking.masks import is_mask_like
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import NUMBER, OTHER, Value
from pipeline_lint.source import Source

CONSTANT, FILLED, COMPUTED, SCORES = "constant", "filled", "computed", "scores"


class Cause(NamedTuple):
    """An operation that gives what is not finite, and where it does."""

    site: Site
    exclusion: Exclusion


class Product(NamedTuple):
    """One product, and what is wrong with it."""

    site: Site
    kind: str
    """`constant`: with inf itself; `filled`: with what was filled with inf; `computed`: with the result of an operation
    that is infinite or NaN where the mask is 0; `scores`: of scores, before a softmax."""
    masked: str
    """The operand of the product that is masked."""
    mask: str
    confidence: Confidence
    cause: Cause | None = None


def products(source: Source) -> Iterator[Product]:
    """The products of a file that go wrong, each once."""
    ranges = source.fact(Ranges)
    seen: set[int] = set()
    for site in ranges.sites("mul"):
        product = _with_infinity(source, site)
        if product is not None:
            seen.add(id(site.node))
            yield product
    for product in _computed(ranges):
        if id(product.site.node) not in seen:
            seen.add(id(product.site.node))
            yield product
    for product in _of_scores(ranges):
        if id(product.site.node) not in seen:
            yield product


def _with_infinity(source: Source, site: Site) -> Product | None:
    for masked, mask in (("input", "other"), ("other", "input")):
        infinite, factor = site.values[masked], site.values[mask]
        found = infinity_in(infinite)
        if found is None or factor.kind in (NUMBER, OTHER) or not factor.may_be_zero:
            continue
        is_constant = infinite.is_constant and infinite.kind == NUMBER
        confidence = _confidence(infinite, factor)
        if confidence is None:
            continue
        if site.masks and not is_constant:
            if not may_be_differentiated(source, site):
                # Somebody writes over the NaN, and no gradient goes through it.
                continue
            confidence = min(confidence, Confidence.LIKELY)
        return Product(site, CONSTANT if is_constant else FILLED, masked, mask, confidence)
    return None


def _confidence(infinite: Value, factor: Value) -> Confidence | None:
    """How sure it is that the factor is 0 where the other is infinite."""
    if is_mask_like(factor):
        return Confidence.CERTAIN if infinite.is_constant else Confidence.LIKELY
    if infinite.low == 1 and infinite.high == float("inf"):
        # A mask of 1 and inf, by which what is 0 (a distance to itself) is not excluded but spoiled.
        return Confidence.LIKELY
    if factor.zero is not None:
        return min(factor.zero.confidence, Confidence.LIKELY)
    if factor.made is not None and factor.made.operation in ("softmax", "exp"):
        return Confidence.LIKELY
    return None


def _computed(ranges: Ranges) -> Iterator[Product]:
    for site in ranges.sites():
        if not site.hazards or not site.masks:
            continue
        for exclusion in spoiled_products(site):
            product = ranges.site(exclusion.node)
            if product is None or {"input", "other"} - product.values.keys():
                continue
            for masked, mask in (("input", "other"), ("other", "input")):
                nodes = {id(each.made.node) for each in keeping_chain(product.values[masked]) if each.made is not None}
                if id(site.node) in nodes:
                    confidence = exclusion.evidence.confidence
                    if math.isinf(exclusion.hazard.high - exclusion.hazard.low):
                        # An overflow, which takes more than a value at an edge.
                        confidence = min(confidence, Confidence.POSSIBLE)
                    yield Product(product, COMPUTED, masked, mask, confidence, Cause(site, exclusion))


def _of_scores(ranges: Ranges) -> Iterator[Product]:
    """`softmax(x * mask)`, where the result is not masked once more."""
    again = {
        id(each.made.node)
        for site in ranges.sites("mul")
        for each, factor in (tuple(site.values.values())[:2], tuple(site.values.values())[1::-1])
        if each.made is not None and is_mask_like(factor)
    }
    for softmax in (*ranges.sites("softmax"), *ranges.sites("log_softmax")):
        made = softmax.values["input"].made if "input" in softmax.values else None
        site = ranges.site(made.node) if made is not None and made.operation == "mul" else None
        if site is None or softmax.masks or id(softmax.node) in again or {"input", "other"} - site.values.keys():
            continue
        for masked, mask in (("input", "other"), ("other", "input")):
            scores = site.values[masked]
            is_score = scores.kind not in (NUMBER, OTHER) and not is_mask_like(scores)
            if is_score and is_mask_like(site.values[mask]) and next(fills(scores), None) is None:
                yield Product(site, SCORES, masked, mask, Confidence.LIKELY)
                break
