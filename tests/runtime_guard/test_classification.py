"""Streamed metrics agree with scikit-learn, which has all samples at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime_guard.monitor import Epoch, Run
from runtime_guard.monitors.classification import Classification
from runtime_guard.reading import Curve, Picture, Value
from runtime_guard.readings.class_counts import MAX_CLASSES, Counts, shape_of
from runtime_guard.readings.class_metrics import Counted
from runtime_guard.readings.parcel import Parcel
from runtime_guard.readings.samples import samples_of

metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
NAMES = ("cat", "dog", "owl", "eel")


def shown(
    *shown: tuple[Tensor, Tensor], names: Sequence[str] = NAMES, others: Sequence[tuple[Tensor, Tensor]] = ()
) -> dict[str, Value]:
    """What is written of these batches, and of those that another rank has seen."""

    def parcel(batches: Sequence[tuple[Tensor, Tensor]]) -> Parcel:
        monitor = Classification()
        monitor.start(Run({}, {}, class_names=names))
        for scores, targets in batches:
            monitor.observe(samples_of(scores, targets, phase="validation", epoch=0, step=0))
        return Parcel(0, list(monitor.end_epoch(Epoch(0, 0, {}))))

    return parcel(shown).readings([parcel(others).numbers()] if others else [])


def counted(scores: Tensor, targets: Tensor) -> Counted:
    samples = samples_of(scores, targets, phase="train", epoch=0, step=0)
    shape = shape_of(samples)
    assert shape is not None
    counts = Counts(shape)
    counts.add(samples)
    return Counted(shape, counts.vector().tolist())


def random_classes(scale: float, num: int = 3000, classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(classes, (num,), generator=generator)
    scores = torch.randn(num, classes, generator=generator)
    scores[torch.arange(num), targets] += 1.2
    return scores * scale, targets


@pytest.mark.parametrize(
    ("scale", "slack"), [(0.05, 2e-3), (1.0, 3e-4), (10.0, 3e-4)], ids=["undecided", "plain", "very sure"]
)
def test_classes_agree_with_scikit_learn(scale: float, slack: float) -> None:
    scores, targets = random_classes(scale)
    found = shown(*zip(scores.split(64), targets.split(64), strict=True))
    y, predicted = targets.numpy(), scores.argmax(1).numpy()
    probability = scores.double().softmax(1).numpy()
    assert found["classification/accuracy/validation"] == pytest.approx(metrics.accuracy_score(y, predicted))
    assert counted(scores, targets).matrix() == metrics.confusion_matrix(y, predicted).tolist()
    precision, recall, _, _ = metrics.precision_recall_fscore_support(y, predicted)
    for index, name in enumerate(NAMES):
        assert found[f"classification/precision/{name}/validation"] == pytest.approx(precision[index])
        assert found[f"classification/recall/{name}/validation"] == pytest.approx(recall[index])
        auc = metrics.roc_auc_score(y == index, probability[:, index])
        assert found[f"classification/auc/{name}/validation"] == pytest.approx(auc, abs=slack)
        average = metrics.average_precision_score(y == index, probability[:, index])
        near = pytest.approx(average, abs=max(2 * slack, 2e-3))
        assert found[f"classification/average_precision/{name}/validation"] == near


def test_yes_or_no_agrees_with_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(1)
    targets = torch.randint(2, (4000,), generator=generator)
    scores = torch.randn(4000, generator=generator) + 1.5 * targets - 1
    found = shown(*zip(scores.split(100), targets.float().split(100), strict=True), names=["well", "ill"])
    y, probability = targets.numpy(), scores.sigmoid().numpy()
    predicted = probability >= 0.5
    assert found["classification/accuracy/validation"] == pytest.approx(metrics.accuracy_score(y, predicted))
    assert found["classification/precision/ill/validation"] == pytest.approx(metrics.precision_score(y, predicted))
    assert found["classification/recall/ill/validation"] == pytest.approx(metrics.recall_score(y, predicted))
    assert found["classification/auc/ill/validation"] == pytest.approx(metrics.roc_auc_score(y, probability), abs=1e-4)
    assert counted(scores, targets.float()).matrix() == metrics.confusion_matrix(y, predicted).tolist()
    assert isinstance(found["classification/confusion/validation"], Picture)


def test_several_labels_agree_with_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(2)
    targets = torch.randint(2, (2000, 4), generator=generator)
    scores = torch.randn(2000, 4, generator=generator) + targets * torch.tensor([0.2, 1.0, 2.0, 4.0])
    found = shown(*zip(scores.split(128), targets.float().split(128), strict=True))
    y, probability = targets.numpy(), scores.sigmoid().numpy()
    precision, recall, _, _ = metrics.precision_recall_fscore_support(y, probability >= 0.5)
    for index, name in enumerate(NAMES):
        assert found[f"classification/precision/{name}/validation"] == pytest.approx(precision[index])
        assert found[f"classification/recall/{name}/validation"] == pytest.approx(recall[index])
        auc = metrics.roc_auc_score(y[:, index], probability[:, index])
        assert found[f"classification/auc/{name}/validation"] == pytest.approx(auc, abs=1e-4)


def test_pixels_agree_with_scikit_learn_and_ignored_ones_are_left_out() -> None:
    generator = torch.Generator().manual_seed(3)
    targets = torch.randint(4, (6, 9, 11), generator=generator)
    scores = torch.randn(6, 4, 9, 11, generator=generator)
    scores.scatter_add_(1, targets[:, None], torch.ones(6, 1, 9, 11))
    targets[:, 0] = 255
    targets[:, :, 0] = -100
    found = shown((scores, targets))
    kept = ((targets >= 0) & (targets < 4)).numpy()
    y, predicted = targets.numpy()[kept], scores.argmax(1).numpy()[kept]
    for index, iou in enumerate(metrics.jaccard_score(y, predicted, average=None)):
        assert found[f"classification/iou/{NAMES[index]}/validation"] == pytest.approx(iou)
    assert found["classification/accuracy/validation"] == pytest.approx(metrics.accuracy_score(y, predicted))
    assert not [key for key in found if "auc" in key or "calibration" in key]


def test_calibration_agrees_with_scikit_learn() -> None:
    from sklearn.calibration import calibration_curve

    generator = torch.Generator().manual_seed(4)
    targets = torch.randint(2, (3000,), generator=generator)
    scores = torch.randn(3000, generator=generator) * 3 + targets
    true, predicted = calibration_curve(targets.numpy(), scores.double().sigmoid().numpy(), n_bins=15)
    bins = [row for row in counted(scores, targets).calibration() if row[2]]
    assert [row[0] for row in bins] == pytest.approx(predicted.tolist())
    assert [row[1] for row in bins] == pytest.approx(true.tolist())


def test_the_calibration_error_is_that_of_torchmetrics() -> None:
    functional = pytest.importorskip("torchmetrics.functional.classification")
    scores, targets = random_classes(3.0)
    expected = functional.multiclass_calibration_error(scores.double().softmax(1), targets, num_classes=4, n_bins=15)
    assert counted(scores, targets).calibration_error() == pytest.approx(float(expected), abs=1e-6)


def test_the_pr_curve_has_equal_steps_of_probability() -> None:
    scores, targets = random_classes(1.0)
    curve = shown((scores, targets))["classification/pr_curve/cat/validation"]
    assert isinstance(curve, Curve)
    probability, is_cat = scores.double().softmax(1)[:, 0], targets == 0
    assert len(curve.precision) == 101
    for step in range(101):
        is_above = probability >= step / 100
        true, false = int((is_above & is_cat).sum()), int((is_above & ~is_cat).sum())
        assert (curve.true_positives[step], curve.false_positives[step]) == (true, false)
        assert curve.false_negatives[step] == int(is_cat.sum()) - true
        assert curve.precision[step] == pytest.approx(true / (true + false) if true + false else 1.0)


def test_ranks_together_are_as_one_that_saw_everything() -> None:
    scores, targets = random_classes(1.0)
    alone = shown((scores, targets))
    together = shown((scores[:1000], targets[:1000]), others=[(scores[1000:], targets[1000:])])
    assert together.keys() == alone.keys()
    for key, value in alone.items():
        if isinstance(value, float):
            assert together[key] == pytest.approx(value), key


def test_scores_that_are_nan_are_counted_apart() -> None:
    scores, targets = random_classes(1.0, num=50)
    bad = scores.clone()
    bad[3, 1], bad[7, 0] = math.nan, math.inf
    is_kept = torch.ones(50, dtype=torch.bool)
    is_kept[[3, 7]] = False
    found, expected = shown((bad, targets)), shown((scores[is_kept], targets[is_kept]))
    assert found.pop("classification/nan_scores/validation") == 2
    assert expected.pop("classification/nan_scores/validation") == 0
    assert {k: v for k, v in found.items() if isinstance(v, float)} == {
        k: v for k, v in expected.items() if isinstance(v, float)
    }


@pytest.mark.parametrize("shape", [(20,), (20, 3)])
def test_a_regression_is_no_classification(shape: tuple[int, ...]) -> None:
    assert not shown((torch.randn(shape), torch.randn(shape)))


def test_masked_classes_with_a_score_of_minus_infinity_count_as_never() -> None:
    scores, targets = random_classes(1.0, num=200)
    scores[:, 3] = -math.inf
    found = shown((scores, targets.clamp(max=2)))
    assert found["classification/nan_scores/validation"] == 0
    assert "classification/recall/eel/validation" not in found


def test_memory_does_not_grow_and_many_classes_have_no_matrix() -> None:
    def numbers(classes: int, num: int) -> int:
        samples = samples_of(
            torch.randn(num, classes), torch.zeros(num, dtype=torch.long), phase="train", epoch=0, step=0
        )
        shape = shape_of(samples)
        assert shape is not None
        counts = Counts(shape)
        counts.add(samples)
        return counts.vector().numel()

    assert numbers(10, 8) == numbers(10, 8000) < 15_000
    assert numbers(MAX_CLASSES + 900, 4) < 4_000
    found = shown((torch.randn(64, 1000), torch.arange(64)))
    assert not any(isinstance(value, (Picture, Curve)) for key, value in found.items() if "calibration" not in key)
    assert "classification/accuracy/validation" in found


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_counted_too(dtype: Any) -> None:
    scores, targets = random_classes(1.0)
    found, expected = shown((scores.to(dtype), targets)), shown((scores.to(dtype).float(), targets))
    assert found["classification/auc/cat/validation"] == expected["classification/auc/cat/validation"]


def test_pictures_have_colours_where_they_should() -> None:
    """A matrix without mistakes has no red, and one with mistakes has."""
    targets = torch.arange(4).repeat(20)
    right = torch.nn.functional.one_hot(targets, 4) * 9.0

    def red(scores: Tensor) -> int:
        picture = shown((scores, targets))["classification/confusion/validation"]
        assert isinstance(picture, Picture)
        pixels = picture.pixels.astype(int)
        return int(((pixels[..., 0] - pixels[..., 2]) > 60).sum())

    assert red(right) == 0
    assert red(right.roll(1, 0)) > 1000
