"""TRN305: backward, or the optimizer's step, inside of autocast."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from pipeline_lint.diagnostic import Confidence, Fix
from pipeline_lint.edits import safe_fix
from pipeline_lint.facts.loops.actions import Action, Actions, Kind
from pipeline_lint.facts.loops.autocasts import Autocasts
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class BackwardInAutocast(Rule):
    """`backward()` is called inside of the autocast block, which is for the forward pass and the loss alone.

    Autograd runs each operation's backward in the dtype that autocast chose for its forward, so nothing is gained. What
    does change are the operations that the backward pass starts anew: custom functions and hooks get half inputs where
    they expect none, `checkpoint` and `create_graph=True` compute gradients with half matrix products, and weights that
    were cast once stay in autocast's cache, so memory is held that could be free. The documentation of torch advises
    against it.

    Bad:
        import torch

        def step(model, optimizer, x, target):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = ((model(x) - target) ** 2).mean()
                loss.backward()
            optimizer.step()
            return loss
    Good:
        import torch

        def step(model, optimizer, x, target):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = ((model(x) - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss
    Exempt: an autocast that is switched off with a literal; a backward in a function that is called from the block.
    Fix: Safe: the statements from the backward to the end of the block move out of it, if none of them computes
        anything else; none where other computation follows.
    Source: https://docs.pytorch.org/docs/stable/amp.html#autocasting: "Backward passes under autocast are not
        recommended."
    """

    code = "TRN305"
    triggers = ("autocast",)

    def check(self, source: Source) -> Iterator[Finding]:
        """Every backward and step in an autocast block of the same function."""
        autocasts = source.fact(Autocasts)
        for action in source.fact(Actions).all:
            if action.kind is not Kind.BACKWARD or action.is_framework:
                continue
            autocast = autocasts.around(action.node)
            if autocast is None or autocast.is_off or not isinstance(autocast.block, cst.With):
                continue
            yield _found(source, action, autocast.block)


def _found(source: Source, action: Action, block: cst.With) -> Finding:
    return Finding(
        at=action.node,
        message="`backward` runs under autocast, which is for the forward pass and the loss; call it behind the block",
        confidence=Confidence.CERTAIN,
        fix=lambda: _fix(source, action, block),
        related=((source.place(block.items[0].item), "the autocast"),),
    )


def _fix(source: Source, action: Action, block: cst.With) -> Fix | None:
    """Moves the end of the block, from the backward on, to the left."""
    statement = source.statement_of(action.node)
    if not isinstance(block.body, cst.IndentedBlock) or statement is None or source.parent(statement) is not block.body:
        return None
    body = list(block.body.body)
    index = next(i for i, each in enumerate(body) if each is statement)
    rest = body[index:]
    if index == 0 or not all(_is_movable(source, each) for each in rest):
        return None
    start, _ = source.span(rest[0])
    _, end = source.span(rest[-1])
    outer, inner = (_indentation(source, source.span(each)[0]) for each in (block, rest[0]))
    first = source.document.line_starts[source.document.row_of(start) - 1]
    lines = source.text[first:end].split("\n")
    if not all(line.startswith(inner) or not line.strip() for line in lines):
        return None
    moved = "\n".join(outer + line[len(inner) :] if line.strip() else line for line in lines)
    return safe_fix("Move it behind the block", source.document.edit(first, end, moved))


def _is_movable(source: Source, statement: cst.CSTNode) -> bool:
    """Whether a statement belongs to the update: an action on gradients, or a number that is noted."""
    if not isinstance(statement, cst.SimpleStatementLine) or '"""' in source.code(statement):
        return False
    nodes = {id(action.node) for action in source.fact(Actions).all}
    for part in statement.body:
        match part:
            case cst.Expr(value=cst.Call() as call) if id(call) in nodes:
                continue
            case cst.AugAssign() | cst.Assign():
                if ".item()" not in source.code(part):
                    return False
            case _:
                return False
    return True


def _indentation(source: Source, offset: int) -> str:
    line = source.document.line(source.document.row_of(offset))
    return line[: len(line) - len(line.lstrip())]
