"""Casts of what a loss compares: whether a twin of the loss has them, and how to write them."""

from __future__ import annotations

import libcst as cst

from pipeline_lint.diagnostic import Edit
from pipeline_lint.facts.guarding import has_comment, with_method
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.source import Source

COMPARED = ("input", "target")


def has_cast_twin(source: Source, site: Site) -> bool:
    """Whether the same function computes the same loss of operands that it casts to float32 where they stand."""
    if site.function is None or any(_is_cast(site.operands.get(name)) for name in COMPARED):
        return False
    return any(
        twin.function is site.function and all(_is_cast(twin.operands.get(name)) for name in COMPARED)
        for twin in source.fact(Ranges).sites(site.name)
        if twin is not site
    )


def cast_operands(source: Source, site: Site) -> list[Edit] | None:
    """The edits that cast what a loss compares to float32; None where a comment is in the way."""
    operands = [site.operands[name] for name in COMPARED if name in site.operands]
    if not isinstance(site.node, cst.Call) or has_comment(source, site.node):
        return None
    return [with_method(source, operand, "float()") for operand in operands if not _is_cast(operand)]


def _is_cast(node: cst.BaseExpression | None) -> bool:
    return isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value == "float"
