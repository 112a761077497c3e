"""Averages of numbers that stay on their devices."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Sequence

from torch import Tensor

from runtime_guard.reading import Derived, Reading, Value

_MAX_IN_DOUBT = 64
"""Steps of which it may yet become known that they do not count; a panel holds back no more either."""


class Averages:
    """Running means by name. What is added for a step can be taken back as long as few steps have followed."""

    def __init__(self) -> None:
        self._totals: dict[str, tuple[Tensor, int]] = {}
        self._in_doubt: defaultdict[int, list[tuple[str, Tensor]]] = defaultdict(list)

    def add(self, name: str, value: Tensor, step: int | None = None) -> None:
        """One number, of no dimensions. Without a step it counts for good."""
        if step is None:
            self._count(name, value)
            return
        self._in_doubt[step].append((name, value))
        if len(self._in_doubt) > _MAX_IN_DOUBT:
            self._settle(min(self._in_doubt))

    def forget(self, step: int) -> None:
        """Takes back what was added for this step and later ones."""
        for later in [known for known in self._in_doubt if known >= step]:
            del self._in_doubt[later]

    def taken(self, pattern: str) -> Iterator[Reading]:
        """The mean of each name, over all ranks, under `pattern` with the name for `*`. Begins anew."""
        for name, sums in self.sums():
            key = pattern.replace("*", name)
            yield Reading(key, Derived(sums, functools.partial(_mean, key)), "sum")

    def sums(self) -> list[tuple[str, Tensor]]:
        """Of each name how much its numbers are together and how many, float64 `(2,)`. Begins anew."""
        for step in sorted(self._in_doubt):
            self._settle(step)
        totals, self._totals = self._totals, {}
        return [(name, _with_count(total, count)) for name, (total, count) in totals.items()]

    def _settle(self, step: int) -> None:
        for name, value in self._in_doubt.pop(step):
            self._count(name, value)

    def _count(self, name: str, value: Tensor) -> None:
        total, count = self._totals.get(name, (None, 0))
        self._totals[name] = (value.double() if total is None else total + value.to(total.device), count + 1)


def _with_count(total: Tensor, count: int) -> Tensor:
    vector = total.new_full((2,), count)
    vector[0] = total
    return vector


def _mean(key: str, sums: Sequence[float]) -> dict[str, Value]:
    total, count = sums
    return {key: total / count}
