"""The fills of masked scores in one file, with the softmaxes behind them and the code that they are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.masking.fills import Fill, fill_of, fills
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.source import Source

SAFE_ATTENTION = "scaled_dot_product_attention"
"""Gives 0 for a row that is masked entirely, where a softmax gives NaN."""
_SOFTMAXES = {
    "softmax": "input",
    "log_softmax": "input",
    "gumbel_softmax": "logits",
    "cross_entropy": "input",
    SAFE_ATTENTION: "attn_mask",
}
"""What normalises scores, and the operand that holds the scores or is added to them."""
_SCORES = re.compile(r"attn|atten|score|logit|(^|_)dots?(_|$)|energ|(^|_)sim(_|$|ilarit)|align", re.IGNORECASE)
_ATTENTION = re.compile(r"attn|atten", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreFill:
    """One fill as the code writes it."""

    fill: Fill
    value: cst.BaseExpression
    """The constant."""
    mask: cst.CSTNode
    scores: cst.BaseExpression | None
    """What is filled; None where the constant is a term of a sum."""
    is_method: bool
    """Whether it is a call of `masked_fill`, which raises for what the dtype cannot hold."""
    softmaxes: tuple[Site, ...]
    """None where only names tell of one."""
    is_attention: bool
    """Whether the scores, or the function or class around, are named for attention."""

    @property
    def names(self) -> set[str]:
        """The names of the operations that normalise the scores."""
        return {site.name for site in self.softmaxes}


def score_fills(source: Source) -> Iterator[ScoreFill]:
    """The fills before a softmax, and those of what is called scores or logits where no softmax is in sight."""
    ranges = source.fact(Ranges)
    found: dict[int, tuple[Fill, list[Site]]] = {}
    for name, operand in _SOFTMAXES.items():
        for site in ranges.sites(name):
            for fill in fills(site.values[operand]) if operand in site.values else ():
                found.setdefault(id(fill.node), (fill, []))[1].append(site)
    for site in ranges.sites("masked_fill"):
        unseen = fill_of(site.result) if id(site.node) not in found else None
        if unseen is not None and _names_scores(site.operands.get("input")):
            found[id(site.node)] = (unseen, [])
    for fill, softmaxes in found.values():
        each = _as_code(source, fill, tuple(softmaxes))
        if each is not None:
            yield each


def _as_code(source: Source, fill: Fill, softmaxes: tuple[Site, ...]) -> ScoreFill | None:
    node = fill.node
    if isinstance(node, cst.Subscript):
        assign = source.enclosing(node, cst.Assign)
        if assign is None:
            return None
        return ScoreFill(fill, assign.value, node.slice[0], node.value, False, softmaxes, _is_attention(source, node))
    site = source.fact(Ranges).site(node)
    if site is None:
        return None
    match site.name:
        case "masked_fill":
            names = ("value", "mask", "input")
        case "where":
            is_other = site.result.made is not None and site.result.made.inputs[1] is fill.scores
            names = ("other", "condition", "input") if is_other else ("input", "condition", "other")
        case _:
            names = ("other", "input", "") if site.values["other"].is_constant else ("input", "other", "")
    operands = site.operands
    if names[0] not in operands or names[1] not in operands:
        return None
    value, covered, scores = operands[names[0]], operands[names[1]], operands.get(names[2])
    is_method = site.name == "masked_fill"
    return ScoreFill(fill, value, covered, scores, is_method, softmaxes, _is_attention(source, node))


def _is_attention(source: Source, node: cst.CSTNode) -> bool:
    scopes = (each for each in source.ancestors(node) if isinstance(each, cst.FunctionDef | cst.ClassDef))
    return any(_ATTENTION.search(name) for name in (source.code(node), *(scope.name.value for scope in scopes)))


def _names_scores(node: cst.BaseExpression | None) -> bool:
    while isinstance(node, cst.Subscript):
        node = node.value
    match node:
        case cst.Name(value=name) | cst.Attribute(attr=cst.Name(value=name)):
            return _SCORES.search(name) is not None
    return False
