"""Whether code says that its tensors may be float16: names that it uses, casts up and back."""

from __future__ import annotations

import functools
import re

import libcst as cst

from pipeline_lint.source import Source

_NAMES = frozenset("half float16 fp16 use_fp16 is_fp16 HalfTensor autocast custom_fwd GradScaler".split())
"""In code, so that comments and texts do not count. bfloat16 is none: its range is that of float32."""
_CAST_BACK = re.compile(r"\.(?:float\(\)|to\(torch\.float(?:32)?\)).*\.(?:type_as\(|to\([^()]*dtype\b)")
"""`super().forward(x.float()).type_as(x)`: a narrower dtype comes in, and is widened where it matters."""

_CAST_UP = re.compile(r"\.(float|double)\(|float32|float64|torch\.(float|double)\b")


class HalfSupport:
    """What one file says about half precision: `source.fact(HalfSupport)`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @functools.cached_property
    def is_named(self) -> bool:
        """Whether the code names float16, or what computes in it."""
        text = self._source.text
        if not any(name in text for name in _NAMES):
            return False
        return bool(self._mentions)

    @functools.cached_property
    def _mentions(self) -> list[cst.Name]:
        """Where the code names float16 or what computes in it, but to switch it off."""
        return [
            node
            for node in self._source.nodes(cst.Name)
            if node.value in _NAMES
            and not _is_switched_off(self._source, node)
            and not _is_fraction(self._source, node)
        ]

    @functools.cached_property
    def casts_back(self) -> bool:
        """Whether the code casts something to float32 and the result back, in one line."""
        return _CAST_BACK.search(self._source.text) is not None


def casts_up(code: str) -> bool:
    """Whether code casts something to float32 or float64."""
    return _CAST_UP.search(code) is not None


def _is_fraction(source: Source, name: cst.Name) -> bool:
    """Whether it is a variable such as `half = len(x) // 2`, not `x.half()` or `torch.half`."""
    above = source.parent(name)
    is_attribute = isinstance(above, cst.Attribute) and above.attr is name
    is_setting = isinstance(above, cst.Param) or (isinstance(above, cst.Arg) and above.keyword is name)
    return name.value == "half" and not is_attribute and not is_setting


def _is_switched_off(source: Source, name: cst.Name) -> bool:
    """Whether it is `autocast` in `autocast(enabled=False)`."""
    above = source.parent(name)
    call = source.parent(above) if isinstance(above, cst.Attribute) else above
    return isinstance(call, cst.Call) and any(
        argument.keyword is not None
        and argument.keyword.value == "enabled"
        and isinstance(argument.value, cst.Name)
        and argument.value.value == "False"
        for argument in call.args
    )
