"""Writes readings as a TensorBoard run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime_guard.sink import Histogram, Readings


class TensorBoard:
    """Scalars and raw histograms in an event file, which is made when there is something to write."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._writer: Any = None

    def write(self, readings: Readings, step: int) -> None:
        """Hands them to the writer's thread. Raises OSError when the folder cannot be written."""
        if self._writer is None:
            # It takes a second to import.
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.folder))
        for key, value in readings.items():
            if isinstance(value, Histogram):
                self._writer.add_histogram_raw(
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
            else:
                self._writer.add_scalar(key, value, step)

    def close(self) -> None:
        """Waits for the writer's thread."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
