"""The worst and best samples are those, with their indices, however the batches come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from runtime_guard import Guard
from runtime_guard.drawing.canvas import GREEN, RED
from runtime_guard.monitors.extreme_batches import ExtremeBatches
from runtime_guard.reading import Picture, Text, Value
from runtime_guard.readings import extremes
from runtime_guard.readings.extremes import Extremes, Sample
from runtime_guard.readings.sample_losses import losses_of
from runtime_guard.readings.sample_views import ORANGE, PURPLE, overlay, view_of
from runtime_guard.readings.samples import Samples, samples_of
from runtime_guard.sinks.memory import Memory
from tests.runtime_guard.showings import KINDS, shown_samples


def shown(scores: Any, targets: Any, **options: Any) -> Samples:
    return samples_of(scores, targets, phase="train", epoch=0, step=0, **options)


@pytest.fixture(params=["near", "far"])
def _distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the host, and as if the numbers had to come from a device first."""
    if request.param == "far":
        monkeypatch.setattr(extremes, "is_far", lambda _losses: True)


def by_hand(losses: Tensor, k: int) -> tuple[list[int], list[int], list[int]]:
    """Indices of the worst, best and NaN samples, by sorting all of them."""
    values = list(enumerate(losses.tolist()))
    numbers = [(loss, -index) for index, loss in values if not math.isnan(loss) and loss != -math.inf]
    worst = [-index for _, index in sorted(numbers, reverse=True)[:k]]
    best = [index for _, index in sorted((loss, -index) for loss, index in numbers)[:k]]
    return worst, best, [index for index, loss in values if math.isnan(loss)][:k]


@pytest.mark.usefixtures("_distance")
@pytest.mark.parametrize("k", [1, 3, 8, 40])
@pytest.mark.parametrize("batch", [1, 7, 24, 60])
def test_they_are_those_that_sorting_finds(k: int, batch: int) -> None:
    generator = torch.Generator().manual_seed(k * batch)
    losses = torch.randn(60, generator=generator)
    losses[torch.randperm(60, generator=generator)[:5]] = math.nan
    losses[11] = -math.inf
    losses[12] = math.inf
    inputs = torch.arange(60.0)[:, None]
    kept = Extremes(k, lambda samples: samples.losses)
    for start in range(0, 60, batch):
        here = slice(start, start + batch)
        num = len(losses[here])
        places = torch.arange(start, start + num)
        kept.add(shown(inputs[here], places, losses=losses[here], indices=places))
    found = kept.taken()
    worst, best, bad = by_hand(losses, k)
    for kind, expected in (("worst", worst), ("best", best), ("nan", bad)):
        samples: list[Sample] = found[kind]  # type: ignore[index]
        assert [sample.index for sample in samples] == expected
        assert [int(sample.target) for sample in samples] == expected
        assert [int(sample.score) for sample in samples] == expected
    assert kept.taken() == {}


@pytest.mark.usefixtures("_distance")
def test_texts_and_pictures_are_those_of_the_sample() -> None:
    """A batch of 3 k samples is as long as what is picked from it: places in one are not those in the other."""
    kept = Extremes(2, lambda samples: samples.losses)
    losses = torch.tensor([3.0, 0.0, 5.0, 1.0, 4.0, 2.0])
    kept.add(shown(torch.zeros(6, 2), torch.arange(6), losses=losses, inputs=[f"text {i}" for i in range(6)]))
    found = kept.taken()
    assert [sample.input for sample in found["worst"]] == ["text 2", "text 4"]
    assert [sample.input for sample in found["best"]] == ["text 1", "text 3"]


def test_kept_samples_are_copies_and_not_whole_batches() -> None:
    kept = Extremes(1, lambda samples: samples.losses)
    inputs = torch.zeros(1000, 10)
    kept.add(shown(torch.zeros(1000, 2), torch.zeros(1000).long(), losses=torch.arange(1000.0), inputs=inputs))
    inputs.fill_(7)
    (sample,) = kept.taken()["worst"]
    assert sample.input.untyped_storage().nbytes() == 40
    assert not sample.input.any()


