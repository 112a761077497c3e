"""Reshapes, orders, slices, and pieces put together: elements stay what they are."""

from __future__ import annotations

from collections.abc import Callable

from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.row import Row
from pipeline_lint.facts.ranges.value import (
    INFINITY,
    NUMBER,
    SEQUENCE,
    TENSOR,
    Evidence,
    Made,
    Operands,
    Value,
    both,
    constant,
    either,
    join,
    weakened,
)

_RESHAPED = """
view reshape unsqueeze squeeze transpose permute flatten unflatten expand expand_as view_as reshape_as t movedim
contiguous ravel broadcast_to atleast_1d atleast_2d atleast_3d adjoint pixel_shuffle pixel_unshuffle
"""
_COPIED = "clone detach cpu cuda requires_grad alias positive"
_REORDERED = "flip fliplr flipud roll rot90 repeat repeat_interleave tile channel_shuffle"
_PICKED = """
index_select gather take take_along_dim narrow select diagonal unfold masked_select
"""
_MAX_PIECES = 8


def _unchanged(operands: Operands) -> Value:
    value = operands.input
    return value.but(kind=TENSOR) if value.kind not in (TENSOR, NUMBER) else value


def _detached(operands: Operands) -> Value:
    value = _unchanged(operands)
    return value.but(has_gradient=False) if value.has_gradient else value


def _reordered(operands: Operands) -> Value:
    return results.reordered(operands.input, kind=TENSOR)


def _picked(operands: Operands) -> Value:
    value = results.picked(operands.input, kind=TENSOR)
    if value.zero is not None and value.zero.witness == results.EMPTY_GROUP.witness:
        # Elements look up the sums of the groups that they are in, which are therefore not empty.
        return value.but(zero=None, at_low=None if value.at_low == value.zero else value.at_low)
    return value


def _of_masked_select(operands: Operands) -> Value:
    value, mask = operands.input, operands.values.get("mask")
    empty = either(results.NOTHING_SELECTED, value.empty)
    made = Made("masked_select", operands.node, (value, mask)) if mask is not None else value.made
    return results.picked(value, kind=TENSOR, empty=empty, made=made)


