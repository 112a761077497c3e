"""Losses whose prediction ends in an activation that they do not expect: a softmax before a cross entropy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import libcst as cst

from pipeline_lint.diagnostic import Fix, Place
from pipeline_lint.edits import unsafe_fix
from pipeline_lint.facts.code.inlining import activation_place
from pipeline_lint.facts.code.origins import Origins
from pipeline_lint.facts.gradient_uses import GradientUses
from pipeline_lint.facts.losses.loss_calls import loss_calls
from pipeline_lint.facts.losses.losses_on_logits import TracedLoss, on_logits, prediction_edits
from pipeline_lint.facts.losses.probabilities import Probabilities, Sources
from pipeline_lint.facts.trained_code import is_test_code
from pipeline_lint.source import Source, UnknownPosition

WORDS = ("cross_entropy", "CrossEntropyLoss", "BCEWithLogitsLoss", "nll_loss", "NLLLoss", "kl_div", "KLDivLoss")
"""One of these is in every file with such a loss."""


@dataclass(frozen=True, slots=True)
class _Loss:
    """A loss of torch, with the activations that it must not be given the results of."""

    function: str
    module: str
    unexpected: frozenset[str]


_LOSSES = (
    _Loss("cross_entropy", "CrossEntropyLoss", frozenset({"softmax", "log_softmax", "sigmoid"})),
    _Loss("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", frozenset({"softmax", "sigmoid"})),
    _Loss("nll_loss", "NLLLoss", frozenset({"softmax", "sigmoid", "linear"})),
    _Loss("kl_div", "KLDivLoss", frozenset({"softmax", "sigmoid", "linear"})),
)


@dataclass(frozen=True, slots=True)
class MismatchedLoss:
    """A loss whose prediction ends in an activation that it does not expect, or may do so."""

    place: Place
    name: str
    """As it is called: `cross_entropy`, `CrossEntropyLoss`."""
    function: str
    """The function that computes the same."""
    activation: str = ""
    """Of the same function; empty where `sources` say where the prediction comes from."""
    sources: Sources = ()
    is_measured: bool = False
    """Whether nobody differentiates it, so that it is a number to read."""
    fix: Fix | None = None
    related: tuple[tuple[Place, str], ...] = ()


def is_unexpected(function: str, activation: str) -> bool:
    """Whether a loss must not be given what an activation gives."""
    return any(loss.function == function and activation in loss.unexpected for loss in _LOSSES)


def summarize_mismatched_losses(source: Source) -> tuple[MismatchedLoss, ...]:
    """The losses of a file whose predictions end in a wrong activation, or in what only the project knows."""
    if is_test_code(source):
        return ()
    return tuple(found for loss in _LOSSES if _is_mentioned(source, loss) for found in _mismatched(source, loss))


def _is_mentioned(source: Source, loss: _Loss) -> bool:
    return loss.function in source.text or loss.module in source.text


def _mismatched(source: Source, loss: _Loss) -> Iterator[MismatchedLoss]:
    function, module = f"torch.nn.functional.{loss.function}", f"torch.nn.{loss.module}"
    calls = list(loss_calls(source, function=function, module=module))
    origins, uses = source.fact(Origins), source.fact(GradientUses)
    traced = [TracedLoss(call, origin) for call in calls if (origin := origins.origin(call.prediction)) is not None]
    by_call = {id(each.loss): each for each in traced}
    wrong = [each for each in traced if each.origin.activation.name in loss.unexpected]
    for call in calls:
        name = loss.module if call.is_module else loss.function
        is_measured = uses.is_off(call.call) or uses.are_lost(call.call)
        direct = by_call.get(id(call))
        if direct is None:
            sources = source.fact(Probabilities).sources(call.prediction)
            if sources:
                place = source.place(call.call)
                yield MismatchedLoss(place, name, loss.function, sources=sources, is_measured=is_measured)
        elif any(direct is each for each in wrong) and (direct.origin.scale, direct.origin.offset) == (1.0, 0.0):
            yield MismatchedLoss(
                source.place(call.call),
                name,
                loss.function,
                direct.origin.activation.name,
                is_measured=is_measured,
                fix=_fix(source, direct, wrong, loss),
                related=activation_place(source, direct.origin),
            )


def _fix(source: Source, traced: TracedLoss, others: Sequence[TracedLoss], loss: _Loss) -> Fix | None:
    try:
        match loss.function:
            case "cross_entropy" | "binary_cross_entropy_with_logits":
                edits = prediction_edits(source, traced)
                message = f"Give `{loss.function}` the logits"
            case "nll_loss" if traced.origin.activation.name == "softmax" and _is_over_classes(traced):
                edits = on_logits(
                    source,
                    traced,
                    [each for each in others if each.origin.activation.name == "softmax"],
                    function="torch.nn.functional.cross_entropy",
                    module="torch.nn.CrossEntropyLoss",
                )
                message = "Compute the cross entropy of the logits"
            case _:
                return None
    except UnknownPosition:
        return None
    return unsafe_fix(message, *edits) if edits else None


def _is_over_classes(traced: TracedLoss) -> bool:
    """Whether a softmax is over the dimension that a cross entropy takes it over, as far as a number says so."""
    activation = traced.origin.activation
    call = activation.constructor or activation.call
    dims = [
        argument.value for argument in call.args if argument.keyword is not None and argument.keyword.value == "dim"
    ]
    dims += [argument.value for argument in call.args if argument.value is not activation.operand]
    match dims[0] if dims else None:
        case cst.Integer(value="1"):
            return True
        case cst.UnaryOperation(operator=cst.Minus(), expression=cst.Integer(value="1")):
            return True
    return False
