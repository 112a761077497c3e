"""The monitors over samples change nothing of the training, never wait, and show what is there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime_guard import Guard
from runtime_guard.monitor import Monitor, all_monitors
from runtime_guard.monitors.classification import Classification
from runtime_guard.readings.samples import samples_of
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sinks.memory import Memory
from tests.runtime_guard.showings import KINDS, batches, shown_samples, started, train
from tests.runtime_guard.test_healthy_step import Waits

OVER_SAMPLES = {
    type(monitor).__name__: type(monitor) for monitor in all_monitors() if "Guard.samples" in str(type(monitor).__doc__)
}


def state_after(kind: str, monitors: list[Monitor]) -> list[Any]:
    model, optimizer = started(kind)
    with Guard(model, optimizer, monitors=monitors, sinks=[Memory()]) as guard:
        train(kind, guard, model, optimizer)
        state = [*model.state_dict().values(), *(p.grad for p in model.parameters()), torch.get_rng_state()]
        state += [value for entry in optimizer.state_dict()["state"].values() for value in entry.values()]
        hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in model.modules()]
    return [*state, hooks]


@pytest.mark.parametrize("name", OVER_SAMPLES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_shows_samples_is_bit_identical(kind: str, name: str) -> None:
    found, expected = state_after(kind, [OVER_SAMPLES[name]()]), state_after(kind, [])
    assert found[-1] == expected[-1]
    assert all(torch.equal(a, b) for a, b in zip(found[:-1], expected[:-1], strict=True))


@pytest.mark.parametrize("name", OVER_SAMPLES)
@pytest.mark.parametrize("kind", KINDS)
def test_showing_samples_waits_for_nothing(kind: str, name: str) -> None:
    model, optimizer = started(kind)
    seen: list[tuple[Any, ...]] = []

    class Recorded(Guard):
        def samples(self, *args: Any, **kwargs: Any) -> None:
            with Waits() as mode:
                super().samples(*args, **kwargs)
            seen.append(tuple(mode.seen.items()))

    with Recorded(model, optimizer, monitors=[OVER_SAMPLES[name]()], sinks=[Memory()]) as guard:
        train(kind, guard, model, optimizer, epochs=1)
    assert len(seen) == 6
    assert not any(seen)


@pytest.mark.parametrize(
    ("scores", "targets", "task"),
    [
        (torch.zeros(4), torch.zeros(4), "binary"),
        (torch.zeros(4, 1), torch.zeros(4, dtype=torch.long), "binary"),
        (torch.zeros(4, 3), torch.zeros(4, dtype=torch.long), "classification"),
        (torch.zeros(4, 3), torch.zeros(4, 3), "multilabel"),
        (torch.zeros(4, 3, 5, 5), torch.zeros(4, 5, 5, dtype=torch.long), "segmentation"),
        (torch.zeros(4, 1, 5, 5), torch.zeros(4, 5, 5), "segmentation"),
        (torch.zeros(4, 1, 5, 5), torch.zeros(4, 1, 5, 5, dtype=torch.bool), "segmentation"),
        (torch.zeros(4, 3), torch.zeros(4), "other"),
    ],
)
def test_the_shapes_tell_the_task(scores: Tensor, targets: Tensor, task: str) -> None:
    assert samples_of(scores, targets, phase="train", epoch=0, step=0).task == task


def test_pixels_of_yes_or_no_become_two_classes_with_the_same_probability() -> None:
    scores = torch.randn(2, 1, 3, 3)
    samples = samples_of(scores, (scores > 1).float(), phase="train", epoch=0, step=0)
    assert samples.targets.shape == (2, 3, 3)
    torch.testing.assert_close(samples.scores.softmax(1)[:, 1:], scores.sigmoid())


def test_a_picture_that_cannot_be_drawn_costs_one_warning_and_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any, **kwargs: Any) -> None:
        raise ImportError("no Pillow here")

    monkeypatch.setattr("runtime_guard.monitors.classification.draw_confusion", fails)
    with pytest.warns(GuardWarning, match="without the picture classification/confusion/.*: ImportError") as caught:
        memory = shown_samples("classification", [Classification()])
    assert len([w for w in caught if "confusion/train" in str(w.message)]) == 1
    written = {key for _, readings in memory.rows for key in readings}
    assert "classification/roc/train" in written
    assert "classification/confusion/train" not in written


def test_numbers_that_cannot_be_made_of_counts_cost_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any) -> None:
        raise ZeroDivisionError("in a monitor")

    monkeypatch.setattr("runtime_guard.monitors.classification.Counted", fails)
    with pytest.warns(GuardWarning, match="without what was read at step .: ZeroDivisionError: in a monitor"):
        memory = shown_samples("classification", [Classification()])
    assert not memory.rows


def test_samples_that_do_not_belong_together_are_refused() -> None:
    model = nn.Linear(2, 2)
    guard = Guard(model, torch.optim.SGD(model.parameters(), 0.1), monitors=[Classification()], sinks=[Memory()])
    for x, _ in guard.watch(list(batches("classification", num=1))):
        with pytest.raises(ValueError, match="scores has 9 samples, expected 10"):
            guard.samples(torch.zeros(9, 2), torch.zeros(len(x), dtype=torch.long))
    guard.close()


def test_numbers_that_are_no_labels_are_no_task_of_yes_or_no() -> None:
    scores = torch.randn(4)
    for targets in (torch.tensor([0.0, 1, 1, 0]), torch.tensor([0.05, 0.95, 0.5, 0]), torch.tensor([0, 1, 1, 0])):
        assert samples_of(scores, targets, phase="train", epoch=0, step=0).task == "binary"
    for targets in (
        torch.tensor([0.0, 1, 2.5, 0]),
        torch.tensor([-0.3, 1, 0, 0]),
        torch.tensor([[21.0], [3], [4], [5]]),
    ):
        assert samples_of(scores, targets, phase="train", epoch=0, step=0).task == "other"
