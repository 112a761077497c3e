"""Looks at losses, gradients and parameters of every update, and at nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from runtime_guard import ranks
from runtime_guard.device.finiteness import Level, level_of, norms, norms_apart, values_of
from runtime_guard.device.ticket import Ticket
from runtime_guard.incidents.incident import StepRecord
from runtime_guard.loops.step import Loss, Window
from runtime_guard.sentinel.early import Cargo
from runtime_guard.sentinel.gate import Gate

_SIMPLE = (Tensor, torch.nn.Parameter)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is not finite among the tensors that were looked at."""

    what: str
    found: tuple[str, ...]
    micro_batch: int


def elsewhere() -> Finding:
    """What a rank says that found nothing itself."""
    return Finding("gradients", ("all is finite on this rank; another rank found what is not",), 0)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at."""

    what: str
    losses: list[Loss]
    tensors: list[Tensor]
    labels: Callable[[], Sequence[str]]
    """Names of the tensors; asked for only when something is wrong."""


@dataclass(slots=True)
class Look:
    """One look at tensors: their norms are on their way."""

    subject: Subject
    ticket: Ticket
    step: int
    flag: Tensor | None
    """For late looks, whose tensors will have changed when the numbers are read: on the device, 1 when something is
    not finite, on any rank, and 0 otherwise."""
    cargo: Cargo = field(default_factory=Cargo)
    """What else travels in the vector."""
    ignores_tensors: bool = False
    has_vote: bool = False
    """Whether what the ranks found together travels in the vector, after the look's own numbers."""
    learning_rates: tuple[float, ...] = ()
    record: list[float] = field(default_factory=list)
    """The look's own numbers."""
    extra: list[float] = field(default_factory=list)
    """The cargo's."""

    def finding(self) -> Finding | None:
        """What is wrong; waits for the numbers. None when all is well."""
        arrived = self.ticket.values()
        own = len(arrived) - self.cargo.size - self.has_vote
        self.record, self.extra = arrived[:own], arrived[own + self.has_vote :]
        found = None if all(map(math.isfinite, self.record)) else self._what_is_bad(self.record)
        return elsewhere() if found is None and self.has_vote and arrived[own] else found

    def _what_is_bad(self, values: list[float]) -> Finding | None:
        num_losses = len(self.subject.losses)
        bad_losses = [
            (loss, level)
            for loss, value in zip(self.subject.losses, values[:num_losses], strict=True)
            if (level := _level(value, loss.value)) is not Level.FINITE
        ]
        if bad_losses:
            words = tuple(f"{loss.name}: {level}" for loss, level in bad_losses)
            return Finding("loss", words, bad_losses[0][0].micro_batch)
        if self.ignores_tensors:
            return None
        words = tuple(self._bad_tensors(values[num_losses:]))
        return (
            Finding(self.subject.what, words, self.subject.losses[-1].micro_batch if self.subject.losses else 0)
            if words
            else None
        )

    def _bad_tensors(self, values: Sequence[float]) -> list[str]:
        names: Sequence[str] | None = None
        found: list[str] = []
        for index, value in enumerate(values):
            if math.isfinite(value):
                continue
            level = _level(value, self.subject.tensors[index] if self.flag is None else None)
            if level is not Level.FINITE:
                names = names or self.subject.labels()
                found.append(f"{names[index]}: {level}")
        return found

    def norm(self) -> float | None:
        """L2 norm over all tensors that are no losses; None when there are none."""
        values = self.record[len(self.subject.losses) :]
        return math.sqrt(sum(value * value for value in values)) if values else None

    def loss(self) -> float | None:
        """The last loss."""
        return self.record[len(self.subject.losses) - 1] if self.subject.losses else None


def _level(value: float, tensor: Tensor | None) -> Level:
    """What a norm says of its tensor. An infinite one may come from squares of finite numbers beyond 1e19."""
    if math.isfinite(value):
        return Level.FINITE
    if tensor is not None:
        return level_of(tensor)
    return Level.NAN if math.isnan(value) else Level.INF


