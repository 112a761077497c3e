"""Who iterates over a guarded loader, and in which of torch's modes: what a loop's body needs to run once more."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FrameType

import torch

from runtime_guard.replay.places import is_user_file

Caller = tuple[CodeType, int]
"""A frame's code, and the line it stood on."""

_MAX_CALLERS = 16


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Who iterates, and torch's modes around the loop, which the body would run in again."""

    callers: tuple[Caller, ...]
    """User code only, innermost first."""
    has_gradients: bool
    has_anomaly_detection: bool
    autocast: tuple[tuple[str, torch.dtype], ...]
    """Device types for which it is on."""

    @classmethod
    def of_the_caller(cls) -> Surroundings:
        """To be asked in the generator that the loop iterates over, when it is resumed."""
        callers: list[Caller] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and len(callers) < _MAX_CALLERS:
            if is_user_file(frame.f_code.co_filename):
                callers.append((frame.f_code, frame.f_lineno))
            frame = frame.f_back
        kinds = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
        return cls(
            tuple(callers),
            torch.is_grad_enabled(),
            torch.is_anomaly_enabled(),
            tuple((kind, torch.get_autocast_dtype(kind)) for kind in kinds),
        )

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """The same modes."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.set_grad_enabled(self.has_gradients))
            stack.enter_context(torch.autograd.set_detect_anomaly(self.has_anomaly_detection))
            for kind, dtype in self.autocast:
                stack.enter_context(torch.autocast(kind, dtype))
            yield
