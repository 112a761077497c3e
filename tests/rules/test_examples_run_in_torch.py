"""The examples on rules' pages, executed: Bad goes wrong, Good and the fix of Bad do not, and compute the same.

A rule brings the inputs itself, in the block `python witness` of its case file. For numerics that is

- `going_wrong`, by parameter: for these the last function of Bad gives a value or gradient that is not finite;
- `ordinary`: for these all three give the same values and gradients;
- `wrong_in`: the dtypes in which Bad goes wrong, all three where it is not given.

Tensors of floats are cast to the dtype under test and have gradients. Other topics define `run(example)`, which calls
functions of the example and returns tensors that must be the same for all three.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline_lint.config import Settings
from pipeline_lint.engine.catalog import builtin_rules
from pipeline_lint.engine.fix_files import fix_contents
from pipeline_lint.explain import page
from pipeline_lint.rule import Rule
from pipeline_lint.testing import load_witness

torch = pytest.importorskip("torch")

FOLDER = Path(__file__).parent
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
Inputs = Mapping[str, Any]


def case_file(rule: type[Rule]) -> Path:
    return FOLDER / rule.topic() / f"{rule.rule_name().replace('-', '_')}.md"


def witness_of(rule: type[Rule]) -> dict[str, Any]:
    code = load_witness(case_file(rule))
    assert code is not None, f"{case_file(rule)} has no block `python witness`"
    namespace: dict[str, Any] = {"torch": torch}
    exec(code, namespace)
    return namespace


NUMERIC = [rule for rule in builtin_rules() if rule.topic() == "numerics"]
OTHER = [
    rule
    for rule in builtin_rules()
    if rule.topic() != "numerics" and case_file(rule).exists() and load_witness(case_file(rule)) is not None
]


def example(code: str) -> SimpleNamespace:
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return SimpleNamespace(**namespace)


def function_of(code: str) -> Callable[..., Any]:
    """The last function that an example defines."""
    functions = [value for value in vars(example(code)).values() if type(value) is type(function_of)]
    function: Callable[..., Any] = functions[-1]
    return function


def fixed(rule: type[Rule]) -> str:
    bad = page(rule).bad + "\n"
    result = fix_contents({"example.py": bad.encode()}, Settings(select=(rule.code,)), unsafe=True)
    assert result["example.py"] != bad.encode()
    return result["example.py"].decode()


def outcome(function: Callable[..., Any], inputs: Inputs, dtype: Any) -> list[Any]:
    """The value that a function gives, and the gradients of its sum."""
    arguments = {}
    for name, value in inputs.items():
        is_float = isinstance(value, torch.Tensor) and value.is_floating_point()
        arguments[name] = value.detach().clone().to(dtype).requires_grad_() if is_float else value
    value = function(**arguments)
    value.sum().backward()
    gradients = [tensor.grad for tensor in arguments.values() if isinstance(tensor, torch.Tensor)]
    return [value.detach(), *(gradient for gradient in gradients if gradient is not None)]


def are_finite(tensors: list[Any]) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors)


@pytest.fixture(autouse=True)
def _clean_torch() -> Iterator[None]:
    """Examples may switch anomaly detection on and use what is deprecated, or CUDA where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
        torch.autograd.set_detect_anomaly(False)


def test_there_are_rules_to_execute() -> None:
    assert NUMERIC
    assert OTHER


@pytest.mark.parametrize("rule", NUMERIC, ids=lambda rule: rule.code)
def test_bad_gives_a_value_or_gradient_that_is_not_finite(rule: type[Rule]) -> None:
    witness = witness_of(rule)
    bad = function_of(page(rule).bad)
    for dtype in witness.get("wrong_in", DTYPES):
        assert not are_finite(outcome(bad, witness["going_wrong"], dtype)), dtype


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rule", NUMERIC, ids=lambda rule: rule.code)
def test_good_and_the_fix_stay_finite(rule: type[Rule], dtype: Any) -> None:
    witness = witness_of(rule)
    for code in (page(rule).good, fixed(rule)):
        for inputs in (witness["going_wrong"], witness["ordinary"]):
            assert are_finite(outcome(function_of(code), inputs, dtype)), code


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("rule", NUMERIC, ids=lambda rule: rule.code)
def test_good_and_the_fix_agree_with_bad_on_ordinary_inputs(rule: type[Rule], dtype: Any) -> None:
    inputs = witness_of(rule)["ordinary"]
    expected = outcome(function_of(page(rule).bad), inputs, dtype)
    assert are_finite(expected)
    for code in (page(rule).good, fixed(rule)):
        torch.testing.assert_close(outcome(function_of(code), inputs, dtype), expected)


@pytest.mark.parametrize("rule", OTHER, ids=lambda rule: rule.code)
def test_examples_without_numerics_compute_the_same(rule: type[Rule]) -> None:
    run = witness_of(rule)["run"]
    expected = run(example(page(rule).bad))
    for code in (page(rule).good, fixed(rule)):
        torch.testing.assert_close(run(example(code)), expected, rtol=0, atol=0)