def test_the_memory_is_bounded_by_k() -> None:
    kept = Extremes(4, lambda samples: samples.losses)
    for number in range(50):
        kept.add(shown(torch.randn(100, 2), torch.zeros(100).long(), losses=torch.randn(100) + number))
    assert sum(len(samples) for samples in kept.taken().values()) == 8


def test_a_measure_of_the_wrong_length_is_named() -> None:
    with pytest.raises(ValueError, match=r"measure gave \(1,\), expected \(3,\): one number per sample"):
        Extremes(2, lambda _samples: torch.zeros(1)).add(shown(torch.zeros(3, 2), torch.zeros(3).long()))
    with pytest.raises(ValueError, match="k is 0, expected 1 or more"):
        ExtremeBatches(k=0)


# Losses


def test_losses_are_those_of_torch() -> None:
    torch.manual_seed(0)
    scores, labels = torch.randn(9, 5), torch.randint(5, (9,))
    expected = nn.functional.cross_entropy(scores, labels, reduction="none")
    torch.testing.assert_close(losses_of(shown(scores, labels)), expected)
    pixels, classes = torch.randn(4, 3, 6, 6), torch.randint(3, (4, 6, 6))
    expected = nn.functional.cross_entropy(pixels, classes, reduction="none").mean((1, 2))
    torch.testing.assert_close(losses_of(shown(pixels, classes)), expected)
    scores, yes = torch.randn(9), torch.randint(2, (9,)).float()
    expected = nn.functional.binary_cross_entropy_with_logits(scores, yes, reduction="none")
    torch.testing.assert_close(losses_of(shown(scores, yes)), expected)


def test_a_sample_without_a_label_is_neither_good_nor_bad() -> None:
    scores, labels = torch.tensor([[0.0, 9.0], [0.0, 9.0], [0.0, 9.0]]), torch.tensor([1, -100, 0])
    kept = Extremes(3)
    kept.add(shown(scores, labels, indices=[0, 1, 2]))
    found = kept.taken()
    assert [sample.index for sample in found["worst"]] == [2, 0]
    assert [sample.index for sample in found["best"]] == [0, 2]


def test_boxes_are_better_the_nearer_they_are() -> None:
    true = {"boxes": torch.tensor([[0.0, 0.0, 10.0, 10.0]]), "labels": torch.tensor([1])}

    def found(*boxes: list[float], label: int = 1) -> dict[str, Tensor]:
        corners = torch.tensor(boxes).reshape(-1, 4)
        return {"boxes": corners, "labels": torch.full((len(boxes),), label), "scores": torch.ones(len(boxes))}

    cases = [
        found([0, 0, 10, 10]),
        found([0, 0, 10, 9]),
        found([0, 0, 10, 10], [20, 20, 30, 30]),
        found([0, 0, 10, 10], label=2),
        found(),
    ]
    losses = losses_of(shown(cases, [true] * len(cases)))
    assert losses is not None
    assert losses[0] == 0
    assert losses[0] < losses[1] < losses[2] < losses[3]
    assert losses[3] == 1
    assert losses[4] == 1


# What is seen


def test_each_pixel_has_the_colour_of_its_fate() -> None:
    target = torch.tensor([[1, 1, 0, 2, 0, 255]])
    score = nn.functional.one_hot(torch.tensor([[1, 0, 1, 1, 0, 1]]), 3).permute(2, 0, 1).float()
    pixels = overlay(torch.zeros(1, 6, 3, dtype=torch.uint8).numpy(), score, target)[0]
    expected = [
        *(tuple(round(0.65 * part) for part in colour) for colour in (GREEN, RED, ORANGE, PURPLE)),
        (0, 0, 0),
        (0, 0, 0),
    ]
    assert [tuple(int(part) for part in pixel) for pixel in pixels] == expected


