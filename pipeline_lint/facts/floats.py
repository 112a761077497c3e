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
    dtype = dtype or DEFAULT_DTYPE
    if dtype not in LIMITS or math.isinf(number) or math.isnan(number):
        return number
    if dtype == "float64":
        for _ in range(steps):
            number = math.nextafter(number, -math.inf)
        return number
    number = rounded(number, dtype)
    if math.isinf(number):
        return number
    # The bits of a float, read as a whole number, count the floats from 0 on.
    layout, whole, shift = _LAYOUTS[dtype]
    count = struct.unpack(whole, struct.pack(layout, abs(number)))[0] >> shift
    place = (-count if number < 0 else count) - steps
    infinity = struct.unpack(whole, struct.pack(layout, math.inf))[0] >> shift
    bits = min(abs(place), infinity) << shift
    return math.copysign(struct.unpack(layout, struct.pack(whole, bits))[0], place)


_LAYOUTS = {"float32": ("<f", "<I", 0), "float16": ("<e", "<H", 0), "bfloat16": ("<f", "<I", 16)}
"""How `struct` names a dtype and the whole number of its bits, and how many of these the dtype lacks."""


def _through(number: float, layout: str) -> float:
    try:
        result: float = struct.unpack(layout, struct.pack(layout, number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)
    return result
