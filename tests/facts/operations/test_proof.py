"""The proof of the table finds rows that are wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("torch")

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.operations import OPERATIONS, Hazard, Row
from pipeline_lint.facts.ranges.value import Evidence, Operands, Value
from tests.facts.operations.proof import Broken, prove
from tests.facts.operations.torch_calls import Line

CERTAIN = Confidence.CERTAIN


def changed(name: str, change: Callable[[Value], Value], *hazards: Hazard) -> Row:
    """A row of the table whose results are changed, with hazards of its own if there are any."""
    row = OPERATIONS[name]

    def transfer(operands: Operands) -> Value:
        return change(row.transfer(operands))

    return Row(transfer, hazards or row.hazards, row.keeps_values)


def with_hazards(name: str, *hazards: Hazard) -> Row:
    return Row(OPERATIONS[name].transfer, hazards)


WRONG = {
    "a range that is too small below": ("sigmoid(x)", changed("sigmoid", lambda value: value.but(low=1e-9))),
    "a range that is too small above": ("tanh(x)", changed("tanh", lambda value: value.but(high=0.99999))),
    "0 is left out": ("relu(x)", changed("relu", lambda value: value.but(is_nonzero=True))),
    "no hazard of the value": ("sqrt(x)", with_hazards("sqrt", Hazard("input", 0.0, 0.0, "finite", "inf"))),
    "no hazard of the gradient": (
        "sqrt(x)",
        with_hazards("sqrt", Hazard("input", -float("inf"), -(2.0**-149), "nan", "nan")),
    ),
    "a hazard where there is none": (
        "tanh(x)",
        with_hazards("tanh", Hazard("input", 1.0, 1.0, "finite", "inf")),
    ),
    "a hazard of another kind": (
        "log(x)",
        with_hazards(
            "log",
            Hazard("input", 0.0, 0.0, "nan", "inf"),
            Hazard("input", -float("inf"), -(2.0**-149), "nan", "finite"),
        ),
    ),
    "an end that is not reached": (
        "cos(x)",
        changed("cos", lambda value: value.but(low=-1.5, at_low=Evidence(CERTAIN, "it is not"))),
    ),
    "a witness that is none": (
        "sigmoid(x)",
        changed(
            "sigmoid",
            lambda value: value.but(at_high=Evidence(CERTAIN, "sigmoid(3.0) is exactly 1.0 in float32")),
        ),
    ),
    "another dtype": ("exp(x)", changed("exp", lambda value: value.but(dtype="float64"))),
    "no gradient where there is one": ("exp(x)", changed("exp", lambda value: value.but(has_gradient=False))),
    "a sum without zeros": ("sum(square(x), -1)", changed("sum", lambda value: value.but(low=1e-3))),
    "a cosine that rounding keeps within 1": (
        "cosine_similarity(x, y, dim=-1)",
        changed("cosine_similarity", lambda value: value.but(low=-1.0, high=1.0)),
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_row_is_found(fault: str) -> None:
    code, row = WRONG[fault]
    arrangement = "rows" if "-1)" in code else "elementwise"
    line = Line(code, arrangement)
    prove(line, "float32", OPERATIONS)
    with pytest.raises(Broken):
        prove(line, "float32", {**OPERATIONS, line.name: row})
