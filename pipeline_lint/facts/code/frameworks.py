"""Which library of tensors a file is written for."""

from __future__ import annotations

import re

from pipeline_lint.source import Source

_OTHERS = re.compile(
    r"^[ \t]*(?:import|from)[ \t]+(?:tensorflow|mxnet|jax|paddle|mindspore|keras|chainer)\b", re.MULTILINE
)
_TORCH = re.compile(r"^[ \t]*(?:import|from)[ \t]+\w*(?:torch|lightning)", re.MULTILINE)


def is_of_another_framework(source: Source) -> bool:
    """Whether a file imports TensorFlow, JAX or another library of tensors, and not torch.

    Methods are spelled alike there, and mean other things: `clip(a_min=1)` of MXNet bounds as torch's `clamp` does.
    """
    return _OTHERS.search(source.text) is not None and _TORCH.search(source.text) is None
