"""Chains of assignments share their terms, so that a reader which follows names without memory never ends."""

import pytest

from pipeline_lint import check_source


def polynomial(degree: int) -> str:
    """Each line reads the one above three times: 3 ** degree paths lead back to `x0`."""
    lines = [f"    x{i} = 0.5 * x{i - 1} * x{i - 1} + 3.0 * x{i - 1} + 1e-3" for i in range(1, degree)]
    return "\n".join(["import torch", "def f(x0):", *lines, f"    return x{degree - 1}"])


def network(depth: int) -> str:
    """The same with what the rules about numbers look for in every line."""
    lines = [
        f"""
    x{i} = x{i - 1} / (y{i - 1} + x{i - 1}) - torch.where(x{i - 1} > 0, x{i - 1}, y{i - 1})
    y{i} = torch.log(x{i - 1} + 1e-8) - torch.exp(y{i - 1} - x{i - 1}) + torch.sqrt(x{i - 1}**2 + y{i - 1}**2)"""
        for i in range(1, depth)
    ]
    return f"import torch\ndef f(x0, y0):{''.join(lines)}\n    return x{depth - 1}, y{depth - 1}\n"


@pytest.mark.timeout(30)
@pytest.mark.parametrize("code", [polynomial(60), network(60)], ids=["polynomial", "network"])
def test_the_time_of_a_check_is_that_of_the_code_and_not_of_its_paths(code: str) -> None:
    check_source(code)
