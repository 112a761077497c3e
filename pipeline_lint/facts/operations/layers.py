"""What the layers of a network do: projections without bounds, normalisation, pooling, dropout."""

from __future__ import annotations

from pipeline_lint.facts.operations import results
from pipeline_lint.facts.operations.linear_algebra import product
from pipeline_lint.facts.operations.row import Row
from pipeline_lint.facts.ranges.value import INFINITY, TENSOR, Evidence, Operands, Value, either, weakened

_DROPPED = Evidence(results.LIKELY, "what dropout drops is 0")


def network_output(operands: Operands, name: str, *inputs: Value, dtype: str | None = None) -> Value:
    """What nothing bounds, as training may drive it anywhere."""
    result = results.computed(
        operands,
        name,
        -INFINITY,
        INFINITY,
        *inputs,
        at_low=results.UNBOUNDED,
        at_high=results.UNBOUNDED,
        dtype=dtype,
        kind=TENSOR,
    )
    # Weights learn, whatever the input is.
    result.has_gradient = True
    return result


def _projection(name: str) -> Row:
    """A layer with weights of its own; in the functional form of the weights given."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        if "weight" not in operands:
            return network_output(operands, name, value, dtype=results.float_dtype(value))
        weight = operands["weight"]
        if not results.is_given(operands, "bias") and _tells(value, weight):
            return product(operands, name, value, weight)
        if name == "linear" or weight.has_gradient:
            return network_output(operands, name, value, weight, dtype=value.dtype)
        return results.anything(operands, name, value, weight, dtype=value.dtype)

    return Row(transfer)


def _tells(value: Value, weight: Value) -> bool:
    """Whether something is known of the product."""
    return (results.is_unit(value) and results.is_unit(weight)) or (value.low >= 0 and weight.low >= 0)


def _recurrent(name: str) -> Row:
    """Hidden states of recurrent networks lie between -1 and 1, cell states anywhere."""

    def transfer(operands: Operands) -> Value:
        hidden = results.computed(
            operands,
            name,
            -1.0,
            1.0,
            operands.input,
            at_low=Evidence(results.LIKELY, "tanh saturates"),
            at_high=Evidence(results.LIKELY, "tanh saturates"),
            dtype=operands.input.dtype,
            kind=TENSOR,
        )
        hidden.has_gradient = True
        return hidden

    return Row(transfer)


def _states(name: str, num_states: int) -> Row:
    """Output and last state of a recurrent network."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        hidden = [_recurrent(name).transfer(operands) for _ in range(2)]
        if num_states == 1:
            return results.sequence(operands, name, *hidden)
        cell = results.anything(operands, name, value, dtype=value.dtype)
        if name == "lstm_cell":
            return results.sequence(operands, name, hidden[0], cell)
        return results.sequence(operands, name, hidden[0], results.sequence(operands, name, hidden[1], cell))

    return Row(transfer)


def _normalised(name: str) -> Row:
    """Bounded by the square root of the number of elements only, and scaled by what is learnt: without evidence."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        result = results.anything(operands, name, value, dtype=results.float_dtype(value))
        result.has_gradient = True
        return result

    return Row(transfer)


def _of_dropout(name: str, saturated: float | None = 0.0) -> Row:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        if saturated is None:
            return results.anything(operands, name, value, dtype=value.dtype)
        # What stays is scaled up.
        low = min(value.low, 0.0) if value.low >= 0 else -INFINITY
        high = max(value.high, 0.0) if value.high <= 0 else INFINITY
        return results.computed(
            operands,
            name,
            low,
            high,
            value,
            at_low=value.at_low if low == value.low else None,
            at_high=value.at_high if high == value.high else None,
            zero=either(_DROPPED, weakened(value.zero)),
            dtype=value.dtype,
            kind=TENSOR,
        )

    return Row(transfer)


def _pooled(name: str, *, is_maximum: bool) -> Row:
    """Maxima keep what is positive of what is; averages may take in zeros of the padding."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        low = value.low if is_maximum else min(value.low, 0.0)
        high = value.high if is_maximum else max(value.high, 0.0)
        margin = 0.0 if is_maximum else 16 * results.limits_of(value.dtype).eps
        result = results.computed(
            operands,
            name,
            low - margin * abs(low) if low > -INFINITY else low,
            high + margin * abs(high) if high < INFINITY else high,
            value,
            at_low=weakened(value.at_low) if low == value.low else None,
            at_high=weakened(value.at_high) if high == value.high else None,
            zero=weakened(value.zero),
            dtype=value.dtype,
            kind=TENSOR,
        )
        if results.is_on(operands, "return_indices"):
            return results.sequence(operands, name, result, results.indices(operands, name, value))
        if results.is_given(operands, "divisor_override"):
            return results.anything(operands, name, value, dtype=value.dtype)
        return result

    return Row(transfer)


