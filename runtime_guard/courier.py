"""Takes readings to the sinks on a thread of its own, off the training's path."""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Callable, Sequence

from runtime_guard.parcel import Parcel
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sink import Sink

_MAX_WAITING = 256


class Courier:
    """Opens parcels and writes them to the sinks, in their order; pictures are drawn here.

    A sink that raises is closed and left out from then on, with one warning: watching must not end the training.
    When sinks are slower than the training, at most 256 steps wait, then the training does.
    """

    def __init__(self, sinks: Sequence[Sink], warn: Callable[[str, Exception], None]) -> None:
        """`warn` is called on the training's thread with the sink's name and what it raised."""
        self._sinks = list(sinks)
        self._warn_of = warn
        self._queue: queue.Queue[Parcel | threading.Event | None] = queue.Queue(_MAX_WAITING)
        self._failures: list[tuple[str, Exception]] = []
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def has_sinks(self) -> bool:
        return bool(self._sinks)

    def send(self, parcel: Parcel) -> None:
        """Returns at once. A warning about a sink comes from here, on the caller's thread."""
        if self._is_closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="runtime_guard sinks", daemon=True)
            self._thread.start()
        self._queue.put(parcel)
        self._warn()

    def flush(self) -> None:
        """Waits until everything that was sent is written."""
        if self._thread is not None and not self._is_closed:
            done = threading.Event()
            self._queue.put(done)
            done.wait()
        self._warn()

    def close(self) -> None:
        """Waits until everything is written, and closes the sinks; once more does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        for sink in self._sinks:
            self._try(sink, sink.close)
        self._warn()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._write(item)

    def _write(self, parcel: Parcel) -> None:
        readings = parcel.readings()
        for sink in list(self._sinks):
            if not self._try(sink, lambda: sink.write(readings, parcel.step)):  # noqa: B023 - called at once
                self._sinks.remove(sink)
                self._try(sink, sink.close)

    def _try(self, sink: Sink, do: Callable[[], None]) -> bool:
        try:
            do()
        except Exception as error:
            self._failures.append((type(sink).__name__, error))
            return False
        return True

    def _warn(self) -> None:
        while self._failures:
            self._warn_of(*self._failures.pop(0))


def warn_of_sink(name: str, error: Exception) -> None:
    """Says that it is left out."""
    text = f"runtime_guard: the sink {name} is left out from now on: {type(error).__name__}: {error}"
    warnings.warn(text, GuardWarning, stacklevel=5)
