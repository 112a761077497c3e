"""What the table takes for reached, and how sure it is: the confidence of findings rests on it."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("torch")

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.operations import OPERATIONS
from pipeline_lint.facts.ranges.value import TENSOR, Evidence, Value, constant
from tests.facts.operations.worlds import Table

INFINITY = math.inf
LIKELY = Confidence.LIKELY


def said(code: str, dtype: str | None = None, **names: Value) -> Value:
    """What the table says of a call; `x`, `y` and `z` are tensors of which nothing is known."""
    unknown = {name: Value(dtype=dtype, kind=TENSOR) for name in ("x", "y", "z")}
    network = OPERATIONS["linear"].transfer(Table(OPERATIONS, {}, "float32").operands("linear", x=unknown["x"]))
    result = Table(OPERATIONS, {**unknown, "network": network, **names}, dtype or "float32").evaluate(code)
    assert isinstance(result, Value)
    return result


def described(value: Value) -> str:
    """A range with the confidence of its ends and of 0."""

    def end(number: float, evidence: Evidence | None) -> str:
        text = f"{number:g}"
        return text if evidence is None else f"{text} {evidence.confidence.label}"

    zero = ""
    if value.is_nonzero:
        zero = ", never 0"
    elif value.zero is not None and 0 not in (value.low, value.high):
        zero = f", 0 {value.zero.confidence.label}"
    count = ", count" if value.is_count else ""
    return f"[{end(value.low, value.at_low)}, {end(value.high, value.at_high)}]{zero}{count}"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # What saturates reaches its ends.
        ("sigmoid(x)", "[0 certain, 1 certain]"),
        ("sigmoid(relu(x))", "[0.5 certain, 1 certain]"),
        ("softmax(x, -1)", "[0 certain, 1 certain]"),
        ("softmax(clamp(x, -5.0, 5.0), -1)", "[0, 1]"),
        ("softmax(tanh(x), -1)", "[0, 1]"),
        ("tanh(x)", "[-1 certain, 1 certain]"),
        ("erf(x)", "[-1 certain, 1 certain]"),
        ("hardsigmoid(x)", "[0 certain, 1 certain]"),
        ("relu(x)", "[0 certain, inf]"),
        ("relu(sigmoid(x))", "[0 certain, 1 certain]"),
        ("relu(add(sigmoid(x), 1.0))", "[1 certain, 2 certain]"),
        ("softplus(x)", "[0 certain, inf]"),
        ("logsigmoid(x)", "[-inf, 0 certain]"),
        ("sub(1.0, sigmoid(x))", "[0 certain, 1 certain]"),
        # An exponential vanishes only where something says that its argument has no bound.
        ("exp(x)", "[0, inf]"),
        ("exp(network)", "[0 likely, inf likely]"),
        ("exp(clamp(network, max=10.0))", "[0 likely, 22026.5 certain]"),
        ("exp(neg(relu(x)))", "[0, 1 certain]"),
        # Squares and sizes are 0 where what they are of is.
        ("abs(x)", "[0, inf]"),
        ("mul(x, x)", "[0, inf]"),
        ("pow(x, 2)", "[0, inf]"),
        ("square(tanh(x))", "[0, 1 certain]"),
        ("pow(relu(x), 2)", "[0 certain, inf]"),
        ("mul(x, y)", "[-inf, inf]"),
        ("mul(sigmoid(x), sigmoid(y))", "[0 certain, 1 likely]"),
        # Sums.
        ("sum(gt(x, 0))", "[0 likely, inf], count"),
        ("sum(float(gt(x, 0)))", "[0 likely, inf], count"),
        ("sum(square(x))", "[0 likely, inf]"),
        ("sum(abs(x))", "[0 likely, inf]"),
        ("sum(relu(x))", "[0 likely, inf]"),
        ("sum(sigmoid(x))", "[0 likely, inf]"),
        ("sum(softmax(x, -1))", "[0, inf]"),
        ("sum(add(sigmoid(x), 1.0))", "[1, inf]"),
        ("sum(x)", "[-inf, inf], 0 likely"),
        ("sum(exp(x))", "[0, inf]"),
        ("sum(exp(sub(x, amax(x, -1, keepdim=True))))", "[0, inf]"),
        ("sum(masked_select(exp(x), gt(x, 0)))", "[0 likely, inf]"),
        ("mean(x)", "[-inf, inf]"),
        ("mean(square(x))", "[0 likely, inf]"),
        ("mean(float(gt(x, 0)))", "[0 likely, 1 likely]"),
        ("prod(sigmoid(x))", "[0 likely, 1 likely]"),
        # Norms, spreads and distances.
        ("norm(x)", "[0 likely, inf]"),
        ("vector_norm(x, dim=-1)", "[0 likely, inf]"),
        ("cdist(x, y)", "[0 likely, inf]"),
        ("std(x)", "[0 likely, inf]"),
        ("var(x)", "[0 likely, inf]"),
        ("mse_loss(x, y)", "[0 likely, inf]"),
        ("sub(amax(x), amin(x))", "[0 likely, inf]"),
        ("amax(abs(x))", "[0 likely, inf]"),
        ("sub(x, amax(x, -1, keepdim=True))", "[-inf, 0 certain]"),
        ("sub(x, max(x, -1, keepdim=True)[0])", "[-inf, 0 certain]"),
        ("sub(x, detach(amax(x, -1, keepdim=True)))", "[-inf, 0 certain]"),
        ("sub(x, unsqueeze(amax(x, -1), -1))", "[-inf, 0 certain]"),
        ("sub(x, amax(select(x, 0, 0)))", "[-inf, inf]"),
        ("sub(x, logsumexp(x, -1))", "[-inf, 0]"),
        ("sub(x, x)", "[0 certain, 0 certain]"),
        ("sub(x, y)", "[-inf, inf]"),
        # Shares.
        ("div(relu(x), sum(relu(x)))", "[0 certain, 1]"),
        ("div(relu(x), add(sum(relu(x)), 1e-8))", "[0 certain, 1]"),
        ("div(x, norm(x))", "[-1, 1]"),
        ("div(x, sum(x))", "[-inf, inf]"),
        ("cosine_similarity(x, y)", "[-1 likely, 1 likely]"),
        ("matmul(normalize(x), t(normalize(y)))", "[-1 likely, 1 likely]"),
        ("sum(mul(normalize(x), normalize(y)), -1)", "[-1 likely, 1 likely]"),
        ("matmul(div(x, norm(x)), t(div(y, clamp_min(norm(y), 1e-6))))", "[-1 likely, 1 likely]"),
        ("matmul(x, y)", "[-inf, inf]"),
        # Bounds.
        ("clamp(x, min=0)", "[0 certain, inf]"),
        ("clamp(x, 1e-8)", "[1e-08 likely, inf]"),
        ("clamp(sigmoid(x), 1e-6)", "[1e-06 certain, 1 certain]"),
        ("clamp(softplus(x), 1e-6)", "[1e-06 certain, inf]"),
        ("clamp(add(sigmoid(x), 1.0), 1e-6)", "[1 certain, 2 certain]"),
        ("clamp(sigmoid(x), 1e-8, 1 - 1e-8)", "[1e-08 certain, 1 certain]"),
        ("maximum(x, zeros_like(x))", "[0 certain, inf]"),
        ("add(sigmoid(x), 1e-8)", "[1e-08 certain, 1 certain]"),
        # Choices.
        ("where(gt(x, 0), sigmoid(x), 0.5)", "[0 likely, 1 likely]"),
        ("cat([sigmoid(x), exp(x)])", "[0 certain, inf]"),
        ("masked_fill(sigmoid(x), gt(x, 0), 0.0)", "[0 likely, 1 likely]"),
        # Constants and random numbers.
        ("rand(3)", "[0 certain, 1]"),
        ("neg(log(rand(3)))", "[5.96046e-08, inf certain]"),
        ("randn(3)", "[-10, 10]"),
        ("arange(10)", "[0 certain, 9], count"),
        ("arange(1, 10)", "[1 certain, 9], count"),
        ("one_hot(x, 3)", "[0 certain, 1 certain], count"),
        ("linspace(0, 1, 5)", "[0 certain, 1 certain]"),
        ("numel(x)", "[0, inf], count"),
        ("network", "[-inf likely, inf likely]"),
        ("dropout(sigmoid(x))", "[0 certain, inf]"),
        ("layer_norm(x, 3)", "[-inf, inf]"),
    ],
)
def test_ends_and_zeros_are_reached_as_far_as_the_code_tells(code: str, expected: str) -> None:
    assert described(said(code)).replace("0.999999", "1").replace("1 - 1e-7", "") == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("clamp(sigmoid(x), 1e-8)", "[0 certain, 1 certain]"),
        ("clamp(x, 1e-8)", "[0 likely, inf]"),
        ("add(sigmoid(x), 1e-8)", "[0 certain, 1 certain]"),
        ("half(sigmoid(x))", "[0 certain, 1 certain]"),
        ("exp(clamp(x, max=11.0))", "[0, 59936 likely]"),
    ],
)
def test_constants_are_what_float16_makes_of_them(code: str, expected: str) -> None:
    assert described(said(code, "float16")) == expected


def test_an_epsilon_that_a_cast_loses_is_told() -> None:
    value = said("half(clamp(x, 1e-8))")
    assert value.zero is not None
    assert value.zero.witness.endswith("is 0 in float16")


@pytest.mark.parametrize(
    ("code", "witness"),
    [
        ("sigmoid(x)", "sigmoid(-104.0) is exactly 0.0 in float32"),
        ("softmax(x, -1)", "softmax([0.0, 104.0]) is exactly [0.0, 1.0] in float32"),
        ("relu(x)", "relu(-1.0) is exactly 0.0 in float32"),
        ("norm(x)", "a vector of zeros"),
        ("norm(sub(x, y))", "equal values"),
        ("std(x)", "equal values"),
        ("cdist(x, y)", "equal points"),
        ("sum(gt(x, 0))", "a mask that selects nothing"),
        ("mean(square(sub(x, y)))", "equal values"),
        ("sub(x, amax(x))", "the maximum itself"),
        ("rand(3)", "torch.rand is 0 about once in 16 million numbers"),
    ],
)
def test_the_witness_says_why_0_is_reached(code: str, witness: str) -> None:
    zero = said(code).zero
    assert zero is not None
    assert zero.witness == witness


def test_values_computed_from_one_another_do_not_reach_their_ends_together() -> None:
    value = said("add(sigmoid(x), sub(1.0, sigmoid(x)))")
    assert (value.at_low, value.at_high) == (None, None)


def test_counts_of_one_mask_may_both_be_0() -> None:
    value = said("add(sum(mul(sigmoid(x), y)), sum(mul(sigmoid(x), sub(1.0, y))))", y=Value(0.0, 1.0, kind=TENSOR))
    assert value.zero is not None
    assert value.zero.confidence is LIKELY


@pytest.mark.parametrize("code", ["mean(x)", "std(x)", "var(x)", "median(x)", "mse_loss(x, y)"])
def test_the_mean_of_a_selection_is_nan_where_it_selects_nothing(code: str) -> None:
    empty = Evidence(LIKELY, "a mask that selects nothing")
    assert said(code, x=Value(kind=TENSOR, empty=empty)).nan == empty
    assert said(code).nan is None


@pytest.mark.parametrize(
    "code",
    ["argmax(x)", "gt(x, 0)", "detach(x)", "item(x)", "sign(x)", "floor(x)", "round(x)", "long(x)", "bool(x)",
     "add(detach(x), detach(y))", "one_hot(x, 3)", "zeros(3)", "exp(gt(x, 0))", "floor_divide(x, y)"],
)  # fmt: skip
def test_no_gradient_flows(code: str) -> None:
    assert not said(code).has_gradient


@pytest.mark.parametrize("code", ["exp(x)", "add(x, detach(y))", "where(gt(x, 0), x, 0.0)", "max(x, -1)[0]", "x"])
def test_gradients_flow(code: str) -> None:
    assert said(code).has_gradient


@pytest.mark.parametrize(
    ("code", "dtype"),
    [
        ("exp(x)", "float16"),
        ("float(x)", "float32"),
        ("to(x, bfloat16)", "bfloat16"),
        ("to(x, dtype=float64)", "float64"),
        ("to(x, \"cpu\")", "float16"),
        ("sum(x, dtype=float32)", "float32"),
        ("softmax(x, -1, dtype=float32)", "float32"),
        ("add(x, float(y))", "float32"),
        ("add(x, 1.0)", "float16"),
        ("gt(x, 0)", "bool"),
        ("argmax(x)", "int64"),
        ("sum(gt(x, 0))", "int64"),
        ("mean(x)", "float16"),
        ("div(sum(gt(x, 0)), 2)", "float32"),
        ("mul(sum(gt(x, 0)), 2)", "int64"),
    ],
)  # fmt: skip
def test_dtypes_are_promoted_as_torch_does(code: str, dtype: str) -> None:
    assert said(code, "float16").dtype == dtype


def hazards(code: str, dtype: str | None = None, **names: Value) -> list[str]:
    """The hazards of the outermost operation, as text."""
    values = {name: Value(dtype=dtype, kind=TENSOR) for name in ("x", "y")} | names
    table = Table(OPERATIONS, values, dtype or "float32")
    table.evaluate(code)
    step = table.steps[-1]
    row = OPERATIONS[step.name]
    return [
        f"{hazard.operand} [{hazard.low:g}, {hazard.high:g}] {hazard.value}/{hazard.gradient}"
        for hazard in row.hazards_for(table.operands(step.name, **step.operands))
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("log(x)", ["input [0, 0] inf/inf", "input [-inf, -1.4013e-45] nan/finite"]),
        ("sqrt(x)", ["input [0, 0] finite/inf", "input [-inf, -1.4013e-45] nan/nan"]),
        ("pow(x, 0.5)", ["input [0, 0] finite/inf", "input [-inf, -1.4013e-45] nan/nan"]),
        ("pow(x, -1)", ["input [0, 0] inf/inf"]),
        ("pow(x, 2)", []),
        ("pow(x, y)", []),
        ("div(1.0, x)", ["other [0, 0] inf/inf"]),
        ("div(x, norm(x))", ["other [0, 0] nan/nan"]),
        ("exp(x)", ["input [88.72, inf] inf/inf"]),
        ("normalize(x)", []),
        ("norm(x)", []),
        ("relu(x)", []),
        ("logit(x, 1e-6)", []),
        ("atan2(x, y)", []),
    ],
)
def test_hazards_are_where_torch_breaks(code: str, expected: list[str]) -> None:
    assert hazards(code) == expected


def test_hazards_depend_on_the_dtype() -> None:
    assert hazards("normalize(x)", "float16") == ["input [0, 0] nan/nan"]
    assert hazards("exp(x)", "float16") == ["input [11.0859, inf] inf/inf"]
    assert hazards("logit(x, 1e-6)", "float16") == ["input [1, 1] inf/inf", "input [1.00098, inf] inf/finite"]


def test_a_constant_tells_what_a_number_of_python_is() -> None:
    value = said("sub(1, y)", y=constant(1e-8))
    assert value.low == 1 - 1e-8
