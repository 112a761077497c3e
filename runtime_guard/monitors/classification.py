"""How well classes are told apart."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import ClassVar

from runtime_guard.drawing.charts import Line, draw_calibration, draw_curves
from runtime_guard.drawing.matrix import draw_confusion
from runtime_guard.monitor import Epoch, Monitor, Run
from runtime_guard.reading import Derived, Picture, Reading, Value
from runtime_guard.readings.class_counts import Counts, Shape, shape_of
from runtime_guard.readings.class_metrics import Counted, Ranking
from runtime_guard.readings.samples import Phase, Samples

_WORDS = {"train": "training", "validation": "validation"}
_MAX_LINES = 10
_MAX_CURVES = 20


class Classification(Monitor):
    """Which classes are mistaken for which, and whether the model knows how sure it may be, of what `Guard.samples`
    was shown since the last epoch ended.

    A class with low recall is overlooked, one with low precision is claimed too often; two that are confused with each
    other in both directions may be labelled badly. A calibration curve below the diagonal is a model too sure of
    itself. Better in training than in validation by far: it learns by heart.

    For classes, yes or no, several labels at once, and the classes of pixels; labels that are no class are left out.
    Of up to 100 classes; of more there are only accuracy, precision, recall and calibration.

    Writes:
        `classification/accuracy/*`: the part that is predicted rightly, in `train` and `validation`; not of several
            labels at once.
        `classification/precision/*`: of what is predicted to be this class, the part that is; at the largest score, or
            at a probability of 0.5.
        `classification/recall/*`: of what is this class, the part that is found.
        `classification/iou/*`: of the pixels that are or are predicted to be this class, the part that are both.
        `classification/auc/*`: area under this class's ROC curve, against all others.
        `classification/average_precision/*`: area under its precision-recall curve.
        `classification/pr_curve/*`: its precision and recall over thresholds; of up to 20 classes.
        `classification/roc/*`: picture of the ROC curves, of the ten classes that are told apart worst.
        `classification/confusion/*`: picture of the confusion matrix; not of several labels at once.
        `classification/calibration/*`: picture of what came true beside what was predicted: of the class with the
            largest score, of yes, or of each label.
        `classification/calibration_error/*`: mean distance between the two (expected calibration error, 15 bins).
        `classification/nan_scores/*`: how many samples had scores that are NaN; they are in nothing else.

    Counts are summed over the ranks. AUC and average precision are of scores in 550 bins of
    log-odds, which moves them by less than 0.003.

    When: each epoch.
    Cost: a pass over the scores of each batch that is shown.
    """

    charts: ClassVar = {"Accuracy": (r"classification/accuracy/.*",)}

    def __init__(self) -> None:
        self._counts: dict[Phase, Counts] = {}
        self._names: Sequence[str] = ()

    def start(self, run: Run) -> None:
        """Learns the names of the classes."""
        self._names = run.class_names

    def observe(self, samples: Samples) -> None:
        """Counts. What is of another kind than the first batch of an epoch is left out."""
        shape = shape_of(samples)
        if shape is None or not len(samples):
            return
        counts = self._counts.setdefault(samples.phase, Counts(shape))
        if counts.shape == shape:
            counts.add(samples)

    def end_epoch(self, epoch: Epoch) -> Iterator[Reading]:
        """Everything, from counts that begin anew."""
        found, self._counts = self._counts, {}
        for phase, counts in found.items():
            names = _names(counts.shape, self._names)
            build = functools.partial(_build, counts.shape, names, phase, epoch.number)
            yield Reading(f"classification/{phase}", Derived(counts.vector(), build), "sum")


def _names(shape: Shape, names: Sequence[str]) -> list[str]:
    """Of the classes for which there are numbers."""
    if shape.task == "binary":
        return [str(names[-1])] if len(names) in (1, 2) else ["1"]
    return [str(names[index]) if index < len(names) else str(index) for index in range(shape.num_classes)]


def _build(shape: Shape, names: Sequence[str], phase: Phase, epoch: int, vector: Sequence[float]) -> dict[str, Value]:
    counted = Counted(shape, vector)
    if not counted.has_labels:
        return {}
    where = f"in {_WORDS[phase]}, epoch {epoch}"
    found: dict[str, Value | None] = {f"nan_scores/{phase}": counted.num_nan, f"accuracy/{phase}": counted.accuracy}
    for name, metrics in zip(names, counted.classes(), strict=False):
        found[f"precision/{name}/{phase}"] = metrics.precision
        found[f"recall/{name}/{phase}"] = metrics.recall
        if shape.task == "segmentation":
            found[f"iou/{name}/{phase}"] = metrics.iou
    matrix = counted.matrix()
    if matrix is not None:
        labels = names if shape.task != "binary" else ["no", "yes"] if names == ["1"] else [f"not {names[0]}", names[0]]
        title = f"Confusion of the classes {where}"
        found[f"confusion/{phase}"] = Picture(functools.partial(draw_confusion, matrix, labels, title), title)
    rankings = dict(zip(names, counted.rankings(), strict=False))
    for name, ranking in rankings.items():
        found[f"auc/{name}/{phase}"] = ranking.auc
        found[f"average_precision/{name}/{phase}"] = ranking.average_precision
        if ranking.average_precision is not None and len(rankings) <= _MAX_CURVES:
            found[f"pr_curve/{name}/{phase}"] = ranking.curve
    found.update(_roc(rankings, phase, f"ROC {where}"))
    if shape.task != "segmentation":
        found.update(_calibration(counted, phase, f"Calibration {where}"))
    return {f"classification/{key}": value for key, value in found.items() if value is not None}


def _roc(rankings: dict[str, Ranking], phase: Phase, title: str) -> dict[str, Value]:
    known = [(ranking.auc, name, ranking) for name, ranking in rankings.items() if ranking.auc is not None]
    if not known:
        return {}
    worst = sorted(known, key=lambda row: row[0])[:_MAX_LINES]
    lines = [Line(f"{name}  {auc:.3f}", ranking.roc) for auc, name, ranking in worst]
    if len(lines) > 1:
        title += ", AUC beside the names"
    labels = {"x_label": "false positive rate", "y_label": "true positive rate"}
    return {f"roc/{phase}": Picture(functools.partial(draw_curves, lines, title=title, **labels), title)}


def _calibration(counted: Counted, phase: Phase, title: str) -> dict[str, Value]:
    error = counted.calibration_error()
    if error is None:
        return {}
    is_top = counted.shape.task == "classification"
    x_label, y_label = ("confidence", "accuracy") if is_top else ("predicted probability", "how often it was so")
    draw = functools.partial(
        draw_calibration, counted.calibration(), title=title, x_label=x_label, y_label=y_label,
        note=f"expected error\n{error:.3f}",
    )  # fmt: skip
    return {f"calibration_error/{phase}": error, f"calibration/{phase}": Picture(draw, title)}
