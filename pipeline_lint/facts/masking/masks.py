"""Values that are masks, and the operations that masks are made of."""

from __future__ import annotations

from pipeline_lint.facts.ranges.value import NUMBER, Value

NOT = frozenset({"logical_not", "bitwise_not"})
CASTS = frozenset({"bool", "to", "byte", "char", "short", "int", "long", "type"})
BOTH = frozenset({"logical_and", "bitwise_and", "logical_or", "bitwise_or", "bitwise_xor", "mul", "add", "sub", "cat"})
COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge"})
TRIANGLES = frozenset({"triu", "tril", "triu_indices", "tril_indices", "eye", "diag", "diag_embed", "fill_diagonal"})
OF_POSITIONS = frozenset({"arange", "range", "linspace"})
_MADE_OF_MASKS = (
    BOTH | NOT | CASTS | COMPARISONS | TRIANGLES | {"masked_fill", "where", "one_hot", "pad", "stack", "any", "all"}
)
RANKS = frozenset({"topk", "sort", "argsort", "kthvalue", "quantile", "max", "amax", "min", "amin", "cumsum", "median"})
FINITENESS = frozenset({"isnan", "isinf", "isfinite", "isneginf", "isposinf"})
DEEPEST = 10


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


def operations_behind(value: Value) -> set[str]:
    """The names of the operations behind a value."""
    found: set[str] = set()
    waiting, seen = [(value, 0)], set[int]()
    while waiting:
        current, depth = waiting.pop()
        if id(current) in seen or depth > DEEPEST:
            continue
        seen.add(id(current))
        if current.made is not None:
            found.add(current.made.operation)
            waiting.extend((each, depth + 1) for each in current.made.inputs)
        waiting.extend((each, depth + 1) for each in current.choices)
    return found
