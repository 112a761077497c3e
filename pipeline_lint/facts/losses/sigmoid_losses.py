"""Binary cross entropies of predictions that end in a sigmoid, and how to give them the logits."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline_lint.diagnostic import Fix, Place
from pipeline_lint.edits import safe_fix, unsafe_fix
from pipeline_lint.facts.code.inlining import activation_place
from pipeline_lint.facts.code.origins import LARGEST_EPSILON, Origin, Origins
from pipeline_lint.facts.gradient_uses import GradientUses
from pipeline_lint.facts.losses.loss_calls import LossCall, loss_calls
from pipeline_lint.facts.losses.losses_on_logits import TracedLoss, has_other_use, on_logits
from pipeline_lint.facts.losses.probabilities import Probabilities, Sources
from pipeline_lint.source import Source, UnknownPosition

WORDS = ("BCELoss", "binary_cross_entropy")
"""One of these is in every file with such a loss."""

_FUNCTION = "torch.nn.functional.binary_cross_entropy"
_MODULE = "torch.nn.BCELoss"


@dataclass(frozen=True, slots=True)
class SigmoidLoss:
    """A binary cross entropy whose prediction ends in a sigmoid, or may do so."""

    place: Place
    name: str
    """`binary_cross_entropy` or `BCELoss`."""
    sources: Sources = ()
    """Where the prediction comes from, if not from a sigmoid in the same function."""
    is_guarded: bool = False
    """Whether a clamp or an epsilon stands between the two."""
    is_measured: bool = False
    """Whether nobody differentiates it, so that it is a number to read."""
    fix: Fix | None = None
    related: tuple[tuple[Place, str], ...] = ()


def summarize_sigmoid_losses(source: Source) -> tuple[SigmoidLoss, ...]:
    """The losses of a file whose predictions end in a sigmoid, or in what only the project knows."""
    if not any(word in source.text for word in WORDS):
        return ()
    losses = list(loss_calls(source, function=_FUNCTION, module=_MODULE))
    origins = source.fact(Origins)
    traced = [
        TracedLoss(loss, origin)
        for loss in losses
        if (origin := origins.origin(loss.prediction)) is not None and _is_sigmoid(origin)
    ]
    direct = {id(each.loss): each for each in traced}
    found: list[SigmoidLoss] = []
    for loss in losses:
        if id(loss) in direct:
            found.append(_in_one_function(source, direct[id(loss)], traced))
            continue
        sources = source.fact(Probabilities).sources(loss.prediction)
        if sources:
            is_guarded = origins.trace(loss.prediction).has_epsilon
            is_measured = _is_measured(source, loss)
            found.append(SigmoidLoss(source.place(loss.call), _name(loss), sources, is_guarded, is_measured))
    return tuple(found)


def _is_measured(source: Source, loss: LossCall) -> bool:
    uses = source.fact(GradientUses)
    return uses.is_off(loss.call) or uses.are_lost(loss.call)


def _is_sigmoid(origin: Origin) -> bool:
    is_whole = origin.scale == 1.0 and 0 <= origin.offset <= LARGEST_EPSILON
    return is_whole and origin.activation.name == "sigmoid"


def _in_one_function(source: Source, traced: TracedLoss, others: list[TracedLoss]) -> SigmoidLoss:
    origin = traced.origin
    is_guarded = origin.has_epsilon or origin.offset > 0
    return SigmoidLoss(
        source.place(traced.loss.call),
        _name(traced.loss),
        is_guarded=is_guarded,
        is_measured=_is_measured(source, traced.loss),
        fix=_fix(source, traced, others, is_guarded=is_guarded),
        related=activation_place(source, origin),
    )


def _fix(source: Source, traced: TracedLoss, others: list[TracedLoss], *, is_guarded: bool) -> Fix | None:
    try:
        edits = on_logits(
            source, traced, others, function=f"{_FUNCTION}_with_logits", module="torch.nn.BCEWithLogitsLoss"
        )
    except UnknownPosition:
        return None
    if edits is None:
        return None
    is_safe = not is_guarded and not has_other_use(source, traced, others)
    return (safe_fix if is_safe else unsafe_fix)("Give the logits to the loss", *edits)


def _name(loss: LossCall) -> str:
    return (_MODULE if loss.is_module else _FUNCTION).rpartition(".")[2]
