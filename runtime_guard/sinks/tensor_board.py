"""Writes readings as a TensorBoard run."""

from __future__ import annotations

import itertools
import os
import socket
import time
from pathlib import Path
from typing import Any

from runtime_guard.reading import Curve, Histogram, Hyperparameters, Layout, Picture, Readings, Text, Value

_numbers = itertools.count()
"""Of the files that this process makes: those of one second have different names."""


class TensorBoard:
    """Everything in one event file, which is made when there is something to write.

    Sinks are written to on a thread already, so that there is no need for another one, as `SummaryWriter` has, which
    could not say that the disk is full. What one call brings is handed to the system at its end: a run that is killed
    leaves whole steps. A run that is resumed makes TensorBoard forget what was written of its steps before.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._file: Any = None

    @classmethod
    def of_run(cls, folder: Path | None) -> TensorBoard | None:
        """Beside what else there is of the run."""
        return None if folder is None else cls(folder)

    def write(self, readings: Readings, step: int) -> None:
        """Appends events. Raises OSError when they cannot be written."""
        if self._file is None:
            self._open(step)
        for key, value in readings.items():
            for summary in _summaries(key, value):
                # Settings and charts are the run's, and have no step.
                self._add(summary=summary, step=0 if isinstance(value, (Hyperparameters, Layout)) else step)
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _open(self, step: int) -> None:
        # It takes a second to import.
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file = RecordWriter((self.folder / name).open("wb"))
        self._add(file_version="brain.Event:2")
        if step > 0:
            self._add(session_log=SessionLog(status=SessionLog.START), step=step)

    def _add(self, **fields: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._file.write(Event(wall_time=time.time(), **fields).SerializeToString())


def _summaries(key: str, value: Value) -> list[Any]:
    """Protocol buffers, as `SummaryWriter` makes them."""
    from torch.utils.tensorboard import summary

    make: Any = summary
    match value:
        case Histogram():
            statistics = value.minimum, value.maximum, value.count, value.total, value.sum_of_squares
            return [make.histogram_raw(key, *statistics, value.limits, value.counts)]
        case Picture():
            return [make.image(key, value.pixels, dataformats="HWC")]
        case Text():
            return [make.text(key, value.text)]
        case Curve():
            counts = value.true_positives, value.false_positives, value.true_negatives, value.false_negatives
            return [make.pr_curve_raw(key, *counts, value.precision, value.recall, len(value.precision))]
        case Hyperparameters():
            # In the run itself; `SummaryWriter.add_hparams` would make a second run of it.
            metrics = [make.scalar(name, metric) for name, metric in value.metrics.items()]
            return [*make.hparams(dict(value.values), dict(value.metrics)), *metrics]
        case Layout():
            charts = {
                category: {title: ["Multiline", list(keys)] for title, keys in rows.items()}
                for category, rows in value.charts.items()
            }
            return [make.custom_scalars(charts)]
    return [make.scalar(key, value)]