@pytest.mark.parametrize(
    ("score", "target", "said"),
    [
        (torch.tensor([0.0, 5.0]), torch.tensor(0), ("cat", "dog, 99%")),
        (torch.tensor([math.nan, 5.0]), torch.tensor(7), ("7", "cat, NaN")),
    ],
)
def test_what_is_said_of_a_sample(score: Tensor, target: Tensor, said: tuple[str, str]) -> None:
    view = view_of(Sample("classification", 1.0, 3, 0, score, target, torch.zeros(3, 4, 4)), ["cat", "dog"])
    assert (view.true, view.predicted) == said
    assert view.tile is not None
    assert view.tile.lines == ["#3   loss 1", f"true: {said[0]}", f"predicted: {said[1]}"]


def rows_of(readings: Mapping[str, Value], kind: str, phase: str) -> list[dict[str, str]]:
    """The rows of a table's section."""
    table = readings[f"extreme_batches/table/{phase}"]
    assert isinstance(table, Text)
    (section,) = (part for part in table.text.split("\n\n**") if part.lstrip("*").startswith(f"{kind} samples"))
    lines = [[cell.strip() for cell in line.strip("| ").split("|")] for line in section.splitlines() if "|" in line]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sample_is_shown(kind: str) -> None:
    memory = shown_samples(kind, [ExtremeBatches(k=3)])
    (readings,) = [row for step, row in memory.rows if step == memory.rows[-1][0] and row]
    pictures = {key for key, value in readings.items() if isinstance(value, Picture)}
    is_text = kind == "text"
    expected = {f"extreme_batches/{which}/{phase}" for which in ("worst", "best") for phase in ("train", "validation")}
    assert pictures == (set() if is_text else expected)
    for key in pictures:
        value = readings[key]
        assert isinstance(value, Picture)
        assert value.pixels.std() > 10
    for phase in ("train", "validation"):
        worst, best = rows_of(readings, "Worst", phase), rows_of(readings, "Best", phase)
        assert len(worst) == len(best) == 3
        losses = [float(row["loss"]) for row in worst] + [float(row["loss"]) for row in reversed(best)]
        assert losses == sorted(losses, reverse=True)
        if is_text:
            assert worst[0]["text"].startswith("sample ")


class Spirals(nn.Module):
    """Tells two moons apart."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found


def test_planted_wrong_labels_are_found() -> None:
    torch.manual_seed(0)
    label = torch.arange(400) % 2
    x = torch.randn(400, 2) * 0.5 + (2.0 * label[:, None] - 1) * 2
    wrong = torch.randperm(400)[:8]
    planted = label.clone()
    planted[wrong] = 1 - planted[wrong]
    data = TensorDataset(torch.arange(400), x, planted)
    model, memory = Spirals(), Memory()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    with Guard(model, optimizer, monitors=[ExtremeBatches(k=8)], sinks=[memory]) as guard:
        for _ in range(3):
            for index, inputs, target in guard.watch(DataLoader(data, 20, shuffle=True)):
                optimizer.zero_grad()
                scores = model(inputs)
                guard.samples(scores, target, indices=index)
                nn.functional.cross_entropy(scores, target).backward()
                optimizer.step()
            guard.epoch_end()
    found = {int(row["index"]) for row in rows_of(memory.rows[-1][1], "Worst", "train")}
    assert found == set(wrong.tolist())


def test_samples_with_nan_are_shown_apart() -> None:
    model, memory = nn.Linear(2, 2), Memory()
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with Guard(model, optimizer, monitors=[ExtremeBatches(k=2)], sinks=[memory], policy="warn") as guard:
        for x in guard.watch([torch.ones(4, 2)] * 2):
            scores = model(x)
            shown_scores = scores.detach().clone()
            shown_scores[1] = math.nan
            guard.samples(shown_scores, torch.zeros(4).long(), indices=range(4))
            scores.mean().backward()
            optimizer.step()
    readings = memory.rows[-1][1]
    assert {row["index"] for row in rows_of(readings, "NaN", "train")} == {"1"}
    assert "1" not in {row["index"] for row in rows_of(readings, "Worst", "train")}
