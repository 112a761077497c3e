"""What a mask can cover: a whole row, as the masks of padded queries do, and a causal mask does not."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.masking.masks import (
    BOTH,
    CASTS,
    COMPARISONS,
    DEEPEST,
    FINITENESS,
    NOT,
    OF_POSITIONS,
    RANKS,
    TRIANGLES,
    operations_behind,
)
from pipeline_lint.facts.ranges.attributes import Attributes
from pipeline_lint.facts.ranges.value import Made, Value
from pipeline_lint.source import Source

_NOT_A_WHOLE_ROW = re.compile(
    r"causal|(^|_)tri[ul]?(_|$)|triangular|future|subsequent|look_?ahead|autoregressive|ltor|upper|lower|diag|(^|_)eye"
    r"|identity|topk\(|self_mask|band|window|local_mask|no_?peak|history",
    re.IGNORECASE,
)
"""Names of masks that leave at least one element of each row."""
_MAY_BE_NONE = re.compile(r"valid|visib|occlu|observed|(^|[_\W])(adj|adjacency|neighbou?rs?)([_\W]|$)", re.IGNORECASE)
"""Names of masks by which nothing may be left: of a point that no camera sees, a node without neighbours."""
_CHOSEN = re.compile(
    r"top_?[kp]|remove|special|forbidden|banned|bad_|suppress|action|legal|avail|visited|finished|eos|nan|inf\b",
    re.IGNORECASE,
)
"""Names of masks that somebody made so that something is left."""


def may_cover_a_row(mask: Value, name: str) -> Confidence | None:
    """How sure it is that a mask covers a whole row at times; None where it is made so that it never does.

    `name` is how the code writes the mask.
    """
    if _NOT_A_WHOLE_ROW.search(name):
        return None
    if "all" in operations_behind(mask):
        # `mask & ~mask.all(-1, keepdim=True)` uncovers the rows that were covered.
        return None
    found = _of_value(mask, 0)
    if found is None or _CHOSEN.search(name):
        return Confidence.POSSIBLE if found is not None else None
    if found is Confidence.POSSIBLE and _MAY_BE_NONE.search(name):
        return Confidence.LIKELY
    return found


def is_part_of_the_model(source: Source, mask: cst.CSTNode) -> bool:
    """Whether a mask is an attribute that `__init__` alone gives its value: it knows no lengths, and so no padding."""
    waiting = [mask]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.children)
        match node:
            case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)):
                owner = source.enclosing(node, cst.ClassDef)
                values = source.fact(Attributes).assigned(owner, name) if owner is not None else []
                # `self.mask = self.mask.to(x.device)` changes nothing.
                made = [value for value in values if value is not None and f"self.{name}" not in source.code(value)]
                makers = [source.enclosing(value, cst.FunctionDef) for value in made]
                return bool(makers) and all(maker is not None and maker.name.value == "__init__" for maker in makers)
    return False


def _of_value(mask: Value, depth: int) -> Confidence | None:
    """Whether a mask is one of pairs of which one side alone may cover a row, and none that leaves something of it."""
    made = mask.made
    if mask.choices and (made is None or made.operation != "masked_fill"):
        # Something was assigned to it, perhaps so that a row is never covered.
        found = [_of_value(choice, depth + 1) for choice in mask.choices] if depth < DEEPEST else []
        known = [each for each in found if each is not None]
        return max(known) if known and len(known) == len(found) else Confidence.POSSIBLE if known else None
    if made is None or depth > DEEPEST:
        return None if mask.is_constant else Confidence.POSSIBLE
    name, inputs = made.operation, made.inputs
    if name in TRIANGLES or name in FINITENESS or (name == "where" and len(inputs) < 3):
        return None
    if name in NOT | CASTS and inputs:
        return _of_value(inputs[0], depth + 1)
    if name in COMPARISONS and len(inputs) == 2:
        return _of_comparison(inputs[0], inputs[1], depth)
    if name in BOTH:
        if is_outer(made):
            return Confidence.LIKELY
        found = [_of_value(each, depth + 1) for each in inputs if not each.is_constant]
        return max((each for each in found if each is not None), default=None)
    return Confidence.POSSIBLE


def _of_comparison(one: Value, other: Value, depth: int) -> Confidence | None:
    operations = [operations_behind(each) for each in (one, other)]
    positions = [bool(found & OF_POSITIONS) for found in operations]
    if any(positions):
        # Positions beside positions are a triangle or a band, positions beside lengths are padding.
        return None if all(positions) else Confidence.POSSIBLE
    if any(found & RANKS for found in operations):
        # `logits < logits.topk(k).values[..., -1:]` leaves the best.
        return None
    for value, beside in ((one, other), (other, one)):
        if beside.is_constant:
            return _of_value(value, depth + 1) if not operations_behind(value) & FINITENESS else None
    return None if one.number == other.number else Confidence.POSSIBLE


def is_outer(made: Made) -> bool:
    """Whether a product is one of two masks along different dimensions: `mask[:, None, :] * mask[:, :, None]`.

    It covers all of the row of what the one along the rows excludes, as padded queries are.
    """
    node = made.node
    match node:
        case cst.BinaryOperation(left=left, right=right):
            sides = [left, right]
        case cst.Call(func=cst.Attribute(value=receiver), args=[argument]):
            sides = [receiver, argument.value]
        case cst.Call(args=[one, other]):
            sides = [one.value, other.value]
        case _:
            return False
    layouts = [
        _layout(value.made.node) if value.made is not None and value.made.operation == "call" else _layout(side)
        for value, side in zip(made.inputs, sides, strict=False)
    ]
    return len(layouts) == 2 and None not in layouts and layouts[0] != layouts[1]


def _layout(node: cst.CSTNode) -> str | None:
    """Along which dimensions a mask is laid; None where nothing inserts any."""
    match node:
        case cst.Subscript(slice=parts):
            kinds = ["None" if _is_none(part.slice) else "..." if _is_ellipsis(part.slice) else ":" for part in parts]
            return " ".join(kinds).rstrip(" :") if "None" in kinds else None
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="unsqueeze")), args=[cst.Arg(value=dim)]):
            return f"unsqueeze {getattr(dim, 'value', '-')}"
        case cst.Call(func=cst.Name(value="rearrange"), args=[_, cst.Arg(value=cst.SimpleString(value=pattern)), *_]):
            _, _, result = pattern.strip("\"'").partition("->")
            parts_of_result = ["None" if part in ("1", "()") else ":" for part in result.split()]
            return " ".join(parts_of_result) if "None" in parts_of_result else None
        case cst.Call(func=cst.Attribute(value=inner)) | cst.UnaryOperation(expression=inner):
            return _layout(inner)
    return None


def _is_none(part: cst.BaseSlice) -> bool:
    return isinstance(part, cst.Index) and isinstance(part.value, cst.Name) and part.value.value == "None"


def _is_ellipsis(part: cst.BaseSlice) -> bool:
    return isinstance(part, cst.Index) and isinstance(part.value, cst.Ellipsis)
