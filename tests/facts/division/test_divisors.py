"""Why a divisor is taken to be 0 at times: from the numerator, from names, and what keeps it from being."""

from __future__ import annotations

from textwrap import dedent, indent

import libcst as cst
import pytest

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.documents import open_document
from pipeline_lint.facts.code.unwrapping import unwrapped
from pipeline_lint.facts.division.array_divisors import why_array_zero
from pipeline_lint.facts.division.divisor_guards import has_guard, is_constant_setup, is_path
from pipeline_lint.facts.division.divisors import is_mean_over_mask, why_zero
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.facts.ranges.value import Evidence
from pipeline_lint.parsing import parse
from pipeline_lint.source import Source

PARAMETERS = "self, x, y, w, mask, p, target, adj, deg, points, boxes, theta, mean, std, kernel, n, values, eps, root"


def division(body: str, function: str = "f") -> tuple[Source, Site]:
    """The last division of a function with this body."""
    code = "import numpy as np\nimport torch\nimport torch.nn.functional as F\n\n\n"
    code += f"def {function}({PARAMETERS}):\n" + indent(dedent(body).strip("\n"), "    ") + "\n"
    source = parse(open_document("example.py", code.encode()))
    return source, source.fact(Ranges).sites("div")[-1]


def evidence(body: str, function: str = "f") -> Evidence | None:
    source, site = division(body, function)
    return why_zero(source, site, "other")


LIKELY = {
    "return x / x.norm()": "a vector of zeros",
    "return (x - x.mean()) / x.std()": "equal values",
    "return x / (x.max() - x.min())": "equal values",
    "return x / x.sum(1, keepdim=True)": "elements that are all 0",
    "return x / x.abs().sum().sqrt()": "a",
    "total = x.sum()\nreturn (x * y) / total": "elements that are all 0",
    "return torch.matmul(adj, x) / adj.sum(-1, keepdim=True)": "elements that are all 0",
    "return 2 * (x * y).sum() / (x.sum() + y.sum())": "elements that are all 0",
    "return x / x.max()": "elements that are all 0",
    "return (x * w).sum() / w.sum()": "elements that are all 0",
    "return y / (x > 0).sum()": "a mask that selects nothing",
    "return y / (x > 0).sum().item()": "a mask that selects nothing",
    "kept = [v for v in values if v]\nreturn y / len(kept)": "a list from which everything was filtered out",
    "n = len(values)\nreturn n / (n - 1)": "a count of 1",
    "n = x.shape[0]\nreturn n / (n - 1.0) ** 2": "a count of 1",
    "v1 = w.sum()\nv2 = (w ** 2).sum()\nreturn x / (v1 - v2 / v1)": "one weight alone",
    "a, b = boxes[0] * boxes[1], boxes[2] * boxes[3]\no = torch.min(a, b)\nreturn o / (a + b - o)": "two empty regions",
    "return theta / theta.sin()": "the sine of 0, and of pi",
    "return points[..., :2] / points[..., 2:]": "a coordinate that is 0",
    "return points / points[:, -1:, None]": "a coordinate that is 0",
    "return -(x - mean) ** 2 / (2 * std ** 2)": "`std` that is 0",
    "volume = torch.einsum('i,i->', x, y)\nreturn x / volume.view(-1, 1)": "",
    "return 1 / torch.log(deg + 1)": "",
}
POSSIBLE = (
    "return x / y",
    "return x / y.sum()",
    "return (x - mean) / std",
    "return x / n",
    "return x / len(values)",
    "return x / (y - 1)",
    "return x / values[0]",
    "return y / (n - 1)",
)
NEVER = {
    "an epsilon": "return x / (x.norm() + 1e-8)",
    "a named epsilon": "return x / (x.norm() + eps)",
    "an epsilon of the object": "return x / (x.sum() + self.smooth)",
    "a clamp": "return x / x.norm().clamp(min=1e-6)",
    "a clamp by a name": "return x / x.norm().clamp(min=eps)",
    "where": "d = x.sum()\nd = torch.where(d == 0, torch.ones_like(d), d)\nreturn x / d",
    "where before the sum": "w = torch.where(w > 0, w, torch.ones_like(w))\nreturn (w * x).sum() / w.sum()",
    "a kernel": "return kernel / kernel.sum()",
    "exponentials": "w = torch.exp(-x)\nreturn w / w.sum()",
    "probabilities": "w = torch.softmax(x, 0)\nreturn w / w.sum()",
    "noise": "w = torch.randn(3)\nreturn w / w.norm()",
    "a grid": "i = torch.arange(5)\nw = (i[:, None] - i[None]) ** 2\nreturn w / w.max()",
    "a running sum": "u = y.sum() + (1 - y).cumsum(0)\nreturn x / u",
    "the support of a sparsemax": "s = (x * theta > x.cumsum(0) - 1).sum()\nreturn x / s",
    "a number or one": "return x / (n or 1)",
    "at least one": "return x / max(n, 1)",
    "a branch": "s = x.sum()\nif s > 0:\n    return x / s",
    "an assertion": "s = x.norm()\nassert s > 0\nreturn x / s",
    "replaced zeros": "s = x.std(0)\ns[s == 0] = 1\nreturn x / s",
    "a schedule": "alphas_cumprod = torch.cumprod(1 - x, 0)\nreturn 1 / alphas_cumprod",
}


