"""The masks by which a value was selected, or whose sum it is divided by, and whether they leave nothing at times."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import libcst as cst

from pipeline_lint.facts.masking.meanings import (
    NEVER_EMPTY,
    PADDING,
    TELLING,
    UNKNOWN,
    is_named_padding,
    meaning_of,
    strongest,
)
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import Value
from pipeline_lint.facts.trained_code import is_named_for_another_purpose
from pipeline_lint.source import Source

_DEEPEST = 5
_FOR_MASKS = re.compile(r"mask(ed)?_?\w*(mean|avg|average|median|loss|mse|mae|l1|error|entropy|reduce)|mean_\w*mask")
"""Names of functions that are there for masks: `masked_mean`."""
_OF_PADDING = re.compile(r"\bpad|\blengths?\b", re.IGNORECASE)
"""What a function says of its mask, if only in its docstring."""


def is_telling(source: Source, site: Site, meaning: str) -> bool:
    """Whether a mask is one that selects nothing at times, where it matters.

    That is so of any mask in a function that is written for masks, `masked_mean`, if not for those of padding.
    """
    if not site.has_gradient or is_named_for_another_purpose(source, site.node):
        # The mean of nothing is NaN for whoever reads it, and right.
        return False
    if meaning != UNKNOWN or site.function is None:
        return meaning == TELLING
    is_for_masks = _FOR_MASKS.search(site.function.name.value) is not None
    return is_for_masks and _OF_PADDING.search(source.module.code_for_node(site.function)) is None


def is_checked_afterwards(source: Source, node: cst.CSTNode) -> bool:
    """Whether the code looks for NaN in a result later on, or only compares with it, which holds for no NaN."""
    if any(isinstance(above, cst.Comparison) for above in _expressions_around(source, node)):
        return True
    assign, function = source.enclosing(node, cst.Assign), source.enclosing(node, cst.FunctionDef)
    if assign is None or function is None or len(assign.targets) != 1:
        return False
    target = assign.targets[0].target
    # Values and indices of a median.
    first = target.elements[0].value if isinstance(target, cst.Tuple) and target.elements else target
    name = re.escape(source.code(first))
    asks = rf"(isnan|isfinite|nan_to_num)\({name}\b|\b{name}\.(isnan|isfinite|nan_to_num)"
    return re.search(asks, source.module.code_for_node(function)) is not None


def meaning_of_selection(source: Source, value: Value) -> str:
    """What the masks tell apart that selected a value; where there is none, what is missing at times is known."""
    meanings = [meaning for meaning, _ in _selections(source, value, 0)]
    return strongest(meanings) if meanings else TELLING


def meaning_in_code(source: Source, mask: Value, node: cst.CSTNode) -> str:
    """What a mask tells apart that `node` reads; `mask = padding_mask[0]` is known by its first name as well."""
    read = _first(node)
    meaning = meaning_of(mask, read)
    function = source.enclosing(node, cst.FunctionDef)
    if meaning not in (TELLING, UNKNOWN) or function is None or not isinstance(read, cst.Name):
        return meaning
    given = _assigned(source, function, read.value)
    return PADDING if any(is_named_padding(re.findall(r"\w+", code)) for code in given) else meaning


def is_of_numpy(source: Source, site: Site) -> bool:
    """Whether a value was made by a function of numpy, which has another remedy than torch."""
    node = _first(site.operands["input"])
    while isinstance(node, cst.Subscript | cst.Attribute):
        node = node.value
    if not isinstance(node, cst.Name) or site.function is None or "np." not in source.text:
        return False
    return any(re.search(r"\bnp\.(?!inf|pi|nan)", code) for code in _assigned(source, site.function, node.value))


def _selections(source: Source, value: Value, depth: int) -> list[tuple[str, set[int]]]:
    """The meanings of the masks by which a value was selected, with the roots of what they chose from."""
    made = value.made
    if depth > _DEEPEST or value.empty is None:
        return []
    if made is None:
        return [each for choice in value.choices for each in _selections(source, choice, depth + 1)]
    if made.operation == "masked_select" and len(made.inputs) == 2:
        owner, mask = made.inputs
        roots = {owner.root, mask.root, *(each.root for each in (mask.made.inputs if mask.made is not None else ()))}
        meaning = meaning_in_code(source, mask, _index_of(made.node))
        return [(meaning, roots), *_selections(source, owner, depth + 1)]
    found = [each for origin in made.inputs for each in _selections(source, origin, depth + 1)]
    wholes = {each.root for each in made.inputs if each.empty is None and not each.is_constant}
    # `x + mask * picked.unsqueeze(1)` takes as many as there are in all.
    return [(NEVER_EMPTY if roots & wholes else meaning, roots) for meaning, roots in found]


def _index_of(node: cst.CSTNode) -> cst.CSTNode:
    """The mask in `x[mask]`, `x.masked_select(mask)` and `torch.masked_select(x, mask)`."""
    match node:
        case cst.Subscript(slice=[part]):
            return part
        case cst.Subscript(slice=parts):
            picking = [part for part in parts if not isinstance(part.slice, cst.Slice)]
            return picking[-1] if picking else node
        case cst.Call(args=[*_, argument]):
            return argument.value
    return node


def _first(node: cst.CSTNode) -> cst.CSTNode:
    """The expression in a part of a subscript, without what negates it."""
    while isinstance(node, cst.SubscriptElement | cst.Index | cst.UnaryOperation):
        if isinstance(node, cst.SubscriptElement):
            node = node.slice
        else:
            node = node.value if isinstance(node, cst.Index) else node.expression
    return node


def _assigned(source: Source, function: cst.FunctionDef, name: str) -> list[str]:
    """The code of what a function assigns to a name, as far as one line holds it."""
    return re.findall(rf"^\s*{re.escape(name)} = (.*)", source.module.code_for_node(function), re.MULTILINE)


def _expressions_around(source: Source, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    return itertools.takewhile(lambda above: not isinstance(above, cst.BaseSmallStatement), source.ancestors(node))
