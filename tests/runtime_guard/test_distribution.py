"""Histograms of scores and predictions hold what numpy counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from runtime_guard import Guard
from runtime_guard.monitors.distribution import Distribution
from runtime_guard.reading import Histogram
from runtime_guard.sinks.memory import Memory


def shown(batches: list[tuple[Any, Any]], names: tuple[str, ...] = ()) -> dict[str, Histogram]:
    """The histograms of an epoch in which these scores and targets were shown."""
    model, memory = nn.Linear(2, 1), Memory()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with Guard(model, optimizer, monitors=[Distribution()], sinks=[memory], class_names=names) as guard:
        for scores, targets in guard.watch(batches):
            guard.samples(scores, targets)
            model(torch.ones(4, 2)).mean().backward()
            optimizer.step()
    found = memory.rows[-1][1]
    assert all(isinstance(value, Histogram) for value in found.values())
    return {key.removeprefix("distribution/"): value for key, value in found.items() if isinstance(value, Histogram)}


def assert_holds(histogram: Histogram, values: Any) -> None:
    values = np.asarray(values, np.float64)
    expected, _ = np.histogram(values, [histogram.minimum, *histogram.limits])
    assert sum(histogram.counts) == len(values)
    # numpy's bins have their lower ends, these their upper ones: values on an end are not drawn here.
    assert list(histogram.counts) == list(expected)
    assert histogram.total == pytest.approx(values.sum())
    assert histogram.sum_of_squares == pytest.approx((values**2).sum())


def test_classes_are_split_by_what_is_true() -> None:
    torch.manual_seed(0)
    batches = [(torch.randn(50, 3) * 3, torch.randint(3, (50,))) for _ in range(3)]
    found = shown(batches, ("cat", "dog"))
    scores, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert set(found) == {"scores/train", *(f"probability/{name}/train" for name in ("cat", "dog", "2"))}
    assert_holds(found["scores/train"], scores.reshape(-1))
    for number, name in enumerate(("cat", "dog", "2")):
        assert_holds(found[f"probability/{name}/train"], scores.softmax(1)[targets == number, number])


def test_yes_and_no_are_apart() -> None:
    torch.manual_seed(0)
    scores, targets = torch.randn(200), torch.randint(2, (200,)).float()
    found = shown([(scores, targets)])
    for word, value in (("no", 0), ("yes", 1)):
        assert_holds(found[f"probability/{word}/train"], scores.sigmoid()[targets == value])


def test_each_label_is_apart() -> None:
    torch.manual_seed(0)
    scores, targets = torch.randn(100, 2), torch.randint(2, (100, 2)).float()
    found = shown([(scores, targets)], ("cat", "dog"))
    for number, name in enumerate(("cat", "dog")):
        for word, value in (("no", 0), ("yes", 1)):
            expected = scores.sigmoid()[targets[:, number] == value, number]
            assert_holds(found[f"probability/{name}/{word}/train"], expected)


def test_targets_of_a_regression_stand_beside_its_predictions() -> None:
    torch.manual_seed(0)
    scores, targets = torch.randn(60, 2, 3), torch.randn(60, 2, 3) * 1e3
    found = shown([(scores, targets)])
    assert set(found) == {"scores/train", "targets/train"}
    assert_holds(found["targets/train"], targets.reshape(-1))


def test_what_is_not_finite_or_without_a_label_is_left_out() -> None:
    scores = torch.tensor([[0.0, 1.0], [math.nan, 1.0], [math.inf, 0.0], [1e30, -1e30]])
    found = shown([(scores, torch.tensor([0, 0, -100, 1]))])
    assert sum(found["scores/train"].counts) == 6
    assert sum(found["probability/0/train"].counts) == 1
    assert sum(found["probability/1/train"].counts) == 1


def test_certain_predictions_are_in_the_last_bin() -> None:
    found = shown([(torch.tensor([[100.0, 0.0], [0.0, 100.0]]), torch.tensor([0, 0]))])["probability/0/train"]
    assert found.limits[-1] == 1
    assert (found.counts[0], found.counts[-1]) == (1, 1)
