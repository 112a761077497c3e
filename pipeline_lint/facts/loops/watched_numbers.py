"""What a training loop shows of itself: the losses that it computes, and the numbers that are logged or printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.facts.code.events import called_name
from pipeline_lint.facts.code.flow import Flow
from pipeline_lint.facts.code.names import Names
from pipeline_lint.facts.loops.actions import Actions, Kind
from pipeline_lint.facts.loops.hand_written import HandWritten, Shown
from pipeline_lint.facts.loops.roles import Roles, path_of
from pipeline_lint.source import Source

_LOGGING = re.compile(r"^(add_scalars?|log|log_metrics?|log_dict|print|info|set_postfix|set_description|write|debug)$")
_LOSS = re.compile(r"loss|err", re.IGNORECASE)
_ACCURACY = re.compile(r"(?<![a-z])acc(?!el|ess|um)|correct|top_?[15k]|prec@", re.IGNORECASE)
_TASKS = (
    ("classification", re.compile(r"(CrossEntropyLoss|cross_entropy|NLLLoss|nll_loss)$")),
    ("detection", re.compile(r"(BCEWithLogitsLoss|BCELoss|binary_cross_entropy(_with_logits)?)$")),
    ("regression", re.compile(r"(MSELoss|mse_loss|L1Loss|l1_loss|SmoothL1Loss|smooth_l1_loss|HuberLoss)$")),
)
_ON_LOGITS = re.compile(r"(CrossEntropyLoss|cross_entropy|BCEWithLogitsLoss|binary_cross_entropy_with_logits)$")


@dataclass(frozen=True, slots=True, eq=False)
class WatchedNumbers:
    """What is seen of a loop."""

    kinds: tuple[str, ...]
    """`loss`, `accuracy`."""
    task: str
    """`classification`, `detection` (yes or no), `regression`; empty where the loss does not say it."""
    shown: Shown | None
    """The batch whose loss is computed, where its logits and targets have names."""


def watched_numbers(source: Source, loop: HandWritten) -> WatchedNumbers:
    """The losses of a loop, and which of them and of accuracies the file logs or prints."""
    calls = [call for call in source.nodes(cst.Call) if _LOGGING.match(called_name(call))]
    texts = [source.code(call) for call in calls]
    kinds = [
        kind for kind, word in (("loss", _LOSS), ("accuracy", _ACCURACY)) if any(word.search(text) for text in texts)
    ]
    losses = list(_losses(source, loop))
    task = next((name for name, word in _TASKS for _, path in losses if word.search(path)), "")
    shown = [_shown(source, call) for call, path in losses if _ON_LOGITS.search(path)]
    return WatchedNumbers(tuple(kinds), task, shown[0] if len(losses) == 1 and shown else None)


def _losses(source: Source, loop: HandWritten) -> Iterator[tuple[cst.Call, str]]:
    """The calls that compute what the loop's own backwards begin with, and the paths of what is called."""
    for action in source.fact(Actions).all:
        if (
            action.kind is not Kind.BACKWARD
            or action.value is None
            or loop.batches not in source.ancestors(action.node)
        ):
            continue
        value: cst.BaseExpression | None = action.value
        if isinstance(value, cst.Name):
            value = source.fact(Flow).value_of(value)
        for call in _calls_in(value):
            yield call, _path(source, call)


def _calls_in(node: cst.BaseExpression | None) -> Iterator[cst.Call]:
    """The calls of a sum of losses, behind factors."""
    match node:
        case cst.Call():
            yield node
        case cst.BinaryOperation(left=left, right=right):
            yield from _calls_in(left)
            yield from _calls_in(right)


def _path(source: Source, call: cst.Call) -> str:
    """What is called: a function of torch, or the class that made the object."""
    names = source.fact(Names)
    resolved = names.resolve(call.func)
    if resolved is not None:
        return resolved
    path = path_of(source, call.func)
    return source.fact(Roles).part(path, call).class_path if path else ""


def _shown(source: Source, loss: cst.Call) -> Shown | None:
    statement = source.statement_of(loss)
    match loss.args[:2], statement:
        case (
            [cst.Arg(value=cst.Name(value=scores), keyword=None), cst.Arg(value=cst.Name(value=targets), keyword=None)],
            cst.SimpleStatementLine(),
        ) if isinstance(source.parent(statement), cst.IndentedBlock):
            return Shown(statement, scores, targets)
    return None
