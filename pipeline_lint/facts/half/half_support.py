"""Whether the code of a file says that its tensors may be float16: names that it uses, casts up and back."""

from __future__ import annotations

import functools
import re

import libcst as cst

from pipeline_lint.source import Source

_NAMES = frozenset("half float16 fp16 use_fp16 is_fp16 HalfTensor autocast custom_fwd GradScaler".split())
"""In code, so that comments and texts do not count. bfloat16 is none: its range is that of float32."""
_CAST_BACK = re.compile(r"\.(?:float\(\)|to\(torch\.float(?:32)?\)).*\.(?:type_as\(|to\([^()]*dtype\b)")
"""`super().forward(x.float()).type_as(x)`: a narrower dtype comes in, and is widened where it matters."""


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
        return any(node.value in _NAMES for node in self._source.nodes(cst.Name))

    @functools.cached_property
    def casts_back(self) -> bool:
        """Whether the code casts something to float32 and the result back, in one line."""
        return _CAST_BACK.search(self._source.text) is not None