class Sentinel:
    """Makes looks. Never synchronises with a device by itself; whoever asks a `Look` for its finding may."""

    def __init__(self, names: Callable[[], dict[int, tuple[str, ...]]]) -> None:
        self._names = names

    def look_at_gradients(
        self, gate: Gate, losses: list[Loss], window: Window, *, cargo: Cargo, is_scaled: bool, is_late: bool
    ) -> Look:
        """At the losses that were not looked at yet, and at the gradients that the optimizer is about to use.

        With `is_scaled` a GradScaler has the gradients in its hands, and non-finite ones are its own business.
        With `is_late` the finding is asked for after the gradients are gone.
        """
        pairs = [(p, p.grad) for p in gate.parameters if p.grad is not None]
        owners = [p for p, _ in pairs]
        subject = Subject(
            "gradients",
            losses,
            [gradient for _, gradient in pairs if gradient is not None],
            lambda: [f"gradient of {name}" for name in self._names_of(owners)],
        )
        look = _look(subject, window, is_late=is_late, cargo=cargo, ignores_tensors=is_scaled)
        # A learning rate in a tensor stays on its device.
        rates = (group.get("lr") for group in gate.optimizer.param_groups)
        look.learning_rates = tuple(float(rate) for rate in rates if isinstance(rate, (int, float)))
        return look

    def look_at_parameters(self, gate: Gate, window: Window, *, is_late: bool) -> Look | None:
        """At what the update made of the parameters; None for an optimizer without parameters."""
        parameters = gate.parameters
        if not parameters:
            return None
        return _look(Subject("parameters", [], parameters, lambda: self._names_of(parameters)), window, is_late=is_late)

    def look_at_losses(self, losses: list[Loss], window: Window, *, cargo: Cargo, is_late: bool) -> Look:
        """At losses for which no update came."""
        return _look(Subject("loss", losses, [], list), window, is_late=is_late, cargo=cargo)

    def _names_of(self, parameters: Sequence[Tensor]) -> list[str]:
        names = self._names()
        return [" = ".join(names.get(id(p), ("a parameter",))) for p in parameters]


def _look(
    subject: Subject, window: Window, *, is_late: bool, cargo: Cargo | None = None, ignores_tensors: bool = False
) -> Look:
    for loss in subject.losses:
        loss.is_examined = True
    cargo = cargo or Cargo()
    flag: Tensor | None = None
    has_vote = False
    with torch.no_grad():
        parts = [_loss_value(loss.value) for loss in subject.losses]
        plain = [t if type(t) in _SIMPLE and t.layout is torch.strided else _plain(t) for t in subject.tensors]
        numbers = norms_apart(plain, dtype=torch.float64 if is_late else torch.float32) if plain else []
        vector = _stacked(parts, numbers)
        device = vector.device
        if is_late:
            flag = (~vector.isfinite().all()).float()
        if flag is not None and ranks.num_ranks() > 1:
            has_vote = True
            # The ranks agree where they all pass, on the device: when the numbers are read differs from rank to rank.
            vote = ranks.any_rank_later((~vector[: len(parts)].isfinite().all()).float() if ignores_tensors else flag)
            flag = torch.maximum(flag, vote)
            vector = _joined([vector, vote.reshape(1)], device)
        if cargo.vectors:
            vector = _joined([vector, *cargo.vectors], device)
    return Look(subject, Ticket(vector), window.step, flag, cargo, ignores_tensors, has_vote)


def _stacked(losses: list[Tensor], numbers: list[Tensor]) -> Tensor:
    """One vector, on the device of the numbers where there are any."""
    both = [*losses, *numbers]
    if not both:
        return torch.zeros(0)
    last = both[-1]
    if all(part.device == last.device and part.dtype is last.dtype for part in losses):
        return torch.stack(both)
    return _joined([torch.stack(part) for part in (losses, numbers) if part], last.device)


def _joined(vectors: Sequence[Tensor], device: torch.device) -> Tensor:
    return vectors[0] if len(vectors) == 1 else torch.cat([v.to(device, non_blocking=True) for v in vectors])


def record_of(look: Look, scale: float | None) -> StepRecord:
    """What is kept of a look at gradients in the history."""
    return StepRecord(look.step, look.loss(), look.norm(), None, look.learning_rates, scale)


def _loss_value(loss: Tensor) -> Tensor:
    if loss.numel() == 1:
        value = loss if loss.dim() == 0 else loss.reshape(())
        return value.detach() if value.dtype is torch.float32 else value.detach().float()
    return norms([values])[0].float() if (values := values_of(loss)) is not None else torch.zeros(())


def _plain(tensor: Tensor) -> Tensor:
    values = values_of(tensor)
    return torch.zeros((), device=tensor.device) if values is None else values
