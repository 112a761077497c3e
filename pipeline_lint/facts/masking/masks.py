"""What a mask can select: whether it may cover a whole row, as padding does and a causal mask does not."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.ranges.attributes import Attributes
from pipeline_lint.facts.ranges.value import NUMBER, Value
from pipeline_lint.source import Source

_NOT_A_WHOLE_ROW = re.compile(
    r"causal|(^|_)tri[ul]?(_|$)|triangular|future|subsequent|look_?ahead|autoregressive|ltor|upper|lower|diag|(^|_)eye"
    r"|identity|topk\(|self_mask|band|window|local_mask|no_?peak|history",
    re.IGNORECASE,
)
"""Names of masks that leave at least one element of each row."""
_CHOSEN = re.compile(
    r"top_?[kp]|remove|special|forbidden|banned|bad_|suppress|action|legal|avail|visited|finished|eos|nan|inf\b",
    re.IGNORECASE,
)
"""Names of masks that somebody made so that something is left."""
_MASK = re.compile(r"mask|pad|valid|len", re.IGNORECASE)
_NOT = frozenset({"logical_not", "bitwise_not"})
_CASTS = frozenset({"bool", "to", "byte", "char", "short", "int", "long", "type"})
_BOTH = frozenset({"logical_and", "bitwise_and", "logical_or", "bitwise_or", "bitwise_xor", "mul", "add", "sub", "cat"})
_COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
_TRIANGLES = frozenset({"triu", "tril", "triu_indices", "tril_indices", "eye", "diag", "diag_embed", "fill_diagonal"})
_OF_POSITIONS = frozenset({"arange", "range", "linspace"})
_MADE_OF_MASKS = (
    _BOTH
    | _NOT
    | _CASTS
    | _COMPARISONS
    | _TRIANGLES
    | {"masked_fill", "where", "one_hot", "pad", "stack", "any", "all"}
)
_RANKS = frozenset(
    {"topk", "sort", "argsort", "kthvalue", "quantile", "max", "amax", "min", "amin", "cumsum", "median"}
)
_FINITENESS = frozenset({"isnan", "isinf", "isfinite", "isneginf", "isposinf"})
_DEEPEST = 10


def is_mask_like(value: Value) -> bool:
    """Whether a value is 0 and 1, as far as its making and its name tell."""
    if value.kind == NUMBER or value.is_constant:
        return False
    if value.dtype == "bool":
        return True
    if value.low != 0 or value.high != 1 or value.has_gradient:
        return False
    made = value.made
    return made is None or made.operation in _MADE_OF_MASKS


def may_cover_a_row(mask: Value, name: str) -> Confidence | None:
    """How sure it is that a mask covers a whole row at times; None where it is made so that it never does.

    `name` is how the code writes the mask.
    """
    if _NOT_A_WHOLE_ROW.search(name):
        return None
    if "all" in _operations(mask):
        # `mask & ~mask.all(-1, keepdim=True)` uncovers the rows that were covered.
        return None
    found = _of_value(mask, 0, is_named=_MASK.search(name) is not None)
    if found is None:
        return None
    return min(found, Confidence.POSSIBLE) if _CHOSEN.search(name) else found


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


def _of_value(mask: Value, depth: int, *, is_named: bool) -> Confidence | None:
    made = mask.made
    if mask.choices and (made is None or made.operation != "masked_fill"):
        # Something was assigned to it, perhaps so that a row is never covered.
        found = [_of_value(choice, depth + 1, is_named=is_named) for choice in mask.choices] if depth < _DEEPEST else []
        known = [each for each in found if each is not None]
        return max(known) if known and len(known) == len(found) else Confidence.POSSIBLE if known else None
    if made is None or depth > _DEEPEST:
        return (
            None if mask.is_constant else Confidence.LIKELY if is_named or is_mask_like(mask) else Confidence.POSSIBLE
        )
    name, inputs = made.operation, made.inputs
    if name in _TRIANGLES or name in _FINITENESS or (name == "where" and len(inputs) < 3):
        return None
    if name in _NOT | _CASTS and inputs:
        return _of_value(inputs[0], depth + 1, is_named=is_named)
    if name in _COMPARISONS and len(inputs) == 2:
        return _of_comparison(inputs[0], inputs[1], depth, is_named=is_named)
    if name in _BOTH:
        found = [_of_value(each, depth + 1, is_named=is_named) for each in inputs if not each.is_constant]
        return max((each for each in found if each is not None), default=None)
    if name in ("masked_fill", "index_fill", "where"):
        return Confidence.POSSIBLE
    return _of_origin(mask, is_named=is_named)


def _of_origin(mask: Value, *, is_named: bool) -> Confidence:
    """Of a mask that comes from elsewhere."""
    return Confidence.LIKELY if is_named or is_mask_like(mask) else Confidence.POSSIBLE


def _of_comparison(one: Value, other: Value, depth: int, *, is_named: bool) -> Confidence | None:
    operations = [_operations(each) for each in (one, other)]
    positions = [bool(found & _OF_POSITIONS) for found in operations]
    if any(positions):
        # Positions beside positions are a triangle or a band, positions beside lengths are padding.
        return None if all(positions) else Confidence.LIKELY
    if any(found & _RANKS for found in operations):
        # `logits < logits.topk(k).values[..., -1:]` leaves the best.
        return None
    for value, beside in ((one, other), (other, one)):
        if beside.is_constant:
            return _of_value(value, depth + 1, is_named=is_named) if not _operations(value) & _FINITENESS else None
    return None if one.number == other.number else Confidence.POSSIBLE


def _operations(value: Value) -> set[str]:
    """The names of the operations behind a value."""
    found: set[str] = set()
    waiting, seen = [(value, 0)], set[int]()
    while waiting:
        current, depth = waiting.pop()
        if id(current) in seen or depth > _DEEPEST:
            continue
        seen.add(id(current))
        if current.made is not None:
            found.add(current.made.operation)
            waiting.extend((each, depth + 1) for each in current.made.inputs)
        waiting.extend((each, depth + 1) for each in current.choices)
    return found
