"""Numbers as torch's dtypes hold them, without torch: rounding, neighbours and limits."""

from __future__ import annotations

import math
import struct
from typing import NamedTuple


class Limits(NamedTuple):
    """What `torch.finfo` says of a dtype, and its smallest positive number."""

    eps: float
    tiny: float
    """The smallest normal number."""
    smallest: float
    """The smallest positive number; half of it and less rounds to 0."""
    max: float
    max_exp: float
    """The largest x with a finite exp(x), rounded down."""


LIMITS: dict[str, Limits] = {
    "float64": Limits(2.0**-52, 2.0**-1022, 2.0**-1074, 1.7976931348623157e308, 709.78),
    "float32": Limits(2.0**-23, 2.0**-126, 2.0**-149, (2 - 2.0**-23) * 2.0**127, 88.72),
    "bfloat16": Limits(2.0**-7, 2.0**-126, 2.0**-133, (2 - 2.0**-7) * 2.0**127, 88.5),
    "float16": Limits(2.0**-10, 2.0**-14, 2.0**-24, 65504.0, 11.08),
}
"""By the name of the dtype, without `torch.`."""

HALF_DTYPES = frozenset({"float16", "bfloat16"})
DEFAULT_DTYPE = "float32"
"""What a value of unknown dtype is taken for."""


def rounded(number: float, dtype: str | None) -> float:
    """The value of `dtype` nearest to `number`; infinite beyond its range. Other dtypes leave it as it is."""
    if math.isinf(number) or math.isnan(number):
        return number
    match dtype or DEFAULT_DTYPE:
        case "float32":
            return _through(number, "<f")
        case "float16":
            return _through(number, "<e")
        case "bfloat16":
            single = _through(number, "<f")
            if math.isinf(single):
                return single
            bits: int = struct.unpack("<I", struct.pack("<f", single))[0]
            # To nearest, ties to even, on the 16 bits that bfloat16 lacks.
            bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
            result: float = struct.unpack("<f", struct.pack("<I", bits))[0]
            return result
    return number


def next_above(number: float, dtype: str | None, steps: int = 1) -> float:
    """The value of `dtype` that is `steps` above `number`."""
    return -next_below(-number, dtype, steps)


def next_below(number: float, dtype: str | None, steps: int = 1) -> float:
    """The value of `dtype` that is `steps` below `number`."""
    limits = LIMITS.get(dtype or DEFAULT_DTYPE)
    if limits is None or math.isinf(number) or math.isnan(number):
        return number
    for _ in range(steps):
        # Three quarters of a step, so that rounding goes to the neighbour also at a power of two.
        gap = max(abs(number) * limits.eps * 0.75, limits.smallest)
        number = rounded(number - gap, dtype)
    return number


def _through(number: float, layout: str) -> float:
    try:
        result: float = struct.unpack(layout, struct.pack(layout, number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)
    return result
