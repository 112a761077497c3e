"""Which arguments of inverse functions are taken for cosines and sines, and what torch makes of those."""

from __future__ import annotations

import pytest

from pipeline_lint.documents import open_document
from pipeline_lint.facts.algebra.directions import Edge, edge_of
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.parsing import parse

torch = pytest.importorskip("torch")


def edge(argument: str, function: str = "f", name: str = "acos") -> Edge | None:
    """What is known of the argument of an inverse function that stands in a function of this name."""
    definition = f"def {function}(self, a, b, R, x, q, quat, matrix, i, j, corr):"
    code = f"import torch\n\n\n{definition}\n    return torch.{name}({argument})\n"
    source = parse(open_document("example.py", code.encode()))
    (site,) = source.fact(Ranges).sites(name)
    return edge_of(source, name, site.operands["input"], site.input)


@pytest.mark.parametrize(
    "argument",
    [
        "a @ b",
        "-(a @ b).squeeze(-1)",
        "torch.einsum('id,jd->ij', a, b)",
        "(a * b).sum(-1)",
        "1 - (1 - torch.dot(a, b))",
        "x / (a.norm() * b.norm())",
        "x / torch.sqrt((a ** 2).sum())",
        "(torch.trace(R) - 1) / 2",
        "0.5 * (x - 1)",
        "R[0, 2]",
        "-R[..., 2, 0]",
        "self.rotation[:, 1, 1] * (-1.0 if i else 1.0)",
        "torch.clamp(R[..., 0, 0], -1, 1)",
        "corr",
    ],
)
def test_a_cosine_is_known(argument: str) -> None:
    found = edge(argument)
    assert found is not None
    assert found.is_crossed


@pytest.mark.parametrize(
    "argument",
    ["x", "a * b", "(2 * x).sum(-1)", "a.sum(-1)", "0.99 * (a @ b)", "R[0]", "matrix[..., i, j]", "q[..., 0]", "x / 2"],
)
def test_other_values_are_not_taken_for_cosines(argument: str) -> None:
    assert edge(argument) is None


def test_short_names_are_rotations_in_a_function_about_rotations() -> None:
    assert edge("matrix[..., i, j]", "matrix_to_euler") is not None
    found = edge("q[..., 0]", "quaternion_to_axis_angle")
    assert found is not None
    assert not found.is_crossed


def test_a_dot_product_is_a_cosine_only_where_its_angle_is_taken() -> None:
    assert edge("a @ b", name="atanh") is None


def test_rounding_takes_cosines_traces_and_entries_of_rotations_beyond_1() -> None:
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(2000, 64), dim=-1)
    assert bool(((vectors * vectors).sum(-1) > 1).any())
    assert bool((torch.nn.functional.cosine_similarity(vectors, vectors, dim=-1) > 1).any())
    rotations, _ = torch.linalg.qr(torch.randn(2000, 3, 3))
    identities = rotations @ rotations.transpose(1, 2)
    assert bool(((identities.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2 > 1).any())
    quarter = torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    assert bool(((rotations @ (rotations.transpose(1, 2) @ quarter))[:, 0, 2] > 1).any())
