"""TRN203: a binary cross entropy of what a sigmoid gave, instead of the logits."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence
from pipeline_lint.facts.losses.probabilities import sigmoids_of, summarize_probabilities
from pipeline_lint.facts.losses.sigmoid_losses import WORDS, SigmoidLoss, summarize_sigmoid_losses
from pipeline_lint.facts.modules import summarize_classes
from pipeline_lint.facts.project import Project
from pipeline_lint.rule import Finding, ProjectRule

_REMEDIES = {"BCELoss": "nn.BCEWithLogitsLoss", "binary_cross_entropy": "F.binary_cross_entropy_with_logits"}
_WITNESS = (
    "sigmoid(17.0) is exactly 1.0 in float32, so for the target 0 the loss is 100 instead of 17, and its gradient 0 "
    "instead of 1; in float16 the gradient is NaN from 8.5 on"
)


class BceOnProbabilities(ProjectRule):
    """A binary cross entropy of probabilities has no gradient for the predictions that are most wrong.

    `F.binary_cross_entropy` and `nn.BCELoss` take log(p) and log(1 - p) of what a sigmoid gave. Where the sigmoid has
    rounded to 0 or 1 these are -inf, and torch puts -100 in their place. So nothing is NaN in float32 and bfloat16, but
    the loss is wrong and its gradient gone: sigmoid(17.0) is exactly 1.0 in float32, so for the target 0 the loss is
    100 instead of 17, and its gradient 0 instead of 1. An example that the model gets most wrong is one that it cannot
    learn from. In bfloat16 this begins at 6.25. At the other end, for the target 1, the gradient fades from -27 on and
    is 0 from -104 on. In float16 the gradient is NaN from 8.5 on and from -17.5 on, and under CUDA autocast torch
    refuses: it raises "binary_cross_entropy and BCELoss are unsafe to autocast".

    `F.binary_cross_entropy_with_logits` and `nn.BCEWithLogitsLoss` take the logits and are exact for all of them, with
    the gradient sigmoid(x) - target, in every dtype and under autocast. Take the sigmoid only where a probability is
    wanted: for a metric, a threshold, a picture.

    The sigmoid is found in the same function, however far apart the two are; in what a function or method of the file
    returns; at the end of an `nn.Sequential`; and in the `forward` of a model that is trained elsewhere, in another
    function or file, also as one of several results. The loss is found as a function and as a module in a name, an
    attribute or a closure, and in a function of the same file that is handed the prediction.

    Bad:
        import torch
        import torch.nn.functional as F

        def loss(logits, target):
            p = torch.sigmoid(logits)
            return F.binary_cross_entropy(p, target)
    Good:
        import torch.nn.functional as F

        def loss(logits, target):
            return F.binary_cross_entropy_with_logits(logits, target)
    Exempt: a prediction that is not proven to be a sigmoid: an argument of which no call in the same file is known, a
        layer that depends on a setting, a model in a list; a mean, sum or product of sigmoids, which has no logits; a
        module whose class cannot be found. With a clamp or an epsilon between the two the loss still has no gradient
        beyond it: a likely defect.
    Fix: Safe, unsafe where the probability has another use or passes a clamp: the same loss of the logits. The
        definition of the probability goes when nothing else reads it; where something does, logits and probability are
        both kept. A module that is called for such losses only is built as `nn.BCEWithLogitsLoss`, and all its calls
        change together. The loss is the same wherever torch did not bound it. There is none where the sigmoid is taken
        in another function, module or file: what is returned there would change for everybody who asks the model for a
        probability, so move the sigmoid to those places by hand.
    Source: https://docs.pytorch.org/docs/stable/amp.html#prefer-binary-cross-entropy-with-logits-over-binary-cross-entropy;
        "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), on careless sigmoids; the
        figures were measured with torch 2.13 on CPU.
    """

    code = "TRN203"
    triggers = WORDS
    summaries = (summarize_classes, summarize_probabilities, summarize_sigmoid_losses)

    def check_project(self, project: Project) -> Iterator[Finding]:
        """Every binary cross entropy of a prediction that is a sigmoid wherever it comes from."""
        for path in project.paths:
            for loss in project.summary(summarize_sigmoid_losses, path) or ():
                yield from _findings(project, loss, path)


def _findings(project: Project, loss: SigmoidLoss, path: str) -> Iterator[Finding]:
    related = list(loss.related)
    whose = " taken elsewhere" if loss.sources else ""
    for source in loss.sources:
        places = sigmoids_of(project, source, path)
        if not places:
            return
        related += [(place, "the sigmoid is taken here") for place in places]
        if source.owner:
            name = source.method if source.method != "forward" else source.owner.rpartition(".")[2].lstrip(":")
            whose = f" that `{name}` ends with"
    if loss.is_guarded:
        problem = "has no gradient where the clamp holds"
    else:
        problem = "has no gradient once the sigmoid rounds to 0 or 1, a NaN one in float16,"
    advice = "return the logits from there, and use" if loss.sources else "give it the logits, with"
    yield Finding(
        loss.place,
        f"`{loss.name}` of {'the' if whose else 'a'} {'clamped ' if loss.is_guarded else ''}sigmoid{whose} {problem} "
        f"and raises under CUDA autocast; {advice} `{_REMEDIES[loss.name]}`",
        confidence=_confidence(loss),
        witness=None if loss.is_guarded else _WITNESS,
        fix=loss.fix,
        related=tuple(dict.fromkeys(related)),
    )


def _confidence(loss: SigmoidLoss) -> Confidence:
    if loss.is_measured:
        return Confidence.POSSIBLE
    return Confidence.LIKELY if loss.is_guarded else Confidence.CERTAIN
