"""Overflow that can be seen coming."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch

from runtime_guard.sign import Reading

_LOOKS = 4
_HORIZON = 100
_AMPLE = 12.5
"""Bits, above which growth counts only when it is over within `_NEAR` steps: first steps of a healthy run grow, too."""
_NEAR = 70


class Headroom:
    """Activations that grow towards the largest number of their dtype.

    Tells an overflow to come from activations that are large and stay so: only growth is warned of, when it goes on
    over four looks and reaches the end within a hundred steps.
    """

    def __init__(self) -> None:
        self.bits: dict[str, list[list[float]]] = {}
        """By place the last looks: step, and how often the largest number could still be doubled."""

    def look(self, reading: Reading) -> Iterator[tuple[str, str]]:
        for activation in reading.activations:
            limit = torch.finfo(activation.dtype).max
            if not 0 < activation.largest < limit / 2:  # Nothing, or a mask.
                continue
            left = math.log2(limit / activation.largest)
            looks = self.bits.setdefault(activation.name, [])
            if looks and looks[-1][0] == reading.step:  # A module that is called several times.
                looks[-1][1] = min(looks[-1][1], left)
                continue
            looks.append([reading.step, left])
            del looks[:-_LOOKS]
            ahead = _steps_left(looks)
            if ahead is not None and ahead <= (_HORIZON if left < _AMPLE else _NEAR):
                dtype = str(activation.dtype).removeprefix("torch.")
                text = (
                    f"`{activation.name}` has {left:.1f} bits left in {dtype} (largest magnitude "
                    f"{activation.largest:.3g}) and overflows in about {ahead:.0f} steps if it grows on like this: "
                    "bound it, normalise it, or compute it in bfloat16 or float32"
                )
                yield activation.name, text


def _steps_left(looks: list[list[float]]) -> float | None:
    """How many steps until nothing is left; None unless every look saw less than the one before."""
    if len(looks) < _LOOKS or any(b >= a for (_, a), (_, b) in pairwise(looks)):
        return None
    (first, most), (last, left) = looks[0], looks[-1]
    lost = (most - left) / (last - first)
    # A fraction of a bit per look is noise.
    return left / lost if most - left > 0.5 else None
