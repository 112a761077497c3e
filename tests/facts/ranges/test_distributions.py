"""What is claimed of distributions, against torch's own, and how a sample or a probability reaches an operation."""

from __future__ import annotations

import pytest

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.documents import open_document
from pipeline_lint.facts.operations.distributions import DISTRIBUTIONS
from pipeline_lint.facts.ranges.analysis import Ranges
from pipeline_lint.facts.ranges.site import Site
from pipeline_lint.parsing import parse

torch = pytest.importorskip("torch")

POSITIVE = (1e-2, 0.5, 1.0, 7.0)
MATRIX = ("cov_factor", "cov_diag", "covariance_matrix", "precision_matrix", "scale_tril")


def made(name: str, parameter: float) -> object:
    """A distribution of torch with this for its scales, rates and concentrations."""
    given = {}
    for each in DISTRIBUTIONS[name].parameters:
        if each in ("precision_matrix", "scale_tril", "logits"):
            continue
        if each in MATRIX:
            given[each] = torch.tensor([parameter]) if each == "cov_diag" else torch.eye(1) * parameter
        elif each == "loc":
            given[each] = torch.zeros(1) if "Multivariate" in name else torch.tensor(0.0)
        elif each == "probs":
            probability = min(parameter, 0.9)
            given[each] = torch.tensor([probability, 1 - probability] if "Categorical" in name else probability)
        elif each == "total_count":
            given[each] = 3
        elif each in ("low", "high"):
            given[each] = torch.tensor(0.0 if each == "low" else parameter)
        else:
            given[each] = torch.tensor([parameter] * 3 if name == "Dirichlet" else parameter)
    return getattr(torch.distributions, name)(**given)


@pytest.mark.parametrize("parameter", POSITIVE)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_samples_and_probabilities_lie_where_it_is_claimed(name: str, parameter: float) -> None:
    torch.manual_seed(0)
    family, distribution = DISTRIBUTIONS[name], made(name, parameter)
    samples = distribution.sample((2000,))
    assert family.low <= samples.min() <= samples.max() <= family.high
    assert not (family.is_nonzero and (samples == 0).any())
    assert not family.is_discrete or (samples == samples.round()).all()
    if name not in ("RelaxedBernoulli", "RelaxedOneHotCategorical"):
        # Their densities are not those of a probability either way.
        assert not family.is_discrete or distribution.log_prob(samples).max() <= 1e-6


@pytest.mark.parametrize("name", sorted(name for name, family in DISTRIBUTIONS.items() if family.zero is not None))
def test_zero_is_drawn_where_it_is_said(name: str) -> None:
    torch.manual_seed(0)
    assert (made(name, 0.5).sample((2000,)) == 0).any()


def sites(expression: str, *names: str, before: str = "") -> list[Site]:
    code = (
        "import torch\nfrom torch.distributions import Bernoulli, Beta, Categorical, Independent, Normal, Uniform\n\n\n"
        f"def f(x, y):\n    {before or 'pass'}\n    return {expression}\n"
    )
    return parse(open_document("example.py", code.encode())).fact(Ranges).sites(*names)


@pytest.mark.parametrize(
    ("expression", "confidence"),
    [
        ("torch.log(Normal(x, y).cdf(x))", Confidence.LIKELY),
        ("torch.log(Independent(Normal(x, y), 1).cdf(x))", Confidence.LIKELY),
        ("torch.log(Categorical(logits=x).probs)", Confidence.LIKELY),
        ("torch.log(Uniform(0, 1).sample((3,)))", Confidence.LIKELY),
        ("torch.log(Bernoulli(x).sample())", Confidence.LIKELY),
        ("torch.log(Beta(x, y).rsample())", None),
        ("torch.log(Uniform(1e-6, 1).sample((3,)))", None),
        ("torch.log(torch.distributions.normal.Normal(x, y).scale)", None),
        ("torch.log(Normal(x, y).variance)", None),
    ],
)
def test_a_logarithm_of_what_a_distribution_gives(expression: str, confidence: Confidence | None) -> None:
    (site,) = sites(expression, "log")
    found = [site.reached(hazard) for hazard in site.hazards]
    assert max((each.confidence for each in found if each is not None), default=None) == confidence


def test_a_distribution_that_has_a_name() -> None:
    (site,) = sites("d.cdf(x).log()", "log", before="d = Normal(x, y)")
    assert site.input.reaches(0.0, 0.0) is not None


def test_samples_are_differentiated_only_where_they_are_reparametrised() -> None:
    (drawn,) = sites("torch.exp(Normal(x, y).sample())", "exp")
    (moved,) = sites("torch.exp(Normal(x, y).rsample())", "exp")
    assert (drawn.input.has_gradient, moved.input.has_gradient) == (False, True)


def test_the_logarithm_of_a_discrete_probability_is_not_positive() -> None:
    (site,) = sites("torch.exp(Categorical(logits=x).log_prob(y))", "exp")
    assert site.input.high == 0


def test_torch_rounds_what_is_said_to_be_rounded() -> None:
    assert torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(-5.6)) == 0
    assert torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(5.6)) == 1
    assert torch.distributions.Categorical(logits=torch.tensor([0.0, 104.0])).probs[0] == 0
    with pytest.raises(ValueError, match="scale"):
        torch.distributions.Normal(0.0, torch.tensor(0.0))
