"""Constants that a dotted path stands for: `math.pi`, `torch.float16`, the limits of `torch.finfo`."""

from __future__ import annotations

import math
import sys

from pipeline_lint.facts import floats
from pipeline_lint.facts.ranges.value import OTHER, Value, constant

_NUMBERS: dict[str, float] = {
    **{
        f"{module}.{name}": number
        for module in ("math", "numpy", "torch")
        for name, number in (("pi", math.pi), ("e", math.e), ("inf", math.inf), ("nan", math.nan))
    },
    "math.tau": math.tau,
    "numpy.Inf": math.inf,
    "numpy.infty": math.inf,
    "sys.float_info.epsilon": sys.float_info.epsilon,
    "sys.float_info.min": sys.float_info.min,
    "sys.float_info.max": sys.float_info.max,
}
_DTYPES: dict[str, str] = {
    "half": "float16",
    "float": "float32",
    "double": "float64",
    "long": "int64",
    "int": "int64",
    "short": "int64",
    "uint8": "int64",
    **{name: name for name in ("float16", "bfloat16", "float32", "float64", "bool")},
    **dict.fromkeys(("int8", "int16", "int32", "int64"), "int64"),
}


def named_constant(path: str, dtype: str | None) -> Value | None:
    """The value of a path, or of `finfo.NAME` for a dtype; None for a path that is no constant."""
    number = _NUMBERS.get(path)
    if number is not None:
        return constant(number) if not math.isnan(number) else None
    module, _, name = path.rpartition(".")
    if module == "torch" and name in _DTYPES:
        return Value(kind=OTHER, dtype=_DTYPES[name])
    if module == "finfo":
        return _limit(name, dtype)
    return None


def _limit(name: str, dtype: str | None) -> Value | None:
    limits = floats.LIMITS.get(dtype or floats.DEFAULT_DTYPE)
    if limits is None:
        return None
    known = {
        "eps": limits.eps,
        "tiny": limits.tiny,
        "smallest_normal": limits.tiny,
        "max": limits.max,
        "min": -limits.max,
        "resolution": 10.0 ** math.floor(math.log10(limits.eps) + 1),
    }
    return constant(known[name]) if name in known else None
