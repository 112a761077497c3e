"""How predictions spread, beside what is true."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from runtime_guard.monitor import Epoch, Monitor, Run
from runtime_guard.reading import Derived, Histogram, Reading, Value
from runtime_guard.readings.class_counts import Shape, shape_of
from runtime_guard.readings.samples import Phase, Samples

_MAX_CLASSES = 20
_PROBABILITIES = tuple(k / 20 for k in range(21))
_NUMBERS = tuple(math.sinh(k / 5) for k in range(-60, 61))
"""Ends of bins, fine around 0 and coarse far from it, up to about 81,000."""
_NUM_SUMS = 2


class Distribution(Monitor):
    """How scores and predictions spread, of what `Guard.samples` was shown since the last epoch ended.

    A class whose own probability stays near 0 is not learned, one of which it heaps up at both ends has two kinds of
    samples, or wrong labels. Yes and no that overlap cannot be told apart. Scores that grow from epoch to epoch are a
    model that becomes too sure of itself; predictions narrower than the targets are a regression that gives averages.

    Writes:
        `distribution/scores/*`: histogram of all scores, in `train` and `validation`; pixels and boxes are left out.
        `distribution/targets/*`: histogram of the targets of a regression, whose scores are its predictions.
        `distribution/probability/*`: histograms of the probability that samples of a class have for that class, by
            class, of up to 20; of yes, or of each label, by whether it is true (`no` and `yes`).

    Counts are summed over the ranks. What is not finite is in no histogram.

    When: each epoch.
    Cost: a pass over the scores of each batch that is shown.
    """

    def __init__(self) -> None:
        self._counts: dict[Phase, dict[str, _Bins]] = {}
        self._names: Sequence[str] = ()

    def start(self, run: Run) -> None:
        """Learns the names of the classes."""
        self._names = run.class_names

    def observe(self, samples: Samples) -> None:
        """Counts."""
        scores, targets = samples.scores, samples.targets
        if not isinstance(scores, Tensor) or samples.task == "segmentation" or not scores.is_floating_point():
            return
        counts = self._counts.setdefault(samples.phase, {})
        shape = shape_of(samples)
        _add(counts, "scores", _NUMBERS, scores)
        if shape is None:
            if isinstance(targets, Tensor) and targets.is_floating_point() and targets.numel() == scores.numel():
                _add(counts, "targets", _NUMBERS, targets)
        elif shape.num_classes <= _MAX_CLASSES:
            self._add_probabilities(counts, shape, samples)

    def _add_probabilities(self, counts: dict[str, _Bins], shape: Shape, samples: Samples) -> None:
        targets = samples.targets
        if shape.task == "classification":
            probabilities = samples.scores.float().softmax(1)
            for number in range(shape.num_classes):
                _add(
                    counts,
                    f"probability/{self._name(number)}",
                    _PROBABILITIES,
                    probabilities[:, number],
                    targets == number,
                )
            return
        probabilities = samples.scores.float().sigmoid().reshape(len(samples), -1)
        targets = targets.reshape(probabilities.shape)
        for number in range(shape.num_classes):
            label = "" if shape.task == "binary" else f"{self._name(number)}/"
            for word, value in (("no", 0), ("yes", 1)):
                is_true = targets[:, number] == value
                _add(counts, f"probability/{label}{word}", _PROBABILITIES, probabilities[:, number], is_true)

    def end_epoch(self, epoch: Epoch) -> Iterator[Reading]:
        """All histograms, from counts that begin anew."""
        found, self._counts = self._counts, {}
        for phase, counts in found.items():
            for key, bins in counts.items():
                name = f"distribution/{key}/{phase}"
                yield Reading(name, Derived(bins.vector, functools.partial(_build, name, bins.ends)), "sum")

    def _name(self, number: int) -> str:
        return str(self._names[number]) if number < len(self._names) else str(number)


@dataclass(slots=True)
class _Bins:
    ends: tuple[float, ...]
    on_device: Tensor
    """The same, float64."""
    vector: Tensor
    """Counts in the bins and beyond both ends, float64, then the sum and the sum of squares of what was counted."""


def _add(
    counts: dict[str, _Bins], key: str, ends: tuple[float, ...], values: Tensor, mask: Tensor | None = None
) -> None:
    """Never waits."""
    values = values.detach().reshape(-1).double()
    bins = counts.get(key)
    if bins is None:
        on_device = torch.tensor(ends, dtype=torch.float64).to(values.device, non_blocking=True)
        bins = counts[key] = _Bins(ends, on_device, values.new_zeros(len(ends) + 1 + _NUM_SUMS))
    weight = values.isfinite()
    if mask is not None:
        weight = weight & mask.reshape(-1)
    values, weight = values.masked_fill(~weight, 0), weight.double()
    # The largest probability belongs into the last bin, and not beyond it.
    places = torch.bucketize(values, bins.on_device).clamp(min=0)
    bins.vector[:-_NUM_SUMS].scatter_add_(0, places, weight)
    bins.vector[-_NUM_SUMS:] += torch.stack([values.sum(), values.square().sum()])


def _build(key: str, ends: Sequence[float], vector: Sequence[float]) -> Mapping[str, Value]:
    counts = [int(count) for count in vector[:-_NUM_SUMS]]
    total, squares = vector[-_NUM_SUMS:]
    limits = [*ends, 2 * ends[-1]]
    there = [place for place, count in enumerate(counts) if count]
    if not there:
        return {}
    first, last = there[0], there[-1]
    minimum = limits[first - 1] if first else limits[0] - (limits[1] - limits[0])
    part = slice(first, last + 1)
    return {key: Histogram(minimum, limits[last], total, squares, tuple(limits[part]), tuple(counts[part]))}
