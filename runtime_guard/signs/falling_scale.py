"""A loss scale that does not come back."""

from __future__ import annotations

from collections.abc import Iterator

from runtime_guard.sign import Reading

_FOLD = 32.0
_ROW = 12
_LOW = 64.0


class FallingScale:
    """A loss scale that falls and does not come back: gradients overflow more and more often.

    A thirty-second of what it was after the first good update, without having grown in between; or twelve falls in a
    row down to 64 or less. A scaler that begins high and skips its first steps is none.
    """

    def __init__(self) -> None:
        self.last: float | None = None
        self.highest = 0.0
        """Since it last grew."""
        self.num_falls = 0
        self.has_held = False

    def look(self, reading: Reading) -> Iterator[tuple[str, str]]:
        scale = reading.scale
        if scale is None:
            return
        fell = self.last is not None and scale < self.last
        grew = self.last is not None and scale > self.last
        self.num_falls = self.num_falls + 1 if fell else 0
        if self.last is not None and (grew or (not fell and not self.has_held)):
            self.has_held, self.highest = True, scale
        self.last = scale
        is_down = self.has_held and scale <= self.highest / _FOLD
        if is_down or (self.num_falls >= _ROW and scale <= _LOW):
            start = f" from {self.highest:.3g}" if self.has_held else ""
            text = (
                f"the loss scale fell{start} to {scale:.3g}: gradients overflow float16; look for activations or "
                "losses that grow, or use bfloat16"
            )
            yield "loss scale", text
