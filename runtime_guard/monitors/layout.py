"""One page that shows what matters."""

from __future__ import annotations

from collections.abc import Iterator

from runtime_guard import reading
from runtime_guard.monitor import Moment, Monitor, Run
from runtime_guard.reading import Reading

_FIRST = ("Loss", "Metrics", "Classification", "Gradients", "Weights", "Optimizer", "Time", "Memory", "Activations")


class Layout(Monitor):
    """One page with the charts that tell how a run is doing, each with all of its lines: training beside validation,
    all parts of a step beside each other.

    Its charts are those that the run's monitors name in their `charts`. In TensorBoard it is the tab Custom Scalars.

    Writes:
        `layout`: titles of charts, with regular expressions for the keys that they show.

    When: at the first update.
    Cost: none.
    """

    def __init__(self) -> None:
        self._run: Run | None = None

    def start(self, run: Run) -> None:
        """Learns which monitors there are."""
        self._run = run

    def read(self, moment: Moment) -> Iterator[Reading]:
        """Once."""
        run, self._run = self._run, None
        if run is None:
            return
        charts = {title: keys for monitor in sorted(run.monitors, key=_place) for title, keys in monitor.charts.items()}
        yield Reading("layout", reading.Layout({"Overview": charts}))


def _place(monitor: Monitor) -> int:
    name = type(monitor).__name__
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)
