"""TRN401: gradients of earlier steps that nothing drops."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Edit, Fix, Place
from pipeline_lint.edits import insert_after, insert_before, safe_fix, unsafe_fix
from pipeline_lint.facts.loops.zeroing import MissingInClosure, MissingZero, missing_in_closures, missing_zeros
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class MissingZeroGrad(Rule):
    """An optimizer steps in a loop in which nothing drops its gradients, so each step adds all gradients before it.

    `backward()` adds to `.grad`. Without `zero_grad()` the tenth step goes in the direction of the sum of ten
    gradients, nine of them of weights that are gone. For the loss w * w from w = 1.0 with SGD and a learning rate
    of 0.1, ten steps lead to 0.107 with `zero_grad()`; without it w passes 0 in the third step, is at -1.003 after the
    sixth, and swings for ever. Adam hides it well, because it divides by the size of what it is given: the loss goes
    down, only worse.

    The `zero_grad()` must reach the parameters of the optimizer that steps: with two optimizers that of the other does
    not do, nor does one that stands in an outer loop. `torch.optim.LBFGS` evaluates its closure up to 20 times in one
    step, so there it belongs inside the closure.

    Bad:
        def train(model, optimizer, batches, loss_function):
            losses = []
            for x, target in batches:
                loss = loss_function(model(x), target)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            return losses
    Good:
        def train(model, optimizer, batches, loss_function):
            losses = []
            for x, target in batches:
                loss = loss_function(model(x), target)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            return losses
    Exempt: gradients that are dropped in another way: the model's own `zero_grad`, `p.grad = None`,
        `p.grad.zero_()`, a function that is handed the optimizer; an optimizer that is built in the loop; accumulation
        over several batches, where step and `zero_grad` stand under the same condition; a wrapper that a class of the
        file is; a step function that no loop of the file calls; backward through Accelerate, Fabric or DeepSpeed.
    Fix: Safe, unsafe where the optimizer comes from elsewhere and may be a wrapper: `zero_grad()` is inserted before
        the first backward of the step, behind the step where that stands under a condition of its own (accumulation),
        and at the beginning of a closure. The numbers change: that is the repair.
    Source: https://docs.pytorch.org/tutorials/recipes/recipes/zeroing_out_gradients.html;
        https://docs.pytorch.org/docs/stable/optim.html#optimizer-step-closure; the figures were measured with torch
        2.13 on CPU.
    """

    code = "TRN401"
    triggers = ("backward(",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Steps in loops, and closures of L-BFGS, whose gradients nothing drops."""
        for missing in missing_zeros(source):
            yield _found(source, missing)
        for closure in missing_in_closures(source):
            yield _found_closure(source, closure)


def _found(source: Source, missing: MissingZero) -> Finding:
    optimizer = missing.step.action.path
    if missing.is_outside:
        problem = f"`{optimizer}` steps in a loop, and its gradients are only dropped outside of it"
    elif missing.elsewhere is not None:
        problem = f"`{optimizer}` steps, and only the gradients of `{missing.elsewhere.path}` are dropped"
    else:
        problem = f"`{optimizer}` steps in a loop that never drops its gradients"
    related: tuple[tuple[Place, str], ...] = ()
    if missing.elsewhere is not None:
        related = ((source.place(missing.elsewhere.node), "the gradients that are dropped"),)
    return Finding(
        at=missing.step.action.node,
        message=f"{problem}, so every step adds those of all steps before; call `{optimizer}.zero_grad()` before the "
        "backward of each step",
        confidence=missing.confidence,
        fix=lambda: _fix(source, missing),
        related=related,
    )


def _fix(source: Source, missing: MissingZero) -> Fix | None:
    step = missing.step.action
    code = f"{step.path}.zero_grad()"
    behind = missing.first_backward is None
    statement = source.statement_of(missing.first_backward or step.node)
    if not isinstance(statement, cst.SimpleStatementLine) or not isinstance(
        source.parent(statement), cst.IndentedBlock
    ):
        return None
    edit = insert_after(source, statement, code) if behind else insert_before(source, statement, code)
    make = safe_fix if missing.confidence is Confidence.CERTAIN else unsafe_fix
    return make(f"Drop the gradients with `{code}`", edit)


def _found_closure(source: Source, missing: MissingInClosure) -> Finding:
    optimizer = missing.step.path
    return Finding(
        at=missing.backward.node,
        message=f"L-BFGS evaluates `{missing.closure.name.value}` up to 20 times in a step, and each backward adds to "
        f"the gradients of the last; begin it with `{optimizer}.zero_grad()`",
        fix=lambda: safe_fix(f"Begin with `{optimizer}.zero_grad()`", _at_start(source, missing)),
        related=((source.place(missing.step.node), "the step"),),
    )


def _at_start(source: Source, missing: MissingInClosure) -> Edit:
    body = missing.closure.body.body
    first = body[1] if len(body) > 1 and _is_docstring(body[0]) else body[0]
    return insert_before(source, first, f"{missing.step.path}.zero_grad()")


def _is_docstring(statement: cst.CSTNode) -> bool:
    match statement:
        case cst.SimpleStatementLine(body=[cst.Expr(value=cst.SimpleString() | cst.ConcatenatedString()), *_]):
            return True
    return False
