"""From counts to metrics, on the host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime_guard.reading import Curve
from runtime_guard.readings.class_counts import EDGES, NUM_BINS, NUM_STEPS, Shape

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Of one class against the rest. None where nothing of the kind was seen, so that it cannot be said."""

    precision: float | None
    recall: float | None
    iou: float | None
    """Intersection over union."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well scores tell one class from the rest, at all thresholds."""

    auc: float | None
    """Area under the ROC curve; None when only one kind was seen."""
    average_precision: float | None
    roc: tuple[tuple[float, float], ...]
    """False and true positive rate, from (0, 0) to (1, 1)."""
    curve: Curve


class Counted:
    """What `Counts.vector` counted."""

    def __init__(self, shape: Shape, vector: Sequence[float]) -> None:
        import numpy as np

        self.shape = shape
        self._parts: dict[str, NDArray[Any]] = {}
        start = 0
        for name, size in shape.sizes.items():
            self._parts[name] = np.array(vector[start : start + size])
            start += size

    @property
    def num_nan(self) -> int:
        """Samples whose scores were NaN."""
        return int(self._parts["odd"][0])

    @property
    def has_labels(self) -> bool:
        """False where targets were numbers between labels: then nothing of this has a meaning."""
        return not self._parts["odd"][1]

    @property
    def accuracy(self) -> float | None:
        """The part that is right."""
        totals = self._totals()
        num = totals[:, 0].sum()
        if self.shape.task == "multilabel" or not num:
            return None
        return float(totals[:, 2].sum() / num)

    def classes(self) -> list[ClassMetrics]:
        """At the largest score, or at a probability of a half. For yes or no of yes alone."""
        totals = self._totals()
        rows = totals[1:] if self.shape.task == "binary" else totals
        return [
            ClassMetrics(_part(right, predicted), _part(right, true), _part(right, predicted + true - right))
            for true, predicted, right in rows.tolist()
        ]

    def matrix(self) -> list[list[float]] | None:
        """Rows are true classes, columns predicted ones."""
        num = self.shape.num_classes
        if self.shape.has_matrix:
            found: list[list[float]] = self._parts["matrix"].reshape(num, num).tolist()
            return found
        if self.shape.task == "binary":
            (negative, positive) = self._bins()[0]
            half = EDGES.index(0.0) + 1
            return [[float(row[:half].sum()), float(row[half:].sum())] for row in (negative, positive)]
        return None

    def rankings(self) -> list[Ranking]:
        """One of each class."""
        return [_ranking(negative, positive) for negative, positive in self._bins()] if self.shape.has_curves else []

    def calibration(self) -> list[tuple[float, float, float]]:
        """Mean predicted probability, how much of it came true, and how many, in bins of equal width."""
        rows = self._parts["calibration"].reshape(-1, 3).tolist()
        return [(total / count, true / count, count) if count else (0.0, 0.0, 0.0) for total, true, count in rows]

    def calibration_error(self) -> float | None:
        """The mean distance between what was predicted and what came true (expected calibration error)."""
        bins = self.calibration()
        num = sum(count for _, _, count in bins)
        return sum(abs(predicted - true) * count for predicted, true, count in bins) / num if num else None

    def _totals(self) -> NDArray[Any]:
        """Of each class, how many there are, are predicted, and are rightly predicted. For yes or no first of no."""
        import numpy as np

        if self.shape.task in ("classification", "segmentation"):
            return self._parts["totals"].reshape(-1, 3)
        half = EDGES.index(0.0) + 1
        if not self.shape.has_curves:
            return np.zeros((0, 3))
        bins = self._bins()
        yes = np.stack([bins[:, 1].sum(-1), bins[:, :, half:].sum((1, 2)), bins[:, 1, half:].sum(-1)], 1)
        if self.shape.task == "multilabel":
            return yes
        no = np.stack([bins[:, 0].sum(-1), bins[:, :, :half].sum((1, 2)), bins[:, 0, :half].sum(-1)], 1)
        return np.concatenate([no, yes])

    def _bins(self) -> NDArray[Any]:
        """`(C, 2, NUM_BINS)`: first those that are not of the class."""
        return self._parts["bins"].reshape(-1, 2, NUM_BINS)


def _part(count: float, total: float) -> float | None:
    return count / total if total else None


def _ranking(negative: NDArray[Any], positive: NDArray[Any]) -> Ranking:
    import numpy as np

    # Above each edge, from the highest one to all.
    true = np.concatenate([[0.0], positive[::-1].cumsum()])
    false = np.concatenate([[0.0], negative[::-1].cumsum()])
    num_true, num_false = true[-1], false[-1]
    x, y = false / max(num_false, 1), true / max(num_true, 1)
    auc = float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2)) if num_true and num_false else None
    precision = true / np.maximum(true + false, 1)
    precision[0] = precision[1:][true[1:] > 0][0] if num_true else 0.0
    # Within a bin precision changes evenly, as far as is known.
    average = float(np.sum(np.diff(y) * (precision[1:] + precision[:-1]) / 2)) if num_true else None
    is_corner = np.concatenate([[True], (np.diff(x) != 0) | (np.diff(y) != 0)])
    roc = tuple(zip(x[is_corner].tolist(), y[is_corner].tolist(), strict=True))
    # At probabilities of 0, 1 %, ... 100 %: those are the edges that `steps` picks, and beyond the last one none.
    edges = np.array(EDGES)
    steps = np.log(np.arange(1, NUM_STEPS) / (NUM_STEPS - np.arange(1, NUM_STEPS)))
    above = len(edges) - np.abs(edges[None] - steps[:, None]).argmin(1)
    at = np.concatenate([[len(true) - 1], above, [0]])
    tp, fp = true[at], false[at]
    fn, tn = num_true - tp, num_false - fp
    precisions = np.where(tp + fp > 0, tp / np.maximum(tp + fp, 1), 1.0)
    true_positives, false_positives, true_negatives, false_negatives = (
        tuple(int(value) for value in counts) for counts in (tp, fp, tn, fn)
    )
    recalls = (tp / max(num_true, 1)).tolist()
    curve = Curve(
        true_positives, false_positives, true_negatives, false_negatives, tuple(precisions.tolist()), tuple(recalls)
    )
    return Ranking(auc, average, roc, curve)