def _of_lp_pool(name: str) -> Row:
    def transfer(operands: Operands) -> Value:
        value = operands.input
        return results.anything(operands, name, value, dtype=value.dtype)

    return Row(transfer)


def _of_embedding(name: str) -> Row:
    def transfer(operands: Operands) -> Value:
        if "weight" not in operands:
            result = results.anything(operands, name, operands.input)
            result.has_gradient = True
            return result
        return results.picked(operands["weight"], kind=TENSOR)

    return Row(transfer)


def _of_interpolate(name: str) -> Row:
    """Between the elements, but for the bicubic, which overshoots."""

    def transfer(operands: Operands) -> Value:
        value = operands.input
        if "mode" in operands or name == "grid_sample":
            return results.anything(operands, name, value, dtype=value.dtype)
        return results.picked(value, kind=TENSOR)

    return Row(transfer)


def _of_attention(operands: Operands) -> Value:
    """What is attended to, and the weights of the attention."""
    value = operands.input
    weights = results.computed(operands, "multihead_attention", 0.0, 1.0, value, dtype=value.dtype, kind=TENSOR)
    return results.sequence(
        operands,
        "multihead_attention",
        network_output(operands, "multihead_attention", value, dtype=value.dtype),
        weights,
    )


_DIMENSIONS = ("1d", "2d", "3d")

ROWS: dict[str, Row] = {
    "linear": _projection("linear"),
    "bilinear": Row(lambda operands: network_output(operands, "bilinear", operands["input1"], operands["input2"])),
    **{f"conv{dimension}": _projection(f"conv{dimension}") for dimension in _DIMENSIONS},
    **{f"conv_transpose{dimension}": _projection(f"conv_transpose{dimension}") for dimension in _DIMENSIONS},
    "multihead_attention": Row(_of_attention),
    "network": Row(lambda operands: network_output(operands, "network", operands.input)),
    "rnn_cell": _recurrent("rnn_cell"),
    "gru_cell": _recurrent("gru_cell"),
    "lstm_cell": _states("lstm_cell", 2),
    "rnn": _states("rnn", 1),
    "gru": _states("gru", 1),
    "lstm": _states("lstm", 2),
    **{
        name: _normalised(name)
        for name in ("layer_norm", "rms_norm", "group_norm", "batch_norm", "instance_norm", "local_response_norm")
    },
    **{name: _of_dropout(name) for name in ("dropout", "dropout1d", "dropout2d", "dropout3d")},
    "alpha_dropout": _of_dropout("alpha_dropout", None),
    "feature_alpha_dropout": _of_dropout("feature_alpha_dropout", None),
    **{f"max_pool{dimension}": _pooled(f"max_pool{dimension}", is_maximum=True) for dimension in _DIMENSIONS},
    **{
        f"adaptive_max_pool{dimension}": _pooled(f"adaptive_max_pool{dimension}", is_maximum=True)
        for dimension in _DIMENSIONS
    },
    **{f"avg_pool{dimension}": _pooled(f"avg_pool{dimension}", is_maximum=False) for dimension in _DIMENSIONS},
    **{
        f"adaptive_avg_pool{dimension}": _pooled(f"adaptive_avg_pool{dimension}", is_maximum=False)
        for dimension in _DIMENSIONS
    },
    **{f"lp_pool{dimension}": _of_lp_pool(f"lp_pool{dimension}") for dimension in _DIMENSIONS},
    "embedding": _of_embedding("embedding"),
    "embedding_bag": _of_embedding("embedding_bag"),
    "interpolate": _of_interpolate("interpolate"),
    "grid_sample": _of_interpolate("grid_sample"),
    "fold": Row(lambda operands: results.anything(operands, "fold", operands.input, dtype=operands.input.dtype)),
}
