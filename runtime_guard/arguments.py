"""Checks what a user gives to `Guard`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any


def by_name(value: Any, kind: type, word: str) -> dict[str, Any]:
    """One or several objects of a kind by name; a single one has no name. Raises TypeError for anything else."""
    if isinstance(value, kind):
        return {"": value}
    items: Iterator[tuple[str, Any]] | Iterable[tuple[str, Any]]
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, Sequence) and not isinstance(value, str):
        items = ((f"{word}{index}" if len(value) > 1 else "", item) for index, item in enumerate(value))
    else:
        raise TypeError(f"{word} is a {type(value).__name__}, expected a {kind.__name__}, or several in a dict or list")
    found = dict(items)
    for name, item in found.items():
        if not isinstance(item, kind):
            where = f"{word} {name!r}" if name else word
            raise TypeError(f"{where} is a {type(item).__name__}, expected a {kind.__name__}")
    return found


def unwrapped(optimizer: Any) -> Any:
    """One or several optimizers without the wrappers that frameworks put around them: torch's hooks run within."""
    if isinstance(optimizer, Mapping):
        return {name: unwrapped(item) for name, item in optimizer.items()}
    if isinstance(optimizer, Sequence):
        return [unwrapped(item) for item in optimizer]
    return getattr(optimizer, "optimizer", optimizer)
