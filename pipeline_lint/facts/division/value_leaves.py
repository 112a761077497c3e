"""What a value goes back to, parameters, results of unknown functions, plain tensors, and whether it was cut."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.facts.ranges.value import NUMBER, Value

_PARAMETER = "parameter"
_UNKNOWN = frozenset(
    """call submodule grad linear bilinear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
    embedding embedding_bag multihead_attention network rnn_cell gru_cell lstm_cell layer_norm batch_norm group_norm
    instance_norm eigh svd qr solve cholesky_solve""".split()
)
"""Operations whose results are of many learned numbers, or are known to the caller alone."""
_CUTTING = frozenset(
    """relu relu6 clamp clamp_min threshold hardtanh softshrink hardshrink masked_fill where scatter scatter_add
    scatter_reduce index_add maximum fmax sign bitwise_and bitwise_or""".split()
)
"""Operations that put an exact 0 where there was none."""
_EXTREMES = frozenset("max amax min amin topk sort unique argmax".split())
_OF_TWO_MASKS = frozenset("bitwise_and bitwise_or logical_and logical_or".split())
_MASK_PASSED = frozenset("float int long to sum view unsqueeze squeeze getitem".split())
_DEEPEST = 9
_MOST = 150


def is_of_unknown_calls(value: Value) -> bool:
    """Whether a value is what a layer, a network or an unknown function gave, at least in part, and not cut since."""
    found = False
    for each, operation in history(value):
        if operation in _CUTTING or each.dtype == "bool":
            return False
        found = found or operation in _UNKNOWN
    return found


def is_of_parameters(value: Value, *, alone: bool = True) -> bool:
    """Whether a value was computed from learned parameters: of nothing else, or, without `alone`, of others too."""
    has_parameter = has_other = False
    for each, operation in history(value):
        if operation == _PARAMETER:
            has_parameter = True
        elif operation is None and not each.choices and each.kind not in (NUMBER, "other"):
            has_other = True
    return has_parameter and not (alone and has_other)


def is_cut(value: Value) -> bool:
    """Whether a value was made 0 on purpose in places: by relu, a clamp at 0, a mask, a comparison."""
    return any(operation in _CUTTING or each.dtype == "bool" for each, operation in history(value))


def is_overlap(value: Value) -> bool:
    """Whether a value is a union or an intersection of masks."""
    while value.made is not None and value.made.operation in _MASK_PASSED and value.made.inputs:
        value = value.made.inputs[0]
    return value.made is not None and value.made.operation in _OF_TWO_MASKS


def is_of_extreme(value: Value) -> bool:
    """Whether a mask compares values with their own maximum or the like, which selects one at least."""
    made = value.made
    if made is None:
        return False
    if made.operation in ("eq", "ge", "le", "gt", "lt", "isclose"):
        return any(operation in _EXTREMES for side in made.inputs for _, operation in history(side))
    return made.operation in _MASK_PASSED and any(map(is_of_extreme, made.inputs))


def history(value: Value) -> Iterator[tuple[Value, str | None]]:
    """Values that a value was computed from, itself included, with the operation that made each; not past calls."""
    waiting, seen = [(value, 0)], set[int]()
    while waiting and len(seen) < _MOST:
        each, depth = waiting.pop()
        if id(each) in seen or depth > _DEEPEST or (each.is_constant and each.made is None):
            continue
        seen.add(id(each))
        operation = each.made.operation if each.made is not None else None
        yield each, operation
        waiting.extend((choice, depth + 1) for choice in each.choices)
        if each.made is not None and operation not in _UNKNOWN:
            inputs = each.made.inputs[:1] if operation == "masked_select" else each.made.inputs
            waiting.extend((source, depth + 1) for source in inputs if source.kind != NUMBER)
