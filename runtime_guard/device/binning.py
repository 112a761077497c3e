"""Histograms that are counted on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from runtime_guard.reading import Histogram

NUM_BINS = 64
NUM_STATISTICS = 5
"""Minimum, maximum, sum, sum of squares, and number of zeros, all of the finite numbers."""


def binned(values: Tensor) -> Tensor:
    """Counts in bins of equal width, then the statistics: float64, `(NUM_BINS + NUM_STATISTICS,)`. Never waits."""
    flat = values.detach().reshape(-1).float()
    is_finite = flat.isfinite()
    low = flat.masked_fill(~is_finite, math.inf).amin()
    high = flat.masked_fill(~is_finite, -math.inf).amax()
    finite = flat.masked_fill(~is_finite, 0)
    # In float64, so that the distance between the largest floats is finite.
    width = (high.double() - low.double()) / NUM_BINS
    bins = ((finite.double() - low) / width).nan_to_num(0, 0, 0).clamp(0, NUM_BINS - 1).long()
    counts = torch.zeros(NUM_BINS, dtype=torch.float64, device=flat.device)
    counts.scatter_add_(0, bins, is_finite.double())
    doubles = finite.double()
    num_zeros = ((finite == 0) & is_finite).sum()
    statistics = [low.double(), high.double(), doubles.sum(), doubles.square().sum(), num_zeros.double()]
    return torch.cat([counts, torch.stack(statistics)])


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of the finite numbers."""

    minimum: float
    mean: float
    maximum: float
    zeros: float
    """The fraction of numbers that are 0."""


def unbinned(vector: Sequence[float]) -> tuple[Histogram, Statistics] | None:
    """What `binned` counted, on the host; None when none of the numbers were finite."""
    counts = tuple(int(count) for count in vector[:NUM_BINS])
    low, high, total, squares, num_zeros = vector[NUM_BINS:]
    num = sum(counts)
    if num == 0:
        return None
    width = (high - low) / NUM_BINS
    limits = (*(low + width * (index + 1) for index in range(NUM_BINS - 1)), high)
    if not width:
        # A single value: TensorBoard wants limits that rise.
        limits, counts = (high,), (num,)
    histogram = Histogram(low, high, total, squares, limits, counts)
    return histogram, Statistics(low, total / num, high, num_zeros / num)
