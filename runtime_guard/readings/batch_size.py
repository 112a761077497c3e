"""How many samples a batch holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_MAX_DEPTH = 4


def num_samples(batch: Any) -> int | None:
    """The length of its first tensor or array, of those within mappings and sequences too, or of its first list of
    strings or numbers; None where there is none. Says nothing of what is laid out otherwise, as graphs are."""
    return next(_lengths(batch, 0), None)


def _lengths(item: Any, depth: int) -> Iterator[int]:
    shape = getattr(item, "shape", None)
    if shape is not None:
        if len(shape) > 0:
            yield int(shape[0])
    elif depth >= _MAX_DEPTH or isinstance(item, (str, bytes)):
        return
    elif isinstance(item, Mapping):
        for value in item.values():
            yield from _lengths(value, depth + 1)
    elif isinstance(item, Sequence):
        if item and all(isinstance(value, (str, int, float)) for value in item):
            yield len(item)
        for value in item:
            yield from _lengths(value, depth + 1)
