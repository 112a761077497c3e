"""Reductions of what may be empty: what a mask, positions or pairs pick, and rows of which all is NaN."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.division.divisor_guards import has_guard
from pipeline_lint.facts.division.selecting_masks import (
    is_checked_afterwards,
    is_of_numpy,
    is_telling,
    meaning_of_selection,
)
from pipeline_lint.facts.masking.meanings import NEVER_EMPTY
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import SEQUENCE, TENSOR, Evidence, Value, either, weakened
from pipeline_lint.source import Source

IGNORING_NAN = frozenset({"nanmean", "nanmedian", "nanquantile"})
LOSSES = frozenset(
    """mse_loss l1_loss smooth_l1_loss huber_loss cross_entropy nll_loss binary_cross_entropy
    binary_cross_entropy_with_logits""".split()
)
"""Losses whose default is the mean over all elements."""
RAISING = frozenset("max min amax amin aminmax argmax argmin mode quantile".split())
"""Reductions that raise an error for nothing, which is noticed."""
_STARTS_EMPTY = "a list that starts empty"
"""What a list says of itself that a loop fills."""
_PAIRS_NAME = re.compile(r"(^|_)(pos|neg|positive|negative)_?(pairs?|pair_dist|dists?|sims?|scores?)(_|$)")
_BOX_LOSS = re.compile(r"iou_?loss|box(es)?_loss|loss_?box(es)?|bbox_?loss|(^|_)[gdc]iou(_|$)", re.IGNORECASE)
_NO_BOXES = Evidence(Confidence.LIKELY, "an image without boxes")
_PADDING = re.compile(r"pad_?mask|padding|non_?pad|length|attention_mask|lens\b|out_masks?|null_idx", re.IGNORECASE)
_DEEPEST = 5
_ALL_MASKED = Evidence(Confidence.LIKELY, "a row of which all is masked")
_NO_PAIRS = Evidence(Confidence.LIKELY, "a batch without such pairs")


def why_empty(source: Source, site: Site) -> Evidence | None:
    """Why what a reduction or loss is of has no elements at times; None where nothing says so."""
    value = site.values.get("input")
    node = site.operands.get("input")
    if value is None or node is None or value.kind == SEQUENCE or not _is_over_all(site):
        return None
    evidence = _evidence(site, value)
    if evidence is None or evidence.witness == _STARTS_EMPTY or has_guard(source, site.node, node, of_size=True):
        return None
    target = site.operands.get("target")
    if target is not None and site.name in LOSSES and has_guard(source, site.node, target, of_size=True):
        # Predictions and targets are selected together.
        return None
    meaning = meaning_of_selection(source, value)
    if meaning == NEVER_EMPTY or is_of_numpy(source, site):
        return None
    is_weak = raises(site) or not is_telling(source, site, meaning) or is_checked_afterwards(source, site.node)
    return weakened(evidence, Confidence.POSSIBLE) if is_weak else evidence


def raises(site: Site) -> bool:
    """Whether a reduction of nothing raises an error; that of `median` along a dimension does."""
    return site.name in RAISING or (site.name == "median" and bool(site.operands.keys() & {"dim", "dim_or_other"}))


def _evidence(site: Site, value: Value) -> Evidence | None:
    if site.name in IGNORING_NAN:
        return _ALL_MASKED if _may_be_nan(value) else value.empty
    if site.name in LOSSES:
        target = site.values.get("target")
        return either(value.empty, target.empty if target is not None else None) if _is_mean(site) else None
    if value.empty is not None:
        return value.empty
    if site.name == "mean" and site.function is not None and _BOX_LOSS.search(site.function.name.value):
        return _NO_BOXES
    if site.name == "logsumexp" and _PAIRS_NAME.search(last_name(site.operands["input"])):
        return _NO_PAIRS
    return None


def is_of_padding(source: Source, value: Value, depth: int = 0) -> bool:
    """Whether a mask of what is no padding selects, which is something for every batch, if not for every row."""
    made = value.made
    if depth > _DEEPEST:
        return False
    if made is None:
        return any(is_of_padding(source, choice, depth + 1) for choice in value.choices)
    if made.operation == "masked_select" and len(made.inputs) == 2:
        return is_padding_mask(source, made.node, made.inputs[1])
    return any(is_of_padding(source, each, depth + 1) for each in made.inputs)


def is_padding_mask(source: Source, node: cst.CSTNode, mask: Value) -> bool:
    """Whether a mask, which `node` reads, tells padding from the rest, as far as names tell."""
    words = [source.module.code_for_node(node), mask.zero.witness if mask.zero is not None else ""]
    if mask.made is not None:
        words.append(source.module.code_for_node(mask.made.node))
    return any(map(_PADDING.search, words))


def is_over_batch(site: Site) -> bool:
    """Whether a reduction takes in all rows of a batch: without a dimension, or along the first."""
    return _is_over_all(site)


def _may_be_nan(value: Value) -> bool:
    """Whether somebody wrote NaN where the value is masked."""
    made = value.made
    if made is None or made.operation not in ("masked_fill", "where"):
        return False
    return any(each.nan is not None for each in made.inputs)


def _is_over_all(site: Site) -> bool:
    """Whether a reduction takes all elements together, or goes along the first dimension, which a selection leaves."""
    if site.name in LOSSES or site.name in IGNORING_NAN:
        return True
    if "other" in site.operands:
        return False
    dim = site.operands.get("dim") or site.operands.get("dim_or_other")
    if dim is None:
        return True
    value = site.values.get("dim") or site.values.get("dim_or_other")
    if value is None or value.kind == TENSOR:
        return False
    return value.is_constant and value.low == _selected_dim(site.values.get("input"))


def _selected_dim(value: Value | None) -> int | None:
    """The dimension along which a selection is empty: 1 in `x[:, mask]`, 0 as a rule; None after `...`."""
    made = value.made if value is not None else None
    if made is None or made.operation != "masked_select" or not isinstance(made.node, cst.Subscript):
        return 0
    dim = 0
    for part in made.node.slice:
        match part.slice:
            case cst.Slice() | cst.Index(value=cst.Name(value="None")):
                dim += 1
            case cst.Index(value=cst.Ellipsis()):
                return None
            case cst.Index(value=cst.Integer()):
                pass
            case _:
                return dim
    return 0


def _is_mean(site: Site) -> bool:
    if "size_average" in site.operands or "reduce" in site.operands:
        return False
    reduction = site.operands.get("reduction")
    return reduction is None or (isinstance(reduction, cst.SimpleString) and reduction.evaluated_value == "mean")
