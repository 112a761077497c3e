"""The samples that the model is most wrong and most right about."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence

import torch

from runtime_guard import ranks, reading
from runtime_guard.drawing.gallery import draw_gallery
from runtime_guard.monitor import Epoch, Monitor, Run
from runtime_guard.reading import Derived, Picture, Reading, Value
from runtime_guard.readings.extremes import Extremes, Kind, Measure, Sample
from runtime_guard.readings.sample_losses import losses_of
from runtime_guard.readings.sample_views import LEGENDS, View, view_of
from runtime_guard.readings.samples import Phase, Samples

_WORDS = {"train": "training", "validation": "validation"}
_KINDS: tuple[Kind, ...] = ("worst", "best", "nan")
_NUM_FIELDS = 4
"""Of a row of the table: whether there is one, loss, index, step."""


class ExtremeBatches(Monitor):
    """The worst and the best samples of each epoch, of what `Guard.samples` was shown.

    The worst ones are wrong labels, broken files, or what the model has yet to learn: look them up by their index in
    the dataset. The best ones tell what it goes by; where all look alike, it may be a watermark. Samples whose scores
    or losses are NaN are neither, and shown apart.

    Classes and labels stand below their pictures. Over pictures whose pixels have classes lies what became of each
    pixel: found (green), missed (red), a false alarm (orange), or taken for another class (purple); class 0 is what is
    around objects. Boxes are found (green), missed (red) or false alarms (orange). Texts stand in the table.

    Writes:
        `extreme_batches/worst/*`: picture of the samples with the largest losses, in `train` and `validation`.
        `extreme_batches/best/*`: picture of those with the smallest.
        `extreme_batches/nan/*`: picture of the first ones whose scores or losses are NaN.
        `extreme_batches/table/*`: all of them as text: index in the dataset, loss, what is true and predicted.

    The table is of all ranks' samples, pictures and words are of the first rank's. Losses are those that
    `Guard.samples(losses=...)` was given, or the cross entropy of the task. Training's are those that each sample had
    when its turn came.

    When: each epoch.
    Cost: the losses of each batch that is shown, and copies of the few samples that are among the extreme ones so far;
        the memory of `3 k` samples for training and validation each, and on a GPU as much again for each batch that is
        on its way.

    Args:
        k: How many of each kind, at least 1.
        measure: What makes a sample bad, in place of the loss: a function from `Samples` to one number for each of
            them, `(N,)`, the larger the worse. It must not wait for the device.
    """

    def __init__(self, k: int = 8, measure: Measure = losses_of) -> None:
        if k < 1:
            raise ValueError(f"k is {k}, expected 1 or more samples")
        self.k = k
        self._measure = measure
        self._extremes: dict[Phase, Extremes] = {}
        self._names: Sequence[str] = ()

    def start(self, run: Run) -> None:
        """Learns the names of the classes."""
        self._names = run.class_names

    def observe(self, samples: Samples) -> None:
        """Keeps what is extreme."""
        self._extremes.setdefault(samples.phase, Extremes(self.k, self._measure)).add(samples)

    def end_epoch(self, epoch: Epoch) -> Iterator[Reading]:
        """Pictures and the table."""
        found, self._extremes = self._extremes, {}
        for phase, extremes in found.items():
            kinds = extremes.taken()
            if not kinds and ranks.num_ranks() == 1:
                continue
            views = {kind: [view_of(sample, self._names) for sample in samples] for kind, samples in kinds.items()}
            for kind, samples in kinds.items():
                tiles = [view.tile for view in views[kind] if view.tile is not None]
                if tiles:
                    title = f"{_title(kind)} samples in {_WORDS[phase]}, epoch {epoch.number}"
                    draw = functools.partial(draw_gallery, tiles, title, LEGENDS.get(samples[0].task, ()))
                    yield Reading(f"extreme_batches/{kind}/{phase}", Picture(draw, title))
            key = f"extreme_batches/table/{phase}"
            yield Reading(key, Derived(self._rows(kinds), functools.partial(self._table, key, views)), "sum")

    def _rows(self, kinds: Mapping[Kind, Sequence[Sample]]) -> torch.Tensor:
        """`(ranks, kinds, k, fields)`, flat: where every rank fills its own rows, their sum has all."""
        rows = torch.zeros(ranks.num_ranks(), len(_KINDS), self.k, _NUM_FIELDS, dtype=torch.float64)
        for place, kind in enumerate(_KINDS):
            for number, sample in enumerate(kinds.get(kind, ())):
                index = -1 if sample.index is None else sample.index
                rows[ranks.rank(), place, number] = torch.tensor([1, sample.loss, index, sample.step])
        return rows.reshape(-1)

    def _table(self, key: str, views: Mapping[Kind, Sequence[View]], vector: Sequence[float]) -> dict[str, Value]:
        num_ranks = len(vector) // (len(_KINDS) * self.k * _NUM_FIELDS)
        parts = []
        for place, kind in enumerate(_KINDS):
            rows = []
            for rank in range(num_ranks):
                for number in range(self.k):
                    start = ((rank * len(_KINDS) + place) * self.k + number) * _NUM_FIELDS
                    is_there, loss, index, step = vector[start : start + _NUM_FIELDS]
                    if is_there:
                        view = views[kind][number] if rank == 0 and number < len(views.get(kind, ())) else None
                        rows.append((loss, index, step, rank, view))
            if kind != "nan":
                rows.sort(key=lambda row: row[0], reverse=kind == "worst")
            if rows:
                parts.append(_section(kind, rows[: self.k], has_ranks=num_ranks > 1))
        return {key: reading.Text("\n\n".join(parts))} if parts else {}


def _title(kind: Kind) -> str:
    return {"worst": "Worst", "best": "Best", "nan": "NaN"}[kind]


def _section(kind: Kind, rows: Sequence[tuple[float, float, float, int, View | None]], *, has_ranks: bool) -> str:
    views = [view for *_, view in rows if view is not None]
    columns = ["index" if any(row[1] >= 0 for row in rows) else "", "loss", "step", "rank" if has_ranks else ""]
    columns += ["true" if any(view.true for view in views) else ""]
    columns += ["predicted" if any(view.predicted for view in views) else ""]
    columns += ["text" if any(view.text is not None for view in views) else ""]
    lines = []
    for loss, index, step, rank, view in rows:
        cells = [
            f"{index:.0f}" if index >= 0 else "",
            "NaN" if math.isnan(loss) else f"{loss:.4g}",
            f"{step:.0f}",
            str(rank),
        ]
        cells += [view.true, view.predicted, view.text or ""] if view is not None else [""] * 3
        lines.append(_line([cell for cell, column in zip(cells, columns, strict=True) if column]))
    shown = [column for column in columns if column]
    return "\n".join([f"**{_title(kind)} samples**", "", _line(shown), "|" + "---|" * len(shown), *lines])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """One line, in which nothing is taken for Markdown or HTML."""
    text = " ".join(text.split())
    text = text if len(text) <= 300 else text[:299] + "…"
    for letter, safe in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "&#124;"),
        ("*", "&#42;"),
        ("`", "&#96;"),
        ("[", "&#91;"),
    ):
        text = text.replace(letter, safe)
    return text
