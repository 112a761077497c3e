"""What a value is a sum, maximum or norm of, and whether all of that may be 0."""

from __future__ import annotations

import re

import libcst as cst

from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.facts.code.value_history import DEEPEST, PASSED, names_in
from pipeline_lint.facts.operations import results
from pipeline_lint.facts.ranges.syntax import last_name
from pipeline_lint.facts.ranges.value import OTHER, Value
from pipeline_lint.source import Source

_REDUCTIONS = frozenset({"sum", "mean", "max", "amax", "nansum", "count_nonzero", "dot", *results.NORMS})
_JOINED = frozenset({"add", "stack", "cat", "hypot"})
"""Operations that are 0 where all their inputs are."""
CHOSEN = frozenset({"where", "masked_fill"})
"""How authors keep something from being 0 where it would be."""
NEVER_ALL_ZERO = frozenset(
    """arange bincount cos cosh eye exp exp2 full hamming_window hann_window linspace logspace ones ones_like rand
    randint randn rand_like randn_like sigmoid softmax softmin softplus tensor gumbel_softmax unique cumsum sinc
    blackman_window bartlett_window kaiser_window reciprocal rsample sample""".split()
)
"""What makes values of which not all are 0 in practice."""
_GRIDS = frozenset({"arange", "linspace", "logspace", "meshgrid"})
POSITIVE_NAME = re.compile(
    r"(^|_)(kernel|kernels|window|filter|filters|gauss|gaussian|blur|hann|hamming|taps|fan|stride|sizes?|shape|dims?"
    r"|temperature|tau|class_weights?)\d*(_|$|\d)",
    re.IGNORECASE,
)
"""Names of what is never 0 altogether."""
_KERNEL_CODE = re.compile(r"kernel|window|gauss|filter_?bank|fbank|mel_|blur", re.IGNORECASE)


def wholes(value: Value, depth: int = 0) -> list[tuple[Value, cst.CSTNode]]:
    """What a divisor is a sum, mean, maximum or norm of, if it is 0 just where all of these are."""
    if depth > DEEPEST or value.is_constant:
        return []
    made = value.made
    if made is None or not made.inputs:
        # One of several values: the first that is such a reduction.
        return next(filter(None, (wholes(choice, depth + 1) for choice in value.choices)), [])
    if made.operation in _REDUCTIONS:
        return [(made.inputs[0], made.node)]
    if made.operation == "add":
        parts = [wholes(each, depth + 1) for each in made.inputs]
        return [whole for part in parts for whole in part] if all(parts) else []
    if made.operation in PASSED:
        return wholes(next((each for each in made.inputs if not each.is_constant), made.inputs[0]), depth + 1)
    return []


def may_vanish(source: Source, value: Value) -> bool:
    """Whether all that a divisor is a reduction of may be 0, as far as how it was made, and its name, tell."""
    for whole, node in wholes(value):
        if whole.kind == OTHER or _is_in_kernel_code(source, node):
            return False
        operation = source.fact(Calls).operation(node)
        operand = operation.input if operation is not None else None
        if operand is not None and any(POSITIVE_NAME.search(name) for name in names_in(operand)):
            return False
        if not vanishes(whole):
            return False
    return True


def _is_in_kernel_code(source: Source, node: cst.CSTNode) -> bool:
    """Whether a function makes a kernel or window, whose weights are not all 0."""
    function = source.enclosing(node, cst.FunctionDef)
    return function is not None and _KERNEL_CODE.search(function.name.value) is not None


def vanishes(value: Value, depth: int = 0) -> bool:
    """Whether all elements of a value may be 0."""
    if value.is_constant:
        return value.low == 0
    if not value.may_be_zero or depth > DEEPEST:
        return value.may_be_zero
    made = value.made
    if made is None:
        return not value.choices or any(vanishes(choice, depth + 1) for choice in value.choices)
    name = last_name(made.node.func) if made.operation == "call" and isinstance(made.node, cst.Call) else made.operation
    if name in NEVER_ALL_ZERO or name in CHOSEN:
        return False
    if name == "mul":
        return any(vanishes(each, depth + 1) for each in made.inputs)
    if name == "sub":
        # Differences of the positions of a grid; others are 0 where both sides are equal.
        return not all(map(_is_grid, made.inputs))
    if name in _JOINED:
        return all(vanishes(each, depth + 1) for each in made.inputs)
    if name in PASSED and made.inputs:
        return vanishes(made.inputs[0], depth + 1)
    return True


def _is_grid(value: Value) -> bool:
    return value.is_constant or (value.made is not None and value.made.operation in _GRIDS)