@pytest.mark.parametrize("body", LIKELY)
def test_what_is_zero_for_usual_data_is_likely(body: str) -> None:
    found = evidence(body)
    assert found is not None
    assert found.confidence is Confidence.LIKELY
    assert LIKELY[body] in found.witness


@pytest.mark.parametrize("body", POSSIBLE)
def test_what_nothing_is_known_of_is_possible(body: str) -> None:
    found = evidence(body)
    assert found is not None
    assert found.confidence is Confidence.POSSIBLE


@pytest.mark.parametrize("body", NEVER.values(), ids=NEVER)
def test_what_the_code_keeps_from_zero_is_silent(body: str) -> None:
    assert evidence(body) is None


def test_probabilities_that_round_to_zero_are_certain() -> None:
    found = evidence("return 1 / torch.softmax(x, 0)")
    assert found is not None
    assert found.confidence is Confidence.CERTAIN


def test_what_a_sum_says_of_unknown_numbers_is_what_divisors_take_for_too_little() -> None:
    _, site = division("return x / y.sum()")
    found = site.values["other"].reaches(0.0, 0.0)
    assert found is not None
    assert found.witness == "elements that add up to 0"


@pytest.mark.parametrize(
    ("body", "is_mean"),
    [
        ("return (x * mask).sum() / mask.sum()", True),
        ("mask = target > 0\nreturn x[mask].sum() / mask.sum()", True),
        ("mask = target > 0\nreturn x.masked_fill(~mask, 0).sum(1) / mask.sum(1)", True),
        ("mask = target > 0\nreturn (x * mask).sum() / max(mask.sum().item(), 1)", False),
        ("return x.sum() / (y > 0).sum()", False),
        ("return ((x > 0) & (y > 0)).sum() / (y > 0).sum()", False),
        ("return (x * w).sum() / w.sum()", False),
    ],
)
def test_a_mean_over_a_mask_sums_what_the_mask_selects(body: str, is_mean: bool) -> None:
    assert is_mean_over_mask(division(body)[1]) is is_mean


@pytest.mark.parametrize(
    ("test", "is_guard"),
    [
        ("torch.isclose(x.sum(), y)", True),
        ("not (x != 0).any()", True),
        ("x.max() < 1e-3", True),
        ("x is None", False),
        ("x.dim() == 2", False),
        ("isinstance(x, list) and n > 0", False),
        ("len(x) > 0", False),
        ("y.sum() > 0", False),
    ],
)
def test_a_test_of_the_values_guards_a_division(test: str, is_guard: bool) -> None:
    source, site = division(f"if {test}:\n    return y\nreturn y / x.sum()")
    assert has_guard(source, site.node, site.operands["other"]) is is_guard


def test_a_test_of_the_number_of_elements_guards_where_it_is_asked_for() -> None:
    source, site = division("if len(x) > 0:\n    return y\nreturn y / x")
    assert has_guard(source, site.node, site.operands["other"], of_size=True)


@pytest.mark.parametrize("function", ["__init__", "reset_parameters", "drop_path", "f"])
def test_what_is_computed_once_is_no_division_by_data(function: str) -> None:
    source, site = division("return x / x.norm()", function)
    assert is_constant_setup(source, site.node, site.operands["other"]) is (function != "f")


@pytest.mark.parametrize(
    ("code", "is_one"),
    [
        ("root / x", True),
        ("self.path / x / y", True),
        ("x / 'a'", True),
        ("self.model_dir / p", True),
        ("x / y", False),
    ],
)
def test_paths_are_told_from_quotients(code: str, is_one: bool) -> None:
    source, site = division(f"return {code}")
    assert is_path(source, site) is is_one


@pytest.mark.parametrize(
    ("divisor", "reason"),
    [
        ("np.max(np.abs(x))", "elements that are all 0"),
        ("np.linalg.norm(x, axis=1)", "elements that are all 0"),
        ("np.sqrt(np.mean(x ** 2))", "elements that are all 0"),
        ("np.std(x)", "equal values"),
        ("np.sum(x)", None),
        ("np.max(y)", None),
        ("(np.max(x) + 1e-8)", None),
        ("np.prod(x)", None),
        ("x.max()", None),
    ],
)
def test_numpy_divides_an_array_by_what_it_computes_of_it(divisor: str, reason: str | None) -> None:
    source, site = division(f"return x / {divisor}")
    found = why_array_zero(source, site.operands["other"], site.operands["input"])
    assert (found.witness if found is not None else None) == reason


@pytest.mark.parametrize(
    "code",
    [
        "x",
        "x.view(-1, 1)",
        "float(x)",
        "x[:, None]",
        "x[..., None].float()",
        "x.T",
        "x.unsqueeze(0).expand(2, 3)",
        "(x)",
    ],
)
def test_reshapes_and_casts_are_unwrapped(code: str) -> None:
    inner = unwrapped(cst.parse_expression(code))
    assert isinstance(inner, cst.Name)
    assert inner.value == "x"


@pytest.mark.parametrize("code", ["x[0]", "x.sum()", "x + 1", "abs(x)", "x[:, 1]"])
def test_what_computes_or_picks_is_not_unwrapped(code: str) -> None:
    assert not isinstance(unwrapped(cst.parse_expression(code)), cst.Name)
