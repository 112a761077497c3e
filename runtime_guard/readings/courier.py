"""Takes readings to the sinks on a thread of its own, off the training's path."""

from __future__ import annotations

import queue
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Sequence

from runtime_guard.reading import Picture, Value
from runtime_guard.readings.exchange import Exchange
from runtime_guard.readings.parcel import Numbers, Parcel
from runtime_guard.run_folder import GuardWarning
from runtime_guard.sink import Sink

_MAX_WAITING = 256


class Courier:
    """Opens parcels and writes them to the sinks, in their order; pictures are drawn here.

    A sink that raises is closed and left out from then on, with one warning: watching must not end the training.
    When sinks are slower than the training, at most 256 steps wait, then the training does.
    """

    def __init__(
        self, sinks: Sequence[Sink], warn: Callable[[str, Exception], None], exchange: Exchange | None = None
    ) -> None:
        """`warn` is called on the training's thread with what failed and what it raised. With an exchange the
        ranks' readings are joined, and only the first rank writes."""
        self._sinks = list(sinks)
        self._warn_of = warn
        self._queue: queue.Queue[Parcel | threading.Event | None] = queue.Queue(_MAX_WAITING)
        self._failures: list[tuple[str, Exception]] = []
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._exchange = exchange
        self._is_writer = exchange is None or exchange.is_first
        self._waiting: dict[str, Parcel] = {}
        """For other ranks, by label."""
        self._num_of_kind: Counter[str] = Counter()
        self._undrawable: set[str] = set()

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
        for sink in self._sinks if self._is_writer else ():
            self._try(sink, sink.close)
        self._warn()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            elif self._exchange is None:
                self._write(item)
            else:
                self._exchanged(lambda exchange: self._join(item, exchange))
        self._exchanged(self._end)

    def _exchanged(self, do: Callable[[Exchange], None]) -> None:
        if self._exchange is None:
            return
        try:
            do(self._exchange)
        except Exception as error:
            self._exchange = None
            self._failures.append(("the other ranks' readings", error))
            for parcel in self._waiting.values():
                self._write(parcel)
            self._waiting.clear()

    def _join(self, parcel: Parcel, exchange: Exchange) -> None:
        # All ranks send the same parcels of a kind in the same order, also after a rollback.
        label = f"{parcel.kind}/{self._num_of_kind[parcel.kind]}"
        self._num_of_kind[parcel.kind] += 1
        if not exchange.is_first:
            exchange.send(label, parcel.numbers(), at_once=parcel.kind != "update")
            return
        self._waiting[label] = parcel
        exchange.collect()
        for complete in [label for label in self._waiting if exchange.is_complete(label)]:
            self._write(self._waiting.pop(complete), exchange.taken(complete))
        if len(self._waiting) > _MAX_WAITING:
            # A rank that hangs, or that makes no updates.
            oldest = next(iter(self._waiting))
            self._write(self._waiting.pop(oldest), exchange.taken(oldest))

    def _end(self, exchange: Exchange) -> None:
        if not exchange.is_first:
            exchange.leave()
            return
        exchange.wait_for(list(self._waiting))
        for label, parcel in self._waiting.items():
            self._write(parcel, exchange.taken(label))

    def _write(self, parcel: Parcel, others: Sequence[Numbers] = ()) -> None:
        if not self._is_writer:
            return
        try:
            readings = parcel.readings(others)
        except Exception as error:
            self._failures.append((f"what was read at step {parcel.step}", error))
            return
        readings = {key: value for key, value in readings.items() if self._can_be_shown(key, value)}
        for sink in list(self._sinks):
            if not self._try(sink, lambda: sink.write(readings, parcel.step)):  # noqa: B023 - called at once
                self._sinks.remove(sink)
                self._try(sink, sink.close)

    def _can_be_shown(self, key: str, value: Value) -> bool:
        """A picture is drawn here already, because one that cannot be must not cost a sink."""
        if not isinstance(value, Picture):
            return True
        try:
            value.pixels  # noqa: B018 - draws it
        except Exception as error:
            if key not in self._undrawable:
                self._undrawable.add(key)
                self._failures.append((f"the picture {key}", error))
            return False
        return True

    def _try(self, sink: Sink, do: Callable[[], None]) -> bool:
        try:
            do()
        except Exception as error:
            self._failures.append((f"the sink {type(sink).__name__}", error))
            return False
        return True

    def _warn(self) -> None:
        while self._failures:
            self._warn_of(*self._failures.pop(0))


def warn_of_failure(what: str, error: Exception) -> None:
    """Says what is done without."""
    text = f"runtime_guard goes on without {what}: {type(error).__name__}: {error}"
    warnings.warn(text, GuardWarning, stacklevel=5)
