"""Writes readings as a TensorBoard run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime_guard.reading import Curve, Histogram, Hyperparameters, Layout, Picture, Readings, Text, Value


class TensorBoard:
    """Everything in one event file, which is made when there is something to write.

    A run that is resumed makes TensorBoard forget what was written of its steps before.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._writer: Any = None

    @classmethod
    def of_run(cls, folder: Path | None) -> TensorBoard | None:
        """Beside what else there is of the run."""
        return None if folder is None else cls(folder)

    def write(self, readings: Readings, step: int) -> None:
        """Hands them to the writer's thread. Raises OSError when the folder cannot be written."""
        if self._writer is None:
            # It takes a second to import.
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder), purge_step=step if step > 0 else None)
        for key, value in readings.items():
            self._write(key, value, step)

    def _write(self, key: str, value: Value, step: int) -> None:
        writer = self._writer
        match value:
            case Histogram():
                writer.add_histogram_raw(
                    key,
                    min=value.minimum,
                    max=value.maximum,
                    num=value.count,
                    sum=value.total,
                    sum_squares=value.sum_of_squares,
                    bucket_limits=value.limits,
                    bucket_counts=value.counts,
                    global_step=step,
                )
            case Picture():
                writer.add_image(key, value.pixels, step, dataformats="HWC")
            case Text():
                writer.add_text(key, value.text, step)
            case Curve():
                writer.add_pr_curve_raw(
                    key,
                    value.true_positives,
                    value.false_positives,
                    value.true_negatives,
                    value.false_negatives,
                    value.precision,
                    value.recall,
                    global_step=step,
                    num_thresholds=len(value.precision),
                )
            case Hyperparameters():
                self._write_hyperparameters(value)
            case Layout():
                charts = {
                    category: {title: ["Multiline", list(keys)] for title, keys in rows.items()}
                    for category, rows in value.charts.items()
                }
                writer.add_custom_scalars(charts)
            case _:
                writer.add_scalar(key, value, step)

    def _write_hyperparameters(self, value: Hyperparameters) -> None:
        """In the run itself; `SummaryWriter.add_hparams` would make a second run of it."""
        from torch.utils.tensorboard.summary import hparams

        writer = self._writer._get_file_writer()
        for summary in hparams(dict(value.values), dict(value.metrics)):  # type: ignore[no-untyped-call]
            writer.add_summary(summary)
        for key, metric in value.metrics.items():
            self._writer.add_scalar(key, metric)

    def close(self) -> None:
        """Waits for the writer's thread."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
