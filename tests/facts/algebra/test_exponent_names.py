"""Names of exponents that say that nothing bounds them."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.algebra.exponent_names import unbounded_name
from pipeline_lint.facts.code.calls import Calls
from pipeline_lint.parsing import parse


def name_in(exponent: str) -> str | None:
    source = parse(open_document("example.py", f"import torch\nx = torch.exp({exponent})\n".encode()))
    (exp,) = source.fact(Calls).operations("exp")
    assert exp.input is not None
    return unbounded_name(source, exp.input)


@pytest.mark.parametrize(
    ("exponent", "name"),
    [
        ("logs_p", "logs_p"),
        ("-2 * log_predicted_variance", "log_predicted_variance"),
        ("0.5 * log_sigma[:, 1:]", "log_sigma"),
        ("logits.float().mul(2)", "logits"),
        ("log_ratios / 2.0", "log_ratios"),
        ("dw", "dw"),
        ("pred_deltas[..., 2:]", "pred_deltas"),
    ],
)
def test_the_one_variable_of_an_exponent_is_known_by_its_name(exponent: str, name: str) -> None:
    assert name_in(exponent) == name


@pytest.mark.parametrize(
    "exponent",
    [
        "x",
        "logits - shift",
        "logits * scale",
        "dist.logits",
        "delta",
        "aspect_log_ratio",
        "log_variance_clipped",
        "posterior_log_variance",
        "model_log_variance",
        "logits.sin()",
        "f(logits)",
    ],
)
def test_other_exponents_have_no_telling_name(exponent: str) -> None:
    assert name_in(exponent) is None
