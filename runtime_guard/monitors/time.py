"""What a step spends its time on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from runtime_guard.device.activations import is_anything_compiled
from runtime_guard.device.clock import Clock, CudaClock, HostClock
from runtime_guard.monitor import Monitor, Point, Run
from runtime_guard.reading import Reading
from runtime_guard.readings.batch_size import num_samples

PARTS = ("data", "transfer", "forward", "backward", "optimizer", "rest")

_ENDS: dict[str, str] = {
    "batch": "data",
    "first_call": "transfer",
    "backward": "forward",
    "backward_end": "backward",
    "update_end": "optimizer",
}
"""Which part is over at a point; all else is the rest."""

_MAX_SPANS = 4096
_MAX_LAPS = 64


@dataclass(slots=True)
class _Lap:
    """A step."""

    spans: list[tuple[str, Any, Any]] = field(default_factory=list)
    """Parts with the moments at which they began and ended."""
    num_samples: int = 0
    has_sizes: bool = True
    wall_ms: float = 0.0


class Time(Monitor):
    """Where the time of a step goes, from the end of the last one's body to the end of its own.

    A training that waits for its data has a large `data` part: more workers, or less work for each sample, make it
    faster, and a faster GPU does not. A large `rest` is what the loop itself does: logging, `.item()`, clipping. The
    parts of a step add up to it. With gradient accumulation a step is an update with all its micro-batches.

    On a GPU the parts are those of its own time line: what the host does while the GPU is busy costs nothing, so `data`
    is what the GPU really waited. They are read when they are known, a step or more later, without waiting.

    Writes:
        `time/step_ms`: milliseconds of the step on the clock on the wall.
        `time/data_ms`: milliseconds from asking the loader for a batch until it is there.
        `time/transfer_ms`: milliseconds from there to the model's first call: copies to the device, and whatever else
            the loop does with the batch; once anything was compiled it is part of `forward`, as in the first step.
        `time/forward_ms`: milliseconds from there until `backward` is called, of the loss too.
        `time/backward_ms`: milliseconds of `backward`.
        `time/optimizer_ms`: milliseconds of the update.
        `time/rest_ms`: milliseconds of all else in the loop.
        `time/samples_per_second`: samples of the step's batches by its time; summed over the ranks.
        `time/waiting_for_data`: fraction of the step that is `data`.

    All but samples are averages over the ranks. A validation within the loop's body counts as rest, or as forward when
    it comes before `backward`.

    When: each update.
    Cost: about ten looks at the clock, or events on a GPU, which nobody waits for.
    """

    charts: ClassVar = {
        "Time of a step, ms": (r"time/(data|transfer|forward|backward|optimizer|rest)_ms",),
        "Samples per second": (r"time/samples_per_second",),
    }

    def __init__(self, clock: Clock | None = None, wall: Callable[[], float] = time.perf_counter) -> None:
        """By default a GPU's time line where the model lies on one, and the host's clock elsewhere."""
        self._clock = clock
        self._wall = wall
        self._last: Any = None
        self._started: float | None = None
        self._lap = _Lap()
        self._laps: deque[_Lap] = deque(maxlen=_MAX_LAPS)
        """Those of which something is still on its way."""
        self._handle: Any = None
        self._has_stepped = False

    def start(self, run: Run) -> None:
        """Chooses the clock."""
        if self._clock is None:
            is_on_gpu = any(p.is_cuda for model in run.models.values() for p in model.parameters())
            self._clock = CudaClock() if is_on_gpu else HostClock()

    def batch(self, batch: Any) -> None:
        """Counts its samples."""
        num = num_samples(batch)
        self._lap.has_sizes &= num is not None
        self._lap.num_samples += num or 0

    def mark(self, point: Point) -> None:
        """Ends the part that is over."""
        self._stop_listening()
        if point in ("open", "exhausted"):
            self._last, self._started, self._lap = None, None, _Lap()
            return
        self._spot(point)
        if point == "batch" and self._has_stepped and not is_anything_compiled():
            # For all modules at once and for one call only: hooks of its own would change the model.
            self._handle = nn.modules.module.register_module_forward_pre_hook(self._called)

    def end_step(self, step: int) -> Iterator[Reading]:
        """Of the last step whose moments are known: on the host this one."""
        self._has_stepped = True
        now = self._wall()
        lap, self._lap = self._lap, _Lap()
        if self._started is not None:
            lap.wall_ms = (now - self._started) * 1000
            self._laps.append(lap)
        self._started = now
        known = None
        while self._laps and self._is_known(self._laps[0]):
            known = self._laps.popleft()
        if known is not None:
            yield from self._readings(known)

    def close(self, metrics: Any) -> Iterator[Reading]:
        """Takes the hook off."""
        self._stop_listening()
        yield from ()

    def _called(self, module: nn.Module, _args: Any) -> None:
        if not torch.compiler.is_compiling() and next(module.parameters(), None) is not None:
            self._stop_listening()
            self._spot("first_call")

    def _stop_listening(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None

    def _spot(self, point: str) -> None:
        assert self._clock is not None
        now = self._clock.now()
        if self._last is None:
            self._started = self._wall()
        elif len(self._lap.spans) < _MAX_SPANS:
            self._lap.spans.append((_ENDS.get(point, "rest"), self._last, now))
        self._last = now

    def _is_known(self, lap: _Lap) -> bool:
        assert self._clock is not None
        return not lap.spans or self._clock.is_known(lap.spans[-1][2])

    def _readings(self, lap: _Lap) -> Iterator[Reading]:
        assert self._clock is not None
        parts = dict.fromkeys(PARTS, 0.0)
        for part, first, last in lap.spans:
            parts[part] += self._clock.between_ms(first, last)
        yield Reading("time/step_ms", lap.wall_ms, "mean")
        for part, value in parts.items():
            yield Reading(f"time/{part}_ms", value, "mean")
        total = sum(parts.values())
        if total > 0:
            yield Reading("time/waiting_for_data", parts["data"] / total, "mean")
        if lap.has_sizes and lap.num_samples and lap.wall_ms > 0:
            yield Reading("time/samples_per_second", lap.num_samples / lap.wall_ms * 1000, "sum")