def _of_sort(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        keep = results.reordered if name == "sort" else results.picked
        return results.sequence(operands, name, keep(value, kind=TENSOR), results.indices(operands, name, value))

    return transfer


def _of_msort(operands: Operands) -> Value:
    return results.reordered(operands.input, kind=TENSOR)


def _of_unique(operands: Operands) -> Value:
    if any(results.is_on(operands, name) for name in ("return_inverse", "return_counts")):
        return Value(kind=SEQUENCE, made=Made("unique", operands.node, (operands.input,)))
    return results.picked(operands.input, kind=TENSOR, made=Made("unique", operands.node, (operands.input,)))


def _pieces(parameter: str | None) -> Callable[[Operands], Value]:
    """`chunk`, `split`, `unbind`: as many pieces as the code says, each with the range of the whole."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        whole = results.picked(value, kind=SEQUENCE, items=None)
        sizes = operands[parameter] if parameter is not None else None
        num_pieces = 0
        if sizes is not None and sizes.items is not None:
            # Sizes of pieces, or the places between them.
            num_pieces = len(sizes.items) + (parameter == "indices_or_sections")
        elif sizes is not None and sizes.is_constant and parameter != "split_size_or_sections":
            num_pieces = int(sizes.low) if 0 < sizes.low <= _MAX_PIECES else 0
        if 0 < num_pieces <= _MAX_PIECES:
            whole.items = tuple(results.picked(value, kind=TENSOR) for _ in range(num_pieces))
        return whole

    return transfer


def _of_cat(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        joined = results.elements(operands["tensors"])
        inputs = operands["tensors"].items or (operands["tensors"],)
        result = results.recomputed(joined, operands, name, *inputs)
        result.kind, result.items = TENSOR, None
        return result

    return transfer


def _of_where(operands: Operands) -> Value:
    condition = operands["condition"]
    if "input" not in operands or "other" not in operands:
        return Value(
            kind=SEQUENCE, low=0.0, has_gradient=False, dtype="int64", made=Made("where", operands.node, (condition,))
        )
    one, other = operands.input, operands["other"]
    result = _joined(operands, "where", one, other)
    assert result.made is not None
    result.made = Made("where", operands.node, (condition, one, other))
    return result


def _joined(operands: Operands, name: str, one: Value, other: Value, dtype: str | None = None) -> Value:
    """Elements of the one and of the other."""
    joined = join(one, other)
    return results.picked(
        joined,
        made=Made(name, operands.node, (one, other)),
        dtype=dtype or results.result_dtype(one, other),
        kind=TENSOR,
        items=None,
        choices=(),
    )


def _filled(name: str, parameter: str = "value") -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        value, fill = operands.input, operands[parameter]
        result = _joined(operands, name, value, fill, value.dtype)
        if "mask" in operands:
            result.made = Made(name, operands.node, (value, fill, operands["mask"]))
        return result

    return transfer


def _scattered(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        parameter = next((each for each in ("src", "source", "value", "values") if each in operands), "src")
        if "reduce" in operands or results.is_on(operands, "accumulate"):
            return results.anything(operands, name, value, operands[parameter], dtype=value.dtype)
        return _joined(operands, name, value, operands[parameter], value.dtype)

    return transfer


def _added_up(name: str) -> Callable[[Operands], Value]:
    """`scatter_add`, `index_add`: any number of elements is added to each."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        source = operands["src"] if "src" in operands else operands["source"]
        is_scaled = results.is_given(operands, "alpha")
        low = value.low if source.low >= 0 and not is_scaled else -INFINITY
        high = value.high if source.high <= 0 and not is_scaled else INFINITY
        result = results.computed(
            operands,
            name,
            low,
            high,
            value,
            source,
            # Nothing is added to some of them.
            zero=weakened(value.zero if value.is_constant else both(value.zero, source.zero)),
            dtype=value.dtype,
            kind=TENSOR,
            is_count=source.is_integer and source.low >= 0 and value.is_constant,
        )
        result.empty = value.empty
        return result

    return transfer


def _of_pad(operands: Operands) -> Value:
    value = operands.input
    if "value" in operands and results.is_given(operands, "value"):
        return _joined(operands, "pad", value, operands["value"], value.dtype)
    if "mode" in operands:
        # `reflect`, `replicate`, `circular`; of `constant` the padding is 0.
        joined = results.hull([value, constant(0.0)])
        return results.recomputed(joined.but(at_low=None, at_high=None, zero=value.zero), operands, "pad", value)
    return _with_zero(operands, "pad")


def _with_zero(operands: Operands, name: str) -> Value:
    """Some elements give way to 0."""
    value = operands.input
    # `diag` of a matrix takes elements, and adds none.
    zero = Evidence(results.LIKELY if name == "diag" else results.CERTAIN, f"{name} puts 0 there")
    return results.computed(
        operands,
        name,
        min(value.low, 0.0),
        max(value.high, 0.0),
        value,
        at_low=value.at_low if value.low < 0 else None,
        at_high=value.at_high if value.high > 0 else None,
        zero=zero,
        dtype=value.dtype,
        kind=TENSOR,
    )


def _of_diag(name: str) -> Callable[[Operands], Value]:
    return lambda operands: _with_zero(operands, name)


def _of_nan_to_num(operands: Operands) -> Value:
    value = operands.input
    found = value
    for parameter in ("nan", "posinf", "neginf"):
        if results.is_given(operands, parameter):
            found = results.hull([found, operands[parameter]])
    low, high = min(found.low, 0.0 if value.nan else found.low), max(found.high, 0.0 if value.nan else found.high)
    result = results.computed(
        operands,
        "nan_to_num",
        low,
        high,
        value,
        at_low=value.at_low if low == value.low else None,
        at_high=value.at_high if high == value.high else None,
        zero=either(value.zero, value.nan) if "nan" not in operands else value.zero,
        dtype=value.dtype,
        kind=TENSOR,
    )
    result.nan = None
    return result


def _of_nonzero(name: str) -> Callable[[Operands], Value]:
    def transfer(operands: Operands) -> Value:
        result = results.indices(operands, name, operands.input)
        result.nan, result.empty = None, results.NOTHING_SELECTED
        return result

    return transfer


def _of_meshgrid(operands: Operands) -> Value:
    whole = results.hull([results.elements(each) for each in operands.rest or (operands["tensors"],)])
    return results.picked(whole, kind=SEQUENCE, items=None)


ROWS: dict[str, Row] = {
    **{name: Row(_unchanged, keeps_values=True) for name in _RESHAPED.split()},
    **{name: Row(_unchanged, keeps_values=True) for name in _COPIED.split() if name != "detach"},
    "detach": Row(_detached, keeps_values=True),
    **{name: Row(_reordered, keeps_values=True) for name in _REORDERED.split()},
    "msort": Row(_of_msort, keeps_values=True),
    # Some of the elements are no longer all of them: the interpreter must not take their root for the whole's.
    **{name: Row(_picked) for name in _PICKED.split()},
    "masked_select": Row(_of_masked_select),
    "sort": Row(_of_sort("sort")),
    "topk": Row(_of_sort("topk")),
    "unique": Row(_of_unique),
    "unique_consecutive": Row(_of_unique),
    "chunk": Row(_pieces("chunks")),
    "tensor_split": Row(_pieces("indices_or_sections")),
    "split": Row(_pieces("split_size_or_sections")),
    "unbind": Row(_pieces(None)),
    **{name: Row(_of_cat(name)) for name in ("cat", "stack", "hstack", "vstack", "dstack", "column_stack")},
    "meshgrid": Row(_of_meshgrid),
    "where": Row(_of_where),
    "masked_fill": Row(_filled("masked_fill")),
    "index_fill": Row(_filled("index_fill")),
    **{
        name: Row(_scattered(name))
        for name in ("scatter", "scatter_reduce", "masked_scatter", "index_copy", "index_put")
    },
    "scatter_add": Row(_added_up("scatter_add")),
    "index_add": Row(_added_up("index_add")),
    "pad": Row(_of_pad),
    "triu": Row(lambda operands: _with_zero(operands, "triu")),
    "tril": Row(lambda operands: _with_zero(operands, "tril")),
    "diag": Row(_of_diag("diag")),
    "diag_embed": Row(_of_diag("diag_embed")),
    "nan_to_num": Row(_of_nan_to_num),
    "nonzero": Row(_of_nonzero("nonzero")),
    "argwhere": Row(_of_nonzero("argwhere")),
}
