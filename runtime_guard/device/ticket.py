"""Numbers on their way from a device to the host."""

from __future__ import annotations

import torch
from torch import Tensor


class Ticket:
    """A small vector, copied without anybody waiting. On the CPU it is there at once."""

    def __init__(self, vector: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if vector.device.type == "cuda":
            # Pinned memory comes from torch's cache after the first time; a copy into it does not wait.
            self._host = torch.empty(vector.shape, dtype=vector.dtype, pin_memory=True)
            self._host.copy_(vector, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()
        else:
            self._host = vector.cpu()

    @property
    def has_arrived(self) -> bool:
        """Asks without waiting."""
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def values(self) -> list[float]:
        """The numbers; waits for them when they are still on their way."""
        if self._event is not None:
            self._event.synchronize()
        values: list[float] = self._host.tolist()
        return values
