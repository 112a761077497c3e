"""TRN407: a loss that is given probabilities where it expects logits, or the other way round."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.losses.mismatched_losses import (
    WORDS,
    MismatchedLoss,
    is_unexpected,
    summarize_mismatched_losses,
)
from pipeline_lint.facts.losses.probabilities import activations_of, summarize_probabilities
from pipeline_lint.facts.modules import summarize_classes
from pipeline_lint.facts.project import Project
from pipeline_lint.rule import Finding, ProjectRule

_EXPECTED = {
    "cross_entropy": ("takes a softmax itself", "give it the logits"),
    "binary_cross_entropy_with_logits": ("takes a sigmoid itself", "give it the logits"),
    "nll_loss": ("takes logarithms of probabilities", "give it a log_softmax, or the logits to `F.cross_entropy`"),
    "kl_div": ("takes logarithms of probabilities", "give it a log_softmax"),
}
_WITNESS = {
    "cross_entropy": "for a prediction of 10 classes that is perfectly right the loss is log(1 + 9 / e) = 1.46, not 0",
    "binary_cross_entropy_with_logits": "for a prediction 0 that is perfectly right the loss is log(2) = 0.69, not 0",
    "nll_loss": "for a probability of 0.001 of the right class the loss is -0.001 instead of 6.9",
    "kl_div": "of two distributions that are the same, (0.5, 0.5), it gives -1.19 instead of 0",
}


class LossActivationMismatch(ProjectRule):
    """A loss is given probabilities where it takes logits, or something else than logarithms of probabilities.

    Every loss of torch expects predictions of one kind, and computes some number for any other. `F.cross_entropy` and
    `nn.CrossEntropyLoss` take a softmax themselves: of probabilities that is a second softmax, which of 10 classes
    gives none more than 0.23, so that the loss of a perfect prediction is 1.46 and gradients fade long before. It
    trains, slowly, to something worse, and nothing says why. `F.binary_cross_entropy_with_logits` takes a sigmoid
    itself: of a probability that is never below 0.5. `F.nll_loss` takes logarithms: of a softmax it is -p, which
    rewards the right class and hardly minds a prediction that is altogether wrong. `F.kl_div` wants a logarithm as
    its first argument, and gives numbers below 0 otherwise.

    A `log_softmax` before a cross entropy is taken twice for nothing: the numbers are the same.

    The activation is found in the same function, in what functions of the file return, at the end of an
    `nn.Sequential`, and in the `forward` of a model that is trained elsewhere, in another function or file.

    Bad:
        import torch.nn.functional as F

        def loss(logits, target):
            p = F.softmax(logits, dim=1)
            return F.cross_entropy(p, target)
    Good:
        import torch.nn.functional as F

        def loss(logits, target):
            return F.cross_entropy(logits, target)
    Exempt: a prediction of which only one path ends in an activation (`if not self.training:`); logarithms of a
        probability that are taken by hand (`nll_loss(p.log())`); losses of other libraries; tests; a loss that
        nobody differentiates is a possible defect only.
    Fix: Unsafe, since the loss becomes another number: the activation is dropped before a cross entropy, and
        `nll_loss` of a softmax becomes `cross_entropy` of the logits. There is none where the activation is taken in
        another function, module or file: who else asks that model may want the probability.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html;
        https://docs.pytorch.org/docs/stable/generated/torch.nn.KLDivLoss.html; the figures were measured with torch
        2.13 on CPU.
    """

    code = "TRN407"
    triggers = WORDS
    summaries = (summarize_classes, summarize_probabilities, summarize_mismatched_losses)

    def check_project(self, project: Project) -> Iterator[Finding]:
        """Every loss of a prediction whose last activation is one that it does not expect."""
        for path in project.paths:
            for loss in project.summary(summarize_mismatched_losses, path) or ():
                yield from _findings(project, loss, path)


def _findings(project: Project, loss: MismatchedLoss, path: str) -> Iterator[Finding]:
    related = list(loss.related)
    activations = {loss.activation} if loss.activation else set()
    whose = ""
    for source in loss.sources:
        found = activations_of(project, source, path)
        if not found or not all(is_unexpected(loss.function, each.name) for each in found):
            return
        activations |= {each.name for each in found}
        related += [(each.place, f"the {_spelled(each.name)} is here") for each in found]
        if source.owner:
            name = source.method if source.method != "forward" else source.owner.rpartition(".")[2].lstrip(":")
            whose = f" that `{name}` ends with"
    if len(activations) != 1:
        return
    activation = activations.pop()
    expected, advice = _EXPECTED[loss.function]
    is_twice = (loss.function, activation) == ("cross_entropy", "log_softmax")
    consequence = (
        ", so it is taken twice for nothing" if is_twice else ", so it learns from another number than is meant"
    )
    yield Finding(
        loss.place,
        f"`{loss.name}` {expected}, and is given the {_spelled(activation)}{whose}{consequence}; {advice}",
        confidence=_confidence(loss, is_twice=is_twice),
        witness=None if is_twice or activation == "linear" else _WITNESS[loss.function],
        fix=loss.fix,
        related=tuple(dict.fromkeys(related)),
    )


def _spelled(activation: str) -> str:
    return "result of a linear layer" if activation == "linear" else activation


def _confidence(loss: MismatchedLoss, *, is_twice: bool) -> Confidence:
    if loss.is_measured:
        return Confidence.POSSIBLE
    return Confidence.LIKELY if is_twice else Confidence.CERTAIN
