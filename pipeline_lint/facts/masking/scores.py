"""What is known of the scores that a mask fills: whether their dtype holds large numbers, and how high they are."""

from __future__ import annotations

from pipeline_lint.facts.operations.results import MAXIMA
from pipeline_lint.facts.ranges.value import NUMBER, Value

_WIDE = frozenset({"float32", "float64", "bfloat16"})
_ARITHMETIC = frozenset("add sub mul div pow neg abs square sqrt exp log masked_fill".split())
_DEEPEST = 6


def holds_large(scores: Value, depth: int = 0) -> bool:
    """Whether a tensor is of a dtype with the range of float32, of its own or because something that it adds up is."""
    if scores.dtype is not None or scores.kind == NUMBER or depth > _DEEPEST:
        return scores.dtype in _WIDE and scores.kind != NUMBER
    made = scores.made
    if made is None or made.operation not in _ARITHMETIC:
        return False
    return any(holds_large(each, depth + 1) for each in made.inputs)


def is_shifted_by_maximum(scores: Value) -> bool:
    """Whether the largest score of each row is 0, so that a masked one of -1e4 loses against it."""
    made = scores.made
    if made is None or made.operation != "sub" or len(made.inputs) != 2:
        return False
    less = made.inputs[1].made
    return less is not None and less.operation in MAXIMA
