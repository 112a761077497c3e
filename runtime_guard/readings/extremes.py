"""Keeps the samples that a model is most wrong and most right about, in memory bounded by their number."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from runtime_guard.device.ticket import Ticket
from runtime_guard.readings.sample_losses import losses_of
from runtime_guard.readings.samples import Samples, Task

Kind: TypeAlias = Literal["worst", "best", "nan"]
Measure: TypeAlias = Callable[[Samples], "Tensor | None"]
"""One number per sample, `(N,)`: the larger, the worse. It must not wait."""

_MAX_ON_THEIR_WAY = 64


@dataclass(frozen=True, slots=True)
class Sample:
    """A copy of one sample; tensors lie where the training left them."""

    task: Task
    loss: float
    index: int | None
    """In the dataset."""
    step: int
    score: Any
    target: Any
    input: Any


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Samples of a batch whose numbers are on their way."""

    ticket: Ticket
    """Losses, indices and positions in the batch, one after the other."""
    has_indices: bool
    samples: Samples
    """What lies on the device has only these samples; what lies on the host has the whole batch's."""
    thinned: tuple[bool, bool, bool]
    """Which of scores, targets and inputs have only these samples."""


class Extremes:
    """The `k` samples with the largest and the smallest numbers, and the first `k` whose number is NaN.

    On a GPU the candidates of a batch are copied there, and chosen among once their numbers have come to the host by
    themselves; nothing waits, but where 64 batches are on their way.
    """

    def __init__(self, k: int, measure: Measure = losses_of) -> None:
        self._k = k
        self._measure = measure
        self._order = itertools.count()
        self._waiting: deque[_Candidates] = deque()
        self._worst: list[tuple[float, int, Sample]] = []
        self._best: list[tuple[float, int, Sample]] = []
        self._nan: list[Sample] = []

    def add(self, samples: Samples) -> None:
        """A batch."""
        losses = self._measure(samples)
        if losses is None or not len(samples):
            return
        if len(losses) != len(samples) or losses.dim() != 1:
            raise ValueError(f"measure gave {tuple(losses.shape)}, expected ({len(samples)},): one number per sample")
        while self._waiting and (self._waiting[0].ticket.has_arrived or len(self._waiting) >= _MAX_ON_THEIR_WAY):
            self._take(self._waiting.popleft())
        if is_far(losses):
            self._waiting.append(self._thinned(samples, losses))
            return
        indices = None if samples.indices is None else samples.indices.tolist()
        self._choose(samples, losses.tolist(), indices, range(len(samples)))

    def taken(self) -> dict[Kind, list[Sample]]:
        """The worst first, the best first. Waits for what is on its way, and begins anew."""
        while self._waiting:
            self._take(self._waiting.popleft())
        worst = [sample for _, _, sample in sorted(self._worst, key=lambda row: row[:2], reverse=True)]
        best = [sample for _, _, sample in sorted(self._best, key=lambda row: row[:2], reverse=True)]
        found: dict[Kind, list[Sample]] = {"worst": worst, "best": best, "nan": self._nan}
        self._worst, self._best, self._nan = [], [], []
        return {kind: samples for kind, samples in found.items() if samples}

    def _thinned(self, samples: Samples, losses: Tensor) -> _Candidates:
        """At most `3 k` samples, of which some may be there several times."""
        num = min(self._k, len(losses))
        is_nan = losses.isnan()
        largest = losses.masked_fill(is_nan, -math.inf).topk(num).indices
        # Those without a label are minus infinity, and not good.
        is_good = ~is_nan & (losses != -math.inf)
        smallest = losses.masked_fill(~is_good, math.inf).topk(num, largest=False).indices
        earliest = torch.arange(0.0, -len(losses), -1, device=losses.device).masked_fill(~is_nan, -math.inf)
        picked = torch.cat([largest, smallest, earliest.topk(num).indices])
        parts = [losses[picked].double(), picked.double()]
        if samples.indices is not None:
            parts.insert(1, samples.indices.to(losses.device, non_blocking=True)[picked].double())

        whole = samples.scores, samples.targets, samples.inputs
        is_here = [isinstance(value, Tensor) and value.device == picked.device for value in whole]
        some = [value[picked] if here else value for value, here in zip(whole, is_here, strict=True)]
        thinned = Samples(samples.phase, samples.epoch, samples.step, samples.task, *some)
        here = (is_here[0], is_here[1], is_here[2])
        return _Candidates(Ticket(torch.cat(parts)), samples.indices is not None, thinned, here)

    def _take(self, candidates: _Candidates) -> None:
        values = candidates.ticket.values()
        num = len(values) // (3 if candidates.has_indices else 2)
        positions = [int(value) for value in values[-num:]]
        indices = [int(value) for value in values[num : 2 * num]] if candidates.has_indices else None
        self._choose(candidates.samples, values[:num], indices, positions, candidates.thinned)

    def _choose(
        self,
        samples: Samples,
        losses: Sequence[float],
        indices: Sequence[int] | None,
        positions: Sequence[int],
        thinned: tuple[bool, bool, bool] = (False, False, False),
    ) -> None:
        """`positions` are those in the batch."""
        copies: dict[int, Sample] = {}
        seen = [number for _, number in sorted({place: number for number, place in enumerate(positions)}.items())]

        def copied(number: int) -> Sample:
            if number not in copies:
                values = samples.scores, samples.targets, samples.inputs
                score, target, shown = (
                    _row(value, number if is_thinned else positions[number])
                    for value, is_thinned in zip(values, thinned, strict=True)
                )
                index = None if indices is None else indices[number]
                copies[number] = Sample(samples.task, losses[number], index, samples.step, score, target, shown)
            return copies[number]

        labelled = [number for number in seen if not math.isnan(losses[number]) and losses[number] != -math.inf]
        for number in heapq.nlargest(self._k, labelled, key=lambda number: losses[number]):
            self._keep(self._worst, losses[number], number, copied)
        for number in heapq.nsmallest(self._k, labelled, key=lambda number: losses[number]):
            self._keep(self._best, -losses[number], number, copied)
        bad = (number for number in seen if math.isnan(losses[number]))
        self._nan.extend(copied(number) for number in itertools.islice(bad, self._k - len(self._nan)))

    def _keep(
        self, heap: list[tuple[float, int, Sample]], rank: float, number: int, copied: Callable[[int], Sample]
    ) -> None:
        # Among equals the first stays.
        if len(heap) < self._k:
            heapq.heappush(heap, (rank, -next(self._order), copied(number)))
        elif rank > heap[0][0]:
            heapq.heapreplace(heap, (rank, -next(self._order), copied(number)))


def is_far(losses: Tensor) -> bool:
    """Whether the host would have to wait for them."""
    return losses.device.type != "cpu"


def _row(value: Any, position: int) -> Any:
    if value is None:
        return None
    return _copied(value[position])


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    return {key: _copied(item) for key, item in value.items()} if isinstance(value, dict) else value


def on_host(value: Any) -> Any:
    """Waits."""
    if isinstance(value, Tensor):
        return value.cpu()
    return {key: on_host(item) for key, item in value.items()} if isinstance(value, dict) else value
