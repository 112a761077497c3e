"""Masks that are multiplied in after a softmax, where they come too late."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.masking.fills import fills
from pipeline_lint.facts.masking.masks import is_mask_like
from pipeline_lint.facts.operations.results import without_epsilon
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import Value, same_elements
from pipeline_lint.source import Source

_LOG_PROBABILITIES = re.compile(r"log_?(soft)?(max|prob)|logp(_|$)|log_?likelihoods", re.IGNORECASE)


def renormalised(source: Source) -> Iterator[Site]:
    """The products `softmax(x) * mask` that are divided by their own sum, of scores that were not masked before."""
    ranges = source.fact(Ranges)
    for site in ranges.sites("div"):
        total = without_epsilon(site.values["other"]).made
        product = site.values["input"]
        if total is None or total.operation != "sum" or not same_elements(total.inputs[0], product):
            continue
        for made in (each.made for each in _alternatives(product)):
            if made is None or made.operation != "mul" or len(made.inputs) != 2:
                continue
            for weights, mask in (made.inputs, made.inputs[::-1]):
                found = ranges.site(made.node)
                if found is not None and is_mask_like(mask) and _is_of_unmasked_scores(weights):
                    yield found


def zeroed_log_probabilities(source: Source) -> Iterator[Site]:
    """The products `mask * log_softmax(x)` that a function gives back as log probabilities."""
    for site in source.fact(Ranges).sites("mul"):
        function = site.function
        if function is None or not isinstance(source.parent(site.node), cst.Return):
            continue
        one, other = (site.values[name] for name in ("input", "other"))
        for masked, mask, name in ((one, other, "input"), (other, one, "other")):
            is_named = _LOG_PROBABILITIES.search(function.name.value) is not None
            if is_mask_like(mask) and is_named and (_is_log_softmax(masked) or _says_so(site.operands.get(name))):
                yield site
                break


def _is_of_unmasked_scores(weights: Value) -> bool:
    for each in _alternatives(weights):
        made = each.made
        if made is not None and made.operation == "softmax" and made.inputs:
            scores = made.inputs[0]
            is_product = scores.made is not None and scores.made.operation == "mul"
            is_masked = is_product and scores.made is not None and any(map(is_mask_like, scores.made.inputs))
            return not is_masked and next(fills(scores), None) is None
    return False


def _is_log_softmax(value: Value) -> bool:
    return any(each.made is not None and each.made.operation == "log_softmax" for each in _alternatives(value))


def _says_so(node: cst.BaseExpression | None) -> bool:
    name = called_name(node) if isinstance(node, cst.Call) else node.value if isinstance(node, cst.Name) else ""
    return _LOG_PROBABILITIES.search(name) is not None


def _alternatives(value: Value, depth: int = 0) -> Iterator[Value]:
    yield value
    if depth < 4:
        for choice in value.choices:
            yield from _alternatives(choice, depth + 1)
