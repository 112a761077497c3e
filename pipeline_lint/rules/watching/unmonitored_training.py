"""TRN501: a training script whose run leaves nothing to look at."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import unsafe_fix
from pipeline_lint.facts.loops.hand_written import HandWritten, guard_edits, hand_written
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source

_LOGS = re.compile(
    r"SummaryWriter|tensorboard|wandb|mlflow|comet|neptune|clearml|\baim\b|visdom|dvclive|trackio|swanlab|logger\b"
    r"|logging\.|writer\.|to_csv|json\.dump|plt\.",
    re.IGNORECASE,
)


class UnmonitoredTraining(Rule):
    """A training script keeps nothing of its run: what it prints is gone with the terminal.

    A loss that is printed says whether training moves, and no more. Which run was better, when it began to overfit,
    what the learning rate was when the loss jumped, are questions that need the numbers of all steps, of this run and
    of those before, side by side.

    Bad:
        def train(model, optimizer, loader, loss_function):
            for x, target in loader:
                optimizer.zero_grad()
                loss = loss_function(model(x), target)
                loss.backward()
                optimizer.step()
                print(loss.item())
    Good:
        from torch.utils.tensorboard import SummaryWriter

        def train(model, optimizer, loader, loss_function):
            writer = SummaryWriter("runs/1")
            for step, (x, target) in enumerate(loader):
                optimizer.zero_grad()
                loss = loss_function(model(x), target)
                loss.backward()
                optimizer.step()
                writer.add_scalar("loss", loss.item(), step)
    Exempt: files that speak of TensorBoard, W&B, MLflow or another tracker, of a logger or a writer, or that draw or
        save numbers; loops of frameworks; tests. The rule is off by default.
    Fix: Unsafe: the loop is watched by a `runtime_guard.Guard` that keeps the run, its health and its incidents in
        `runs`, to be read by `runtime-guard show runs`. There is none where the model that the optimizer steps cannot
        be told.
    Source: "Efficient PyTorch: Supercharging the Training Pipeline" (E. Khvedchenya, 2020), on dashboards.
    """

    code = "TRN501"
    is_default = False
    triggers = ("backward(",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every training loop of a file that logs to nothing."""
        if not _LOGS.search(source.text):
            yield from (_found(source, loop) for loop in hand_written(source))


def _found(source: Source, loop: HandWritten) -> Finding:
    return Finding(
        at=loop.batches.iter,
        message="nothing is kept of this training but what is printed; log it, or watch it with a "
        "`runtime_guard.Guard` that has a `logdir`",
        confidence=Confidence.LIKELY,
        fix=lambda: _fix(source, loop),
    )


def _fix(source: Source, loop: HandWritten) -> Fix | None:
    edits = guard_edits(source, loop, logdir="runs")
    return unsafe_fix("Keep the run with a `Guard`", *edits) if edits is not None else None
