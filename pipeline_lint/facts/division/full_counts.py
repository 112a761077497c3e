"""Counts, sizes and degrees that are not 0 in practice: of what is no padding, of batches, of the ends of edges."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.facts.code.value_history import names_in, ways_made
from pipeline_lint.facts.division.selections import is_padding_mask
from pipeline_lint.facts.division.value_leaves import history
from pipeline_lint.facts.masking.masks import is_mask_like
from pipeline_lint.facts.ranges.value import NUMBER, Value
from pipeline_lint.source import Source

_PADDING = re.compile(
    r"(^|\W|_)(pad(ded|ding)?|null|not_?null)(_|\W|$)|(src|enc|dec|tgt|dur|token|text|spectrogram|duration)\w*_masks?\b|_len\b"
    r"|attention_masks?\b|mask_flatten"
)
_DEGREE = re.compile(r"(^|_)(in|out)?_?deg(ree)?s?$", re.IGNORECASE)
_SPATIAL = re.compile(r"^(d|h|w|c|[xyz]_dim|\w*(height|width)|(num_|n_)?classes)$", re.IGNORECASE)
"""Names of sizes that are 1 at times: of an image, and how many classes there are in a batch."""


def is_hardly_one(source: Source, node: cst.BaseExpression, value: Value) -> bool:
    """Whether a divisor is one less than a size that is hardly ever 1, as a batch or a number of steps."""
    return not any(map(_SPATIAL.search, names_in(node))) and not _counts_unique(source, value)


def counts_padding(source: Source, node: cst.BaseExpression, value: Value) -> bool:
    """Whether a divisor counts what is no padding, of which every row has some."""
    if value.is_count and _PADDING.search(source.module.code_for_node(node)):
        return True
    for each, operation in history(value):
        if operation in ("sum", "count_nonzero") and each.made is not None and each.made.inputs:
            mask, code = each.made.inputs[0], source.module.code_for_node(each.made.node)
            if mask.made is not None and is_mask_like(mask):
                code += source.module.code_for_node(mask.made.node)
            if _PADDING.search(code) or (is_mask_like(mask) and is_padding_mask(source, each.made.node, mask)):
                return True
    return False


def is_of_diagonal(value: Value) -> bool:
    """Whether a mask is made of a diagonal or triangle, which leaves something in each row."""
    return any(operation in ("eye", "tril", "triu", "diag") for _, operation in history(value))


def is_of_degrees(value: Value, node: cst.BaseExpression) -> bool:
    """Whether a divisor is degrees of nodes, or counts them.

    An isolated node has no message that the infinity could go along, and graphs are mostly given loops before. Of
    `log(degree + 1)` it is known that degrees of 0 come.
    """
    if value.made is not None and value.made.operation in ("log", "log1p", "log2"):
        return False
    names = {*names_in(node), *(name for made in ways_made(value) for name in names_in(made.node))}
    return any(map(_DEGREE.search, names))


def is_never_empty(value: Value) -> bool:
    """Whether a mask selects something for sure, or what is counted is a size that a mask hardly touches."""
    return value.kind == NUMBER and not any(made.operation in ("sum", "numel", "item") for made in ways_made(value))


def _counts_unique(source: Source, value: Value) -> bool:
    """Whether a divisor is one less than how many different values there are."""
    return any(
        made.inputs[0].made is not None and "unique" in source.module.code_for_node(made.inputs[0].made.node)
        for made in ways_made(value)
        if made.operation == "sub"
    )
