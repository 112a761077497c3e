"""Numbers of values: equal for what is computed in the same way from the same values, wherever it stands."""

from __future__ import annotations

import dataclasses

from pipeline_lint.facts.ranges.value import Value

Key = tuple[object, ...]


class Numbers:
    """Gives values their numbers; `mask.sum()` written twice has one, so that a test of one tells of the other."""

    def __init__(self) -> None:
        self._known: dict[Key, int] = {}

    @staticmethod
    def fresh() -> int:
        """A number that no other value has."""
        return Value().number

    def of(self, key: Key) -> int:
        """The number of what is computed as the key says."""
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = self.fresh()
        return number

    def numbered(self, value: Value, key: Key) -> Value:
        """The value with the number of its key."""
        number = self.of(key)
        root = number if value.root == value.number else value.root
        return dataclasses.replace(value, number=number, root=root)
