"""TRN408: losses whose gradients reach no step."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Fix, Place
from pipeline_lint.edits import replace, unsafe_fix
from pipeline_lint.facts.loops.lost_gradients import LostLoss
from pipeline_lint.facts.loops.lost_losses import lost_losses
from pipeline_lint.facts.loops.moving import moved_behind
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class UnusedLoss(Rule):
    """A loss is computed and watched and nothing learns from it, or its gradients are lost or used twice.

    The curve of such a loss looks like training, or goes nowhere without a reason in sight:

    - A loss that is logged beside others and in none of the sums that `backward()` is called on.
    - Gradient accumulation whose condition lacks its `== 0`: `if index % 4: optimizer.step()` steps after the batches
      1, 2 and 3 and not after 4, and for `index % 1` never.
    - Gradient accumulation that drops the gradients under the same condition as it steps, but before the last
      `backward()`: of four batches three are lost, and the loss that was divided by four is all that is left.
    - Two steps for one `backward()`, as when a step before `if use_amp:` was left behind: the update is made twice.
    - A second `backward()` of a loss whose graph the first has freed, which raises.

    Bad:
        def train(model, optimizer, loader, loss_function, num_batches):
            for index, (x, target) in enumerate(loader):
                loss = loss_function(model(x), target) / num_batches
                loss.backward()
                if (index + 1) % num_batches:
                    optimizer.step()
                    optimizer.zero_grad()
            return model
    Good:
        def train(model, optimizer, loader, loss_function, num_batches):
            for index, (x, target) in enumerate(loader):
                loss = loss_function(model(x), target) / num_batches
                loss.backward()
                if (index + 1) % num_batches == 0:
                    optimizer.step()
                    optimizer.zero_grad()
            return model
    Exempt: a loss under `no_grad`, of validation data, or that anything but a printer, a logger or a number reads; a
        sum, mean or best value; unknown code between two steps; L-BFGS and closures; `retain_graph=True`.
    Fix: Unsafe: `== 0` is added to the condition, and `zero_grad()` is moved behind the step; none for the others, as
        only you know whether the loss was to be learned from.
    Source: https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-accumulation
    """

    code = "TRN408"
    triggers = ("backward(",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every loss that is lost."""
        for lost in lost_losses(source):
            yield _found(source, lost)


def _found(source: Source, lost: LostLoss) -> Finding:
    related: tuple[tuple[Place, str], ...] = ()
    if lost.related is not None:
        related = ((source.place(lost.related), lost.related_text),)
    return Finding(
        at=lost.node, message=lost.message, confidence=lost.confidence, fix=lambda: _fix(source, lost), related=related
    )


def _fix(source: Source, lost: LostLoss) -> Fix | None:
    if lost.inverted_test is not None:
        code = source.code(lost.inverted_test)
        return unsafe_fix("Compare with 0", replace(source, lost.inverted_test, f"{code} == 0"))
    if lost.late_zero is not None:
        edits = moved_behind(source, *lost.late_zero)
        return unsafe_fix("Drop the gradients behind the step", *edits) if edits is not None else None
    return None
