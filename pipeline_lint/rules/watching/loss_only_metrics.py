"""TRN502: a training that is watched by its loss, perhaps its accuracy, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import unsafe_fix
from pipeline_lint.facts.loops.hand_written import HandWritten, guard_edits, hand_written
from pipeline_lint.facts.loops.watched_numbers import WatchedNumbers, watched_numbers
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_MORE = re.compile(
    r"confusion|\broc|auc\b|roc_|precision|recall|\bf1|f1_|f_score|fbeta|\bap\b|\bmap\b|hist(ogram)?\b|add_image"
    r"|add_figure|make_grid|save_image|\.watch\(|grad_?norm|norm\(2\)|iou|dice|psnr|ssim|\bfid\b|bleu|rouge|perplexity"
    r"|mae\b|rmse|r2_score|torchmetrics|sklearn\.metrics|\.metrics|evaluator|plt\.|imshow|reward|returns|spearman"
    r"|pearson|matplotlib|\bwer\b|\bcer\b",
    re.IGNORECASE,
)
_WANTED = {
    "classification": "the confusion matrix, precision and recall of each class",
    "detection": "the precision-recall curve, the area under it, the distribution of the predictions",
    "regression": "the distribution of the errors",
    "": "metrics of the task",
}
_ALWAYS = "the gradients of each layer and the best and worst batches"


class LossOnlyMetrics(Rule):
    """A training is watched by its loss, perhaps its accuracy, and nothing else.

    A mean hides what it is made of: a class that is never predicted, labels that are wrong, a layer whose gradients
    have vanished, a model that says the same of every input. An accuracy of 95 % is what a model that has learned
    nothing reaches where 95 % of the samples are of one class. What shows it is the confusion matrix, precision and
    recall by class, the distribution of the predictions, the gradients of each layer, and the batches with the largest
    and the smallest loss, looked at.

    Bad:
        import torch
        import torch.nn.functional as F

        def train(model, optimizer, loader, writer):
            for step, (x, target) in enumerate(loader):
                optimizer.zero_grad()
                logits = model(x)
                loss = F.cross_entropy(logits, target)
                loss.backward()
                optimizer.step()
                writer.add_scalar("loss", loss.item(), step)
    Good:
        import torch
        import torch.nn.functional as F
        from runtime_guard import Guard

        def train(model, optimizer, loader):
            guard = Guard(model, optimizer, logdir="runs")
            for x, target in guard.watch(loader):
                optimizer.zero_grad()
                logits = model(x)
                loss = F.cross_entropy(logits, target)
                guard.samples(logits, target)
                loss.backward()
                optimizer.step()
            guard.close()
    Exempt: files that speak of another metric, of histograms, gradient norms or pictures anywhere; loops that show
        nothing, which unmonitored-training is for; loops of frameworks; tests. The rule is off by default.
    Fix: Unsafe: the loop is watched by a `runtime_guard.Guard`, which is shown the logits and targets of each batch
        where both have a name. There is none where the model that the optimizer steps cannot be told.
    Source: "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), on metrics beside the loss
        and on the best and worst batches.
    """

    code = "TRN502"
    is_default = False
    triggers = ("backward(",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every training loop of a file that shows losses and accuracies alone."""
        if _MORE.search(source.text):
            return
        for loop in hand_written(source):
            watched = watched_numbers(source, loop)
            if watched.kinds:
                yield _found(source, loop, watched)


def _found(source: Source, loop: HandWritten, watched: WatchedNumbers) -> Finding:
    return Finding(
        at=loop.batches.iter,
        message=f"this training is watched by its {' and '.join(watched.kinds)} alone; look at "
        f"{_WANTED[watched.task]}, {_ALWAYS} as well",
        confidence=Confidence.LIKELY,
        fix=lambda: _fix(source, loop, watched),
    )


def _fix(source: Source, loop: HandWritten, watched: WatchedNumbers) -> Fix | None:
    edits = guard_edits(source, loop, logdir="runs", shown=watched.shown)
    return unsafe_fix("Show the run with a `Guard`", *edits) if edits is not None else None
