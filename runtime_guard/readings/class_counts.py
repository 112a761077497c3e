"""Counts of what was predicted and what was true, added up on the device, in memory that does not grow."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from runtime_guard.readings.samples import Samples, Task

MAX_CLASSES = 100
"""With more there is no confusion matrix and there are no curves: too large, and nobody could read them."""
NUM_STEPS = 100
"""Equal steps of probability, whose ends are ends of bins, too."""
NUM_CALIBRATION_BINS = 15


def _edges() -> list[float]:
    """Where bins of log-odds begin: fine steps between probabilities of 1 % and 99 %, coarser ones beyond them."""
    steps = [math.log(k / (NUM_STEPS - k)) for k in range(1, NUM_STEPS)]
    middle = [low + (high - low) * part / 4 for low, high in itertools.pairwise(steps) for part in range(4)]
    tail = [steps[-1] * (30 / steps[-1]) ** (k / 80) for k in range(81)]
    return [*(-value for value in reversed(tail)), *middle[1:], *tail]


EDGES = _edges()
NUM_BINS = len(EDGES) + 1


@dataclass(frozen=True, slots=True)
class Shape:
    """What is counted, which is the same for all batches that are added up."""

    task: Task
    num_classes: int
    """1 for yes or no."""

    @property
    def has_matrix(self) -> bool:
        return self.task in ("classification", "segmentation") and self.num_classes <= MAX_CLASSES

    @property
    def has_curves(self) -> bool:
        return self.task in ("classification", "binary", "multilabel") and self.num_classes <= MAX_CLASSES

    @property
    def sizes(self) -> dict[str, int]:
        """How many numbers each part of the counts has, in their order."""
        classes = self.num_classes
        return {
            "odd": 2,
            "totals": 3 * classes if self.task in ("classification", "segmentation") else 0,
            "matrix": classes**2 if self.has_matrix else 0,
            "bins": 2 * classes * NUM_BINS if self.has_curves else 0,
            "calibration": 0 if self.task == "segmentation" else 3 * NUM_CALIBRATION_BINS,
        }


def shape_of(samples: Samples) -> Shape | None:
    """None where there are no classes to count."""
    match samples.task:
        case "binary":
            return Shape("binary", 1)
        case "multilabel" | "classification" | "segmentation":
            return Shape(samples.task, samples.scores.shape[1])
    return None


class Counts:
    """Sums over batches. Neither `add` nor `vector` waits."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._parts: dict[str, Tensor] = {}
        self._edges: Tensor | None = None

    def add(self, samples: Samples) -> None:
        """Samples whose scores are NaN, and those whose label is no class, as of pixels to be ignored, are left out."""
        if not self._parts:
            self._parts = {
                name: torch.zeros(size, dtype=torch.float64, device=samples.scores.device)
                for name, size in self.shape.sizes.items()
            }
        if self.shape.task in ("binary", "multilabel"):
            self._add_labels(samples)
        else:
            self._add_classes(samples)

    def vector(self) -> Tensor:
        """All counts, float64, as `Shape.sizes` lays them out."""
        return torch.cat(list(self._parts.values()))

    def _add_labels(self, samples: Samples) -> None:
        classes = self.shape.num_classes
        odds = samples.scores.reshape(-1, classes).double()
        targets = samples.targets.reshape(-1, classes)
        is_label = (targets == 0) | (targets == 1)
        is_nan = odds.isnan()
        # Floats in between are no labels: this is a regression, or labels are soft.
        num_soft = (~is_label).sum() if targets.is_floating_point() else is_label.new_zeros((), dtype=torch.int64)
        self._parts["odd"] += torch.stack([is_nan.any(1).sum(), num_soft])
        weight = (is_label & ~is_nan).double()
        is_true = (targets == 1).double()
        self._bin(odds, is_true.long(), weight)
        self._calibrate(odds.sigmoid(), is_true, weight)

    def _add_classes(self, samples: Samples) -> None:
        classes = self.shape.num_classes
        scores, targets = samples.scores, samples.targets.reshape(-1).long()
        if self.shape.task == "segmentation":
            scores = scores.movedim(1, -1).reshape(-1, classes)
        is_nan = scores.isnan().any(1) | (scores == math.inf).any(1)
        is_valid = (targets >= 0) & (targets < classes)
        self._parts["odd"][0] += (is_nan & is_valid).sum()
        weight = (is_valid & ~is_nan).double()
        targets = targets.clamp(0, classes - 1)
        predicted = scores.argmax(1)
        is_right = (predicted == targets).double()
        self._count("totals", targets * 3, weight)
        self._count("totals", predicted * 3 + 1, weight)
        self._count("totals", targets * 3 + 2, weight * is_right)
        if self.shape.has_matrix:
            self._count("matrix", targets * classes + predicted, weight)
        if self.shape.task == "segmentation":
            return
        log_probabilities = scores.double().log_softmax(1)
        probabilities = log_probabilities.exp()
        self._calibrate(probabilities.amax(1), is_right, weight)
        if self.shape.has_curves:
            is_true = torch.arange(classes, device=targets.device) == targets[:, None]
            self._bin(
                log_probabilities - torch.log1p(-probabilities), is_true.long(), weight[:, None].expand_as(is_true)
            )

    def _bin(self, odds: Tensor, is_true: Tensor, weight: Tensor) -> None:
        """All `(N, C)`."""
        if not self.shape.has_curves:
            return
        if self._edges is None:
            self._edges = torch.tensor(EDGES, dtype=torch.float64).to(odds.device, non_blocking=True)
        bins = torch.bucketize(odds.nan_to_num(0, math.inf, -math.inf), self._edges, right=True)
        classes = torch.arange(self.shape.num_classes, device=odds.device)
        self._count("bins", (classes * 2 + is_true) * NUM_BINS + bins, weight)

    def _calibrate(self, probabilities: Tensor, is_true: Tensor, weight: Tensor) -> None:
        """All of one shape."""
        probabilities = probabilities.nan_to_num(0)
        bins = (probabilities * NUM_CALIBRATION_BINS).long().clamp(0, NUM_CALIBRATION_BINS - 1) * 3
        self._count("calibration", bins, weight * probabilities)
        self._count("calibration", bins + 1, weight * is_true)
        self._count("calibration", bins + 2, weight)

    def _count(self, part: str, positions: Tensor, weight: Tensor) -> None:
        self._parts[part].scatter_add_(0, positions.reshape(-1), weight.reshape(-1))
